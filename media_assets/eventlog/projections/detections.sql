-- What was found in pictures, a row a detection: all of one result, the one of the highest generation that was stored first.
-- Which one that is, step_results says: a result that found nothing leaves no row here, and what comes after it and doesn't
-- count must not take its place.
CREATE OR REPLACE FUNCTION fold_detections(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    DELETE FROM detections d
    USING public.events e JOIN step_results r USING (item_id, step)
    WHERE e.position BETWEEN first AND last AND e.type = 'DetectionsCompleted' AND r.outcome = 'done'
      AND d.item_id = r.item_id AND d.version_id = r.version_id AND d.generation < r.generation;

    INSERT INTO detections (item_id, version_id, ordinal, user_id, generation, recipe, model, label, confidence, x, y, width,
                            height, created_at)
    SELECT e.item_id, r.version_id, o.ordinal, e.user_id, e.generation, e.recipe, e.body->>'model', o.found->>'label',
           (o.found->>'confidence')::float, (o.found->'bbox'->>0)::integer, (o.found->'bbox'->>1)::integer,
           (o.found->'bbox'->>2)::integer, (o.found->'bbox'->>3)::integer, e.occurred_at
    FROM public.told e
    JOIN step_results r ON r.item_id = e.item_id AND r.version_id = e.body->>'version_id' AND r.step = e.step
                       AND r.generation = e.generation AND r.event_id = e.event_id
    CROSS JOIN LATERAL jsonb_array_elements(e.body->'detections') WITH ORDINALITY AS o (found, ordinal)
    WHERE e.position BETWEEN first AND last AND e.type = 'DetectionsCompleted'
      AND NOT EXISTS (SELECT FROM step_results h
                      WHERE h.item_id = r.item_id AND h.version_id = r.version_id AND h.step = r.step
                        AND h.generation > r.generation AND h.outcome = 'done');
$$;
