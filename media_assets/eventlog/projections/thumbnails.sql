-- Derived pictures, a row a size: all of one result, the one of the highest generation that was stored first.
CREATE OR REPLACE FUNCTION fold_thumbnails(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    DELETE FROM thumbnails t
    USING public.told e
    WHERE e.position BETWEEN first AND last AND e.type = 'ThumbnailCreated'
      AND t.item_id = e.item_id AND t.version_id = e.body->>'version_id' AND t.generation < e.generation;

    INSERT INTO thumbnails (item_id, version_id, size, user_id, generation, recipe, width, height, key, sha256, size_bytes,
                            content_type, placeholder, created_at)
    SELECT r.item_id, r.version_id, (o->>'size')::integer, r.user_id, r.generation, r.recipe, (o->>'width')::integer,
           (o->>'height')::integer, o->>'key', o->>'sha256', (o->>'size_bytes')::bigint, o->>'content_type',
           r.body->>'placeholder', r.occurred_at
    FROM (
        SELECT DISTINCT ON (e.item_id, e.body->>'version_id') e.*, e.body->>'version_id' AS version_id
        FROM public.told e
        WHERE e.position BETWEEN first AND last AND e.type = 'ThumbnailCreated'
        ORDER BY e.item_id, e.body->>'version_id', e.generation DESC, e.position
    ) r CROSS JOIN LATERAL jsonb_array_elements(r.body->'thumbnails') o
    WHERE NOT EXISTS (SELECT FROM thumbnails t WHERE t.item_id = r.item_id AND t.version_id = r.version_id)
    ON CONFLICT DO NOTHING;
$$;
