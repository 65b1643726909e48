-- The generation of each step's result that somebody asked for; none asked: 0.
CREATE OR REPLACE FUNCTION fold_requested_generations(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO requested_generations AS g (item_id, step, user_id, generation)
    SELECT item_id, step, min(user_id), max(generation)
    FROM public.events
    WHERE position BETWEEN first AND last AND type = 'ReprocessRequested'
    GROUP BY item_id, step
    ON CONFLICT (item_id, step) DO UPDATE SET generation = greatest(g.generation, excluded.generation);
$$;
