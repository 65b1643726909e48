-- The one function that removes payloads: it ends the streams of items with ItemErased, in the same transaction.
--
-- batch: ItemErased events, as append_batch takes them. Returns {payloads, rows: {read model: rows}}: how much was removed.
CREATE OR REPLACE FUNCTION erase_items(batch jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    -- A job's id is in the place of an item's where the work is a job's.
    items    uuid[] := ARRAY(SELECT coalesce(b->>'job_id', b->>'item_id')::uuid FROM jsonb_array_elements(batch) b);
    streams  text[] := ARRAY(SELECT b->>'stream_id' FROM jsonb_array_elements(batch) b);
    model    text;
    number   bigint;
    payloads bigint;
    counts   jsonb := '{}';
BEGIN
    IF jsonb_path_exists(batch, '$[*] ? (@.type != "ItemErased")') THEN
        RAISE EXCEPTION 'erase_items appends ItemErased and nothing else' USING ERRCODE = 'MA005';
    END IF;
    PERFORM pg_advisory_xact_lock(7236454);  -- the lock of append_batch: nothing comes between counting and removing
    FOR model IN SELECT * FROM item_read_models() LOOP
        EXECUTE format('SELECT count(*) FROM %I WHERE item_id = ANY ($1)', model) INTO number USING items;
        counts := counts || jsonb_build_object(model, number);
    END LOOP;
    PERFORM append_batch(batch);
    DELETE FROM event_payloads p USING events e
    WHERE e.stream_id = ANY (streams) AND e.type <> 'ItemErased' AND p.event_id = e.event_id;
    GET DIAGNOSTICS payloads = ROW_COUNT;
    DELETE FROM claims WHERE item_id = ANY (items);
    RETURN jsonb_build_object('payloads', payloads, 'rows', counts);
END $$;
REVOKE ALL ON FUNCTION erase_items(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_items(jsonb) TO media_assets_eraser;
