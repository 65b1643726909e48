-- What is known of an erased item: nothing. Comes after whatever was told of it before, also when the log is replayed, where
-- events without a payload of their own have left rows again.
CREATE OR REPLACE FUNCTION fold_erased_items(first bigint, last bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    erased uuid[] := ARRAY(
        SELECT coalesce(job_id, item_id) FROM public.events WHERE position BETWEEN first AND last AND type = 'ItemErased'
    );
    model  text;
BEGIN
    IF cardinality(erased) > 0 THEN
        FOR model IN SELECT * FROM item_read_models() LOOP
            EXECUTE format('DELETE FROM %I WHERE item_id = ANY ($1)', model) USING erased;
        END LOOP;
    END IF;
END $$;

-- The read models that have rows of single items.
CREATE OR REPLACE FUNCTION item_read_models() RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
    VALUES ('uploads'), ('step_results'), ('step_failures'), ('requested_generations'), ('thumbnails'), ('detections'),
           ('analyses'), ('embeddings'), ('segments'), ('jobs'), ('steps'), ('items')
$$;
