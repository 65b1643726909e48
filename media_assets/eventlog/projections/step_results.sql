-- What each step came to, per version and generation: the first conclusive outcome counts, failures add up.
CREATE OR REPLACE FUNCTION fold_step_results(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO step_results AS r (item_id, version_id, step, generation, user_id, recipe, outcome, finished_at, run_id)
    SELECT DISTINCT ON (e.item_id, p.body->>'version_id', e.step, e.generation)
           e.item_id, p.body->>'version_id', e.step, e.generation, e.user_id, e.recipe,
           CASE e.type WHEN 'UploadRejected' THEN 'rejected' ELSE 'done' END, e.occurred_at, e.run_id
    FROM public.events e JOIN public.event_payloads p USING (event_id)
    WHERE e.position BETWEEN first AND last
      AND e.type IN ('MediaProbed', 'UploadRejected', 'ThumbnailCreated', 'AnalysisCompleted', 'EmbeddingStored')
    ORDER BY e.item_id, p.body->>'version_id', e.step, e.generation, e.position
    ON CONFLICT (item_id, version_id, step, generation) DO UPDATE
    SET recipe = excluded.recipe, outcome = excluded.outcome, finished_at = excluded.finished_at, run_id = excluded.run_id
    WHERE r.outcome IS NULL;

    INSERT INTO step_results AS r
        (item_id, version_id, step, generation, user_id, recipe, failures, retry_at, error_code, error_message, dead)
    SELECT DISTINCT ON (item_id, version_id, step, generation)
           item_id, version_id, step, generation, user_id, recipe,
           sum((type = 'StepFailed')::integer) OVER w, retry_at, code, message, bool_or(type = 'StepAbandoned') OVER w
    FROM (
        SELECT e.*, p.body->>'version_id' AS version_id, (p.body->>'retry_at')::timestamptz AS retry_at,
               p.body->>'code' AS code, p.body->>'message' AS message
        FROM public.events e JOIN public.event_payloads p USING (event_id)
        WHERE e.position BETWEEN first AND last AND e.type IN ('StepFailed', 'StepAbandoned')
    ) f
    WINDOW w AS (PARTITION BY item_id, version_id, step, generation)
    ORDER BY item_id, version_id, step, generation, position DESC
    ON CONFLICT (item_id, version_id, step, generation) DO UPDATE
    SET failures = r.failures + excluded.failures, retry_at = excluded.retry_at, error_code = excluded.error_code,
        error_message = excluded.error_message, dead = r.dead OR excluded.dead;
$$;
