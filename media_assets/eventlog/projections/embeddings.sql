-- Vectors of analyses: of the highest generation, the one that was stored first.
CREATE OR REPLACE FUNCTION fold_embeddings(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO embeddings AS m (item_id, version_id, analysis_id, user_id, generation, recipe, model, dimensions,
                                 embedding, created_at)
    SELECT DISTINCT ON (e.item_id, e.body->>'version_id')
           e.item_id, e.body->>'version_id', (e.body->>'analysis_id')::uuid, e.user_id, e.generation, e.recipe,
           e.body->>'model', (e.body->>'dimensions')::integer, (e.body->>'vector')::public.vector, e.occurred_at
    FROM public.told e
    WHERE e.position BETWEEN first AND last AND e.type = 'EmbeddingStored'
    ORDER BY e.item_id, e.body->>'version_id', e.generation DESC, e.position
    ON CONFLICT (item_id, version_id) DO UPDATE
    SET analysis_id = excluded.analysis_id, generation = excluded.generation, recipe = excluded.recipe,
        model = excluded.model, dimensions = excluded.dimensions, embedding = excluded.embedding,
        created_at = excluded.created_at
    WHERE excluded.generation > m.generation;
$$;
