-- Users whose budget is spent: their work on models waits until spending is resumed.
CREATE OR REPLACE FUNCTION fold_spending_stops(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    WITH newest AS (
        SELECT DISTINCT ON (user_id) * FROM public.told
        WHERE position BETWEEN first AND last AND type IN ('SpendingStopped', 'SpendingResumed')
        ORDER BY user_id, position DESC
    ), resumed AS (
        DELETE FROM spending_stops s USING newest n WHERE n.type = 'SpendingResumed' AND s.user_id = n.user_id
    )
    INSERT INTO spending_stops AS s (user_id, day, step, limit_micro_dollars, spent_micro_dollars, stopped_at)
    SELECT user_id, (body->>'day')::date, body->>'step', (body->>'limit_micro_dollars')::bigint,
           (body->>'spent_micro_dollars')::bigint, occurred_at
    FROM newest WHERE type = 'SpendingStopped'
    ON CONFLICT (user_id) DO UPDATE
    SET day = excluded.day, step = excluded.step, limit_micro_dollars = excluded.limit_micro_dollars,
        spent_micro_dollars = excluded.spent_micro_dollars, stopped_at = excluded.stopped_at;
$$;
