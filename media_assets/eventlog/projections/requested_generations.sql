-- The generation of each step's result that somebody asked for; none asked: 0.
CREATE OR REPLACE FUNCTION fold_requested_generations(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO requested_generations AS g (item_id, step, user_id, generation, event_id)
    SELECT DISTINCT ON (item_id, step) item_id, step, user_id, generation, event_id
    FROM public.events
    WHERE position BETWEEN first AND last AND type = 'ReprocessRequested'
    ORDER BY item_id, step, generation DESC, position
    ON CONFLICT (item_id, step) DO UPDATE SET generation = excluded.generation, event_id = excluded.event_id
    WHERE excluded.generation > g.generation;
$$;
