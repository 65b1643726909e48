-- What models saw: of the highest generation, the answer that was stored first.
CREATE OR REPLACE FUNCTION fold_analyses(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO analyses AS a (item_id, version_id, analysis_id, user_id, generation, recipe, provider, model, category,
                               summary, tags, objects, text, dominant_colours, tokens_in, tokens_out, created_at)
    SELECT DISTINCT ON (e.item_id, e.body->>'version_id')
           e.item_id, e.body->>'version_id', e.event_id, e.user_id, e.generation, e.recipe, e.body->>'provider',
           e.body->>'model', s->>'category', s->>'summary', s->'tags', s->'objects', s->'text', s->'dominant_colours',
           e.tokens_in, e.tokens_out, e.occurred_at
    FROM public.told e CROSS JOIN LATERAL (SELECT e.body->'analysis' AS s) _
    WHERE e.position BETWEEN first AND last AND e.type = 'AnalysisCompleted'
    ORDER BY e.item_id, e.body->>'version_id', e.generation DESC, e.position
    ON CONFLICT (item_id, version_id) DO UPDATE
    SET analysis_id = excluded.analysis_id, generation = excluded.generation, recipe = excluded.recipe,
        provider = excluded.provider, model = excluded.model, category = excluded.category, summary = excluded.summary,
        tags = excluded.tags, objects = excluded.objects, text = excluded.text,
        dominant_colours = excluded.dominant_colours, tokens_in = excluded.tokens_in, tokens_out = excluded.tokens_out,
        created_at = excluded.created_at
    WHERE excluded.generation > a.generation;
$$;
