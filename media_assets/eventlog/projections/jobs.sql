-- Jobs: what was asked for and how far it is. The first end counts; nothing that comes after it, or was said before the job
-- was submitted, changes anything.
CREATE OR REPLACE FUNCTION fold_jobs(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO jobs (job_id, item_id, user_id, version_id, hour, position, event_id, options, state, progress, submitted_at,
                      updated_at)
    SELECT e.job_id, e.item_id, e.user_id, e.body->>'version_id', (e.body->>'hour')::timestamptz, e.position, e.event_id,
           e.body->'options', 'pending', 0, e.occurred_at, e.occurred_at
    FROM public.told e
    WHERE e.position BETWEEN first AND last AND e.type = 'JobSubmitted'
    ON CONFLICT DO NOTHING;

    WITH told AS (
        SELECT e.*, j.version_id, min(e.position) FILTER (WHERE e.type IN ('JobCompleted', 'JobFailed', 'JobCancelled'))
                    OVER (PARTITION BY e.job_id) AS ends_at
        FROM public.told e CROSS JOIN LATERAL (SELECT * FROM jobs WHERE job_id = e.job_id LIMIT 1) j
        WHERE e.position BETWEEN first AND last AND e.position > j.position AND j.finished_at IS NULL
          AND e.type IN ('JobStarted', 'JobProgressed', 'TextVaried', 'JobCompleted', 'JobFailed', 'JobCancelled')
    ), news AS (
        SELECT t.job_id, (array_agg(t.occurred_at ORDER BY t.position) FILTER (WHERE t.type = 'JobStarted'))[1] AS started_at,
               (array_agg((t.body->>'percent')::integer ORDER BY t.position DESC)
                   FILTER (WHERE t.type = 'JobProgressed'))[1] AS progress,
               (array_agg(t.body->'texts') FILTER (WHERE t.type = 'TextVaried' AND t.event_id = (
                   SELECT r.event_id FROM step_results r
                   WHERE r.item_id = t.job_id AND r.version_id = t.version_id AND r.step = t.step AND r.generation = 0
               )))[1] AS texts,
               (array_agg(t.occurred_at ORDER BY t.position DESC))[1] AS updated_at,
               (array_agg(t.type) FILTER (WHERE t.position = t.ends_at))[1] AS ended,
               (array_agg(t.body) FILTER (WHERE t.position = t.ends_at))[1] AS said
        FROM told t WHERE t.position <= coalesce(t.ends_at, t.position)
        GROUP BY t.job_id
    )
    UPDATE jobs j
    SET state = CASE n.ended WHEN 'JobCompleted' THEN 'completed' WHEN 'JobFailed' THEN 'failed'
                             WHEN 'JobCancelled' THEN 'cancelled'
                             ELSE CASE WHEN n.started_at IS NOT NULL THEN 'processing' ELSE j.state END END,
        progress = CASE WHEN n.ended = 'JobCompleted' THEN 100 ELSE coalesce(n.progress, j.progress) END,
        texts = coalesce(j.texts, n.texts), segments = (n.said->>'segments')::integer, error_code = n.said->>'code',
        error_message = coalesce(n.said->>'message', n.said->>'reason'), started_at = coalesce(j.started_at, n.started_at),
        finished_at = CASE WHEN n.ended IS NOT NULL THEN n.updated_at END, updated_at = n.updated_at
    FROM news n WHERE j.job_id = n.job_id;
$$;
