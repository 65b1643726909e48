-- Attempts that failed, per version and generation: failures add up, the last one's reason is shown.
CREATE OR REPLACE FUNCTION fold_step_failures(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO step_failures AS f
        (item_id, version_id, step, generation, user_id, failures, retry_at, error_code, error_message, dead, event_id)
    SELECT DISTINCT ON (item_id, version_id, step, generation)
           item_id, version_id, step, generation, user_id, sum((type = 'StepFailed')::integer) OVER w,
           (body->>'retry_at')::timestamptz, body->>'code', body->>'message', bool_or(type = 'StepAbandoned') OVER w,
           event_id
    FROM (
        SELECT coalesce(e.job_id, e.item_id) AS item_id, e.body->>'version_id' AS version_id, e.step, e.generation, e.user_id,
               e.type, e.body, e.event_id, e.position
        FROM public.told e
        WHERE e.position BETWEEN first AND last AND e.type IN ('StepFailed', 'StepAbandoned')
    ) told
    WINDOW w AS (PARTITION BY item_id, version_id, step, generation)
    ORDER BY item_id, version_id, step, generation, position DESC
    ON CONFLICT (item_id, version_id, step, generation) DO UPDATE
    SET failures = f.failures + excluded.failures, retry_at = excluded.retry_at, error_code = excluded.error_code,
        error_message = excluded.error_message, dead = f.dead OR excluded.dead, event_id = excluded.event_id;
$$;
