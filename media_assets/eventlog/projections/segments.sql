-- Parts of videos, a row a segment: of an item, or of a job, all of one result, the one of the highest generation that was
-- stored first (step_results says which).
CREATE OR REPLACE FUNCTION fold_segments(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    DELETE FROM segments s
    USING public.events e JOIN step_results r ON r.item_id = coalesce(e.job_id, e.item_id) AND r.step = e.step
    WHERE e.position BETWEEN first AND last AND e.type = 'VideoSegmented' AND r.outcome = 'done'
      AND s.work_id = r.item_id AND s.version_id = r.version_id AND s.generation < r.generation;

    INSERT INTO segments (work_id, version_id, ordinal, item_id, job_id, user_id, generation, recipe, start_ms, end_ms, key,
                          sha256, size_bytes, text, created_at)
    SELECT r.item_id, r.version_id, (o->>'index')::integer, e.item_id, e.job_id, e.user_id, e.generation, e.recipe,
           (o->>'start_ms')::bigint, (o->>'end_ms')::bigint, o->>'key', o->>'sha256', (o->>'size_bytes')::bigint, o->>'text',
           e.occurred_at
    FROM public.told e
    JOIN step_results r ON r.item_id = coalesce(e.job_id, e.item_id) AND r.version_id = e.body->>'version_id'
                       AND r.step = e.step AND r.generation = e.generation AND r.event_id = e.event_id
    CROSS JOIN LATERAL jsonb_array_elements(e.body->'segments') o
    WHERE e.position BETWEEN first AND last AND e.type = 'VideoSegmented'
      AND NOT EXISTS (SELECT FROM step_results h
                      WHERE h.item_id = r.item_id AND h.version_id = r.version_id AND h.step = r.step
                        AND h.generation > r.generation AND h.outcome = 'done');
$$;
