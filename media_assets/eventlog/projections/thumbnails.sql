-- Derived pictures, a row a size: of the highest generation, the result that was stored first.
CREATE OR REPLACE FUNCTION fold_thumbnails(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO thumbnails AS t (item_id, version_id, size, user_id, generation, recipe, width, height, key, sha256,
                                 size_bytes, content_type, placeholder, created_at)
    SELECT DISTINCT ON (e.item_id, p.body->>'version_id', (o->>'size')::integer)
           e.item_id, p.body->>'version_id', (o->>'size')::integer, e.user_id, e.generation, e.recipe,
           (o->>'width')::integer, (o->>'height')::integer, o->>'key', o->>'sha256', (o->>'size_bytes')::bigint,
           o->>'content_type', p.body->>'placeholder', e.occurred_at
    FROM public.events e JOIN public.event_payloads p USING (event_id)
         CROSS JOIN LATERAL jsonb_array_elements(p.body->'thumbnails') o
    WHERE e.position BETWEEN first AND last AND e.type = 'ThumbnailCreated'
    ORDER BY e.item_id, p.body->>'version_id', (o->>'size')::integer, e.generation DESC, e.position
    ON CONFLICT (item_id, version_id, size) DO UPDATE
    SET generation = excluded.generation, recipe = excluded.recipe, width = excluded.width, height = excluded.height,
        key = excluded.key, sha256 = excluded.sha256, size_bytes = excluded.size_bytes,
        content_type = excluded.content_type, placeholder = excluded.placeholder, created_at = excluded.created_at
    WHERE excluded.generation > t.generation;
$$;
