-- Every read model, in the order of what they are derived from. Append and replay both call this and nothing else.
--
-- Always by key, with plans made once: in a bulk import, and in a replay's fresh tables, the statistics lag behind, and a
-- plan that scanned a table when it was small would make every append slower than the one before.
CREATE OR REPLACE FUNCTION fold(first bigint, last bigint) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    types   text[];
    touched uuid[];
BEGIN
    SELECT array_agg(DISTINCT type), array_agg(DISTINCT item_id) FILTER (WHERE item_id IS NOT NULL) INTO types, touched
    FROM public.events WHERE position BETWEEN first AND last;
    PERFORM fold_uploads(first, last);
    PERFORM fold_step_results(first, last);
    PERFORM fold_step_failures(first, last);
    PERFORM fold_requested_generations(first, last);
    PERFORM fold_thumbnails(first, last);
    PERFORM fold_analyses(first, last);
    PERFORM fold_embeddings(first, last);
    PERFORM fold_costs(first, last);
    PERFORM fold_spending_stops(first, last);
    PERFORM fold_erased_items(first, last);
    PERFORM fold_steps(touched);
    PERFORM fold_items(touched);
END $$;
