-- Where each step stands for the current version of each item, and for each job (whose id is in the place of an item's then).
-- Derived from uploads, jobs, step_results, step_failures and requested_generations of what the events touch, so that it
-- doesn't depend on how events are batched.

-- The steps there are, what has to be done before each, and for which kind of work they are (NULL: for uploads, before it is
-- known what they are). A frame has nothing to probe. Of jobs, some have texts written first.
CREATE OR REPLACE FUNCTION step_graph() RETURNS TABLE (step text, after text[], kind text) LANGUAGE sql IMMUTABLE AS $$
    VALUES ('probe', '{}'::text[], NULL), ('thumbnail', '{probe}', 'image'), ('detect', '{probe,thumbnail}', 'image'),
           ('analyze', '{probe,thumbnail}', 'image'), ('embed', '{probe,thumbnail,analyze}', 'image'),
           ('frames', '{probe}', 'video'), ('segment', '{probe}', 'video'),
           ('thumbnail', '{}', 'frame'), ('detect', '{thumbnail}', 'frame'), ('analyze', '{thumbnail}', 'frame'),
           ('embed', '{thumbnail,analyze}', 'frame'),
           ('segment', '{}', 'job'), ('vary', '{}', 'varied_job'), ('segment', '{vary}', 'varied_job')
$$;

-- The work there is on an item or a job: of an item its current version, of a job the version that it is about. Nothing
-- of what is gone. `begun_by` is the event that makes the first steps due.
CREATE OR REPLACE FUNCTION current_work(touched uuid[])
RETURNS TABLE (item_id uuid, version_id text, user_id text, hour timestamptz, "position" bigint, kind text, begun_by uuid,
               correlation_id uuid, has_ended boolean)
LANGUAGE sql STABLE AS $$
    SELECT u.item_id, u.version_id, u.user_id, u.hour, u.position, u.kind, u.event_id,
           CASE WHEN u.parent_item_id IS NULL THEN u.event_id ELSE (
               SELECT v.event_id FROM uploads v WHERE v.item_id = u.parent_item_id AND v.version_id = u.parent_version_id
           ) END, false
    FROM unnest(touched) t (item_id)
    CROSS JOIN LATERAL current_upload(t.item_id) u
    WHERE u.removed_at IS NULL
      AND (u.parent_item_id IS NULL OR is_current_frame(u.parent_item_id, u.parent_version_id, u.parent_result_id))
    UNION ALL
    SELECT j.job_id, j.version_id, j.user_id, j.hour, j.position,
           CASE WHEN j.options->'text_input'->>'strategy' = 'base_vary' THEN 'varied_job' ELSE 'job' END, j.event_id,
           j.event_id, j.finished_at IS NOT NULL
    FROM unnest(touched) t (item_id)
    CROSS JOIN LATERAL (SELECT * FROM jobs WHERE job_id = t.item_id LIMIT 1) j
    CROSS JOIN LATERAL (
        SELECT FROM uploads u WHERE u.item_id = j.item_id AND u.version_id = j.version_id AND u.removed_at IS NULL LIMIT 1
    ) u
$$;

-- A recomputation has come to an end for this very content before and was asked for again: new uploads outrank it.
CREATE OR REPLACE FUNCTION fold_steps(touched uuid[]) RETURNS void LANGUAGE sql AS $$
    WITH standing AS (  -- of the steps that apply
        SELECT c.*, coalesce(q.generation, 0) AS generation,
               r.outcome IS NULL AND coalesce(q.generation, 0) > 0 AND (
                   EXISTS (SELECT FROM step_results o
                           WHERE o.item_id = c.item_id AND o.version_id = c.version_id AND o.step = c.step
                             AND o.generation < q.generation)
                   OR EXISTS (SELECT FROM step_failures o
                              WHERE o.item_id = c.item_id AND o.version_id = c.version_id AND o.step = c.step
                                AND o.generation < q.generation AND o.dead)
               ) AS recomputation,
               CASE WHEN r.outcome IS NOT NULL THEN r.outcome WHEN f.dead THEN 'dead' ELSE 'pending' END AS state,
               r.recipe, coalesce(f.failures, 0) AS failures, CASE WHEN r.outcome IS NULL THEN f.retry_at END AS retry_at,
               CASE WHEN r.outcome IS NULL THEN f.error_code ELSE r.error_code END AS error_code,
               CASE WHEN r.outcome IS NULL THEN f.error_message ELSE r.error_message END AS error_message,
               r.finished_at, r.run_id, r.event_id AS result_id,
               coalesce(f.event_id, CASE WHEN q.event_id IS NOT NULL THEN (  -- one from before this upload led to nothing of it
                   SELECT e.event_id FROM public.events e WHERE e.event_id = q.event_id AND e.position > c.position
               ) END) AS own_cause_id
        FROM (
            SELECT w.*, g.step, g.after FROM current_work(touched) w
            JOIN step_graph() g
              ON g.kind = w.kind OR (g.kind IS NULL AND coalesce(w.kind NOT IN ('frame', 'job', 'varied_job'), true))
        ) c
        LEFT JOIN LATERAL (
            SELECT * FROM requested_generations o WHERE o.item_id = c.item_id AND o.step = c.step LIMIT 1
        ) q ON true
        LEFT JOIN LATERAL (
            SELECT * FROM step_results o
            WHERE o.item_id = c.item_id AND o.version_id = c.version_id AND o.step = c.step
              AND o.generation = coalesce(q.generation, 0) LIMIT 1
        ) r ON true
        LEFT JOIN LATERAL (
            SELECT * FROM step_failures o
            WHERE o.item_id = c.item_id AND o.version_id = c.version_id AND o.step = c.step
              AND o.generation = coalesce(q.generation, 0) LIMIT 1
        ) f ON true
    ), judged AS (
        SELECT *, after <@ coalesce(array_agg(step) FILTER (WHERE state = 'done') OVER item, '{}')
                  AND NOT (has_ended AND state = 'pending') AS due,
               coalesce(own_cause_id,
                        (array_agg(result_id) OVER item)[array_position(array_agg(step) OVER item, after[cardinality(after)])],
                        begun_by) AS cause_id
        FROM standing WINDOW item AS (PARTITION BY item_id)
    ), gone AS (
        DELETE FROM steps s
        WHERE s.item_id = ANY (touched)
          AND NOT EXISTS (SELECT FROM judged j WHERE j.item_id = s.item_id AND j.step = s.step AND j.due)
    )
    INSERT INTO steps AS s (item_id, step, version_id, user_id, hour, position, generation, recomputation, state, recipe,
                            failures, retry_at, error_code, error_message, finished_at, run_id, correlation_id, cause_id)
    SELECT item_id, step, version_id, user_id, hour, position, generation, recomputation, state, recipe, failures, retry_at,
           error_code, error_message, finished_at, run_id, correlation_id, cause_id
    FROM judged WHERE due
    ON CONFLICT (item_id, step) DO UPDATE
    SET version_id = excluded.version_id, hour = excluded.hour, position = excluded.position,
        generation = excluded.generation, recomputation = excluded.recomputation, state = excluded.state,
        recipe = excluded.recipe, failures = excluded.failures, retry_at = excluded.retry_at,
        error_code = excluded.error_code, error_message = excluded.error_message, finished_at = excluded.finished_at,
        run_id = excluded.run_id, correlation_id = excluded.correlation_id, cause_id = excluded.cause_id
    WHERE s.* IS DISTINCT FROM excluded.*;
$$;
