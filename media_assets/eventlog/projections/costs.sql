-- What outcomes cost, by user, day (UTC) and step. Of clear columns only, so that what was spent on an item outlives it.
CREATE OR REPLACE FUNCTION fold_costs(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO costs AS c (user_id, day, step, target, outcomes, failures, milliseconds, megabyte_milliseconds, tokens_in,
                            tokens_out, micro_dollars)
    SELECT user_id, (occurred_at AT TIME ZONE 'UTC')::date, step, target, count(*) FILTER (WHERE type <> 'StepFailed'),
           count(*) FILTER (WHERE type = 'StepFailed'), sum(milliseconds), sum(milliseconds * memory_mb), sum(tokens_in),
           sum(tokens_out), sum(micro_dollars)
    FROM public.events
    WHERE position BETWEEN first AND last AND step IS NOT NULL AND target IS NOT NULL AND type <> 'StepAbandoned'
    GROUP BY 1, 2, 3, 4
    ON CONFLICT (user_id, day, step, target) DO UPDATE
    SET outcomes = c.outcomes + excluded.outcomes, failures = c.failures + excluded.failures,
        milliseconds = c.milliseconds + excluded.milliseconds,
        megabyte_milliseconds = c.megabyte_milliseconds + excluded.megabyte_milliseconds,
        tokens_in = c.tokens_in + excluded.tokens_in, tokens_out = c.tokens_out + excluded.tokens_out,
        micro_dollars = c.micro_dollars + excluded.micro_dollars;
$$;
