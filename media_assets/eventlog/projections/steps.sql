-- Where each step stands for the current version of each item. Derived from uploads, step_results and
-- requested_generations of the items that the events touch, so that it doesn't depend on how events are batched.
CREATE OR REPLACE FUNCTION step_graph() RETURNS TABLE (step text, upstream text, kind text) LANGUAGE sql IMMUTABLE AS $$
    VALUES ('probe', NULL, NULL), ('thumbnail', 'probe', 'image'), ('analyze', 'thumbnail', 'image'),
           ('embed', 'analyze', 'image')
$$;

CREATE OR REPLACE FUNCTION fold_steps(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    WITH touched AS (
        SELECT DISTINCT item_id FROM public.events WHERE position BETWEEN first AND last
    ), standing AS (
        SELECT u.item_id, g.step, g.upstream, g.kind IS NULL OR g.kind = u.kind AS applies, u.version_id, u.user_id, u.hour,
               u.position, coalesce(q.generation, 0) AS generation,
               CASE WHEN r.outcome IS NOT NULL THEN r.outcome WHEN r.dead THEN 'dead' ELSE 'pending' END AS state,
               r.recipe, coalesce(r.failures, 0) AS failures, r.retry_at, r.error_code, r.error_message, r.finished_at, r.run_id
        FROM touched t
        JOIN current_uploads u ON u.item_id = t.item_id AND u.removed_at IS NULL
        CROSS JOIN step_graph() g
        LEFT JOIN requested_generations q ON q.item_id = u.item_id AND q.step = g.step
        LEFT JOIN step_results r ON r.item_id = u.item_id AND r.version_id = u.version_id AND r.step = g.step
                                AND r.generation = coalesce(q.generation, 0)
    ), due AS (
        SELECT s.* FROM standing s
        LEFT JOIN standing up ON up.item_id = s.item_id AND up.step = s.upstream
        WHERE s.applies AND (s.upstream IS NULL OR up.state = 'done')
    ), gone AS (
        DELETE FROM steps s USING touched t
        WHERE s.item_id = t.item_id AND NOT EXISTS (SELECT FROM due d WHERE d.item_id = s.item_id AND d.step = s.step)
    )
    INSERT INTO steps (item_id, step, version_id, user_id, hour, position, generation, state, recipe, failures, retry_at,
                       error_code, error_message, finished_at, run_id)
    SELECT item_id, step, version_id, user_id, hour, position, generation, state, recipe, failures, retry_at, error_code,
           error_message, finished_at, run_id
    FROM due
    ON CONFLICT (item_id, step) DO UPDATE
    SET version_id = excluded.version_id, hour = excluded.hour, position = excluded.position,
        generation = excluded.generation, state = excluded.state, recipe = excluded.recipe, failures = excluded.failures,
        retry_at = excluded.retry_at, error_code = excluded.error_code, error_message = excluded.error_message,
        finished_at = excluded.finished_at, run_id = excluded.run_id
    WHERE (steps.version_id, steps.generation, steps.state, steps.failures, steps.retry_at)
          IS DISTINCT FROM
          (excluded.version_id, excluded.generation, excluded.state, excluded.failures, excluded.retry_at);
$$;
