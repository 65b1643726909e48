-- Append in one round trip: lock, id check, version check, insert, fold.
--
-- The advisory lock is held until the transaction ends, so positions become visible in their own order and a reader that
-- asks for `position > cursor` misses nothing. It needs READ COMMITTED: under a frozen snapshot the head would be stale.
--
-- batch: array of {event_id, stream_id, expected_version, type, schema_version, occurred_at, user_id, item_id, step,
-- recipe, generation, target, run_id, milliseconds, memory_mb, tokens_in, tokens_out, body}.

-- The events of a batch that the log doesn't hold yet, each with the position and the version it is to have.
CREATE OR REPLACE FUNCTION number_incoming(batch jsonb, head bigint)
RETURNS TABLE (fields jsonb, new_position bigint, new_version integer, expected_version integer) LANGUAGE sql AS $$
    SELECT n.fields, head + row_number() OVER (ORDER BY n.ordinal),
           s.newest + (row_number() OVER (PARTITION BY n.stream_id ORDER BY n.ordinal))::integer, n.expected_version
    FROM (
        SELECT DISTINCT ON ((b.fields->>'event_id')::uuid)
               b.ordinal, b.fields, b.fields->>'stream_id' AS stream_id,
               (b.fields->>'expected_version')::integer AS expected_version
        FROM jsonb_array_elements(batch) WITH ORDINALITY AS b (fields, ordinal)
        LEFT JOIN LATERAL (
            SELECT true AS known FROM public.events e WHERE e.event_id = (b.fields->>'event_id')::uuid LIMIT 1
        ) present ON true
        WHERE present.known IS NULL
        ORDER BY (b.fields->>'event_id')::uuid, b.ordinal
    ) n
    CROSS JOIN LATERAL (SELECT coalesce(max(e.version), 0) AS newest FROM public.events e WHERE e.stream_id = n.stream_id) s
$$;

-- Returns, in the batch's order, each event's position and whether this call inserted it.
CREATE OR REPLACE FUNCTION append_events(batch jsonb) RETURNS TABLE (event_position bigint, inserted boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    head     bigint;
    appended bigint;
    conflict record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append needs READ COMMITTED, not %', current_setting('transaction_isolation')
            USING ERRCODE = 'MA003';
    END IF;
    PERFORM pg_advisory_xact_lock(7236454);
    head := coalesce((SELECT max(position) FROM events), 0);

    IF jsonb_path_exists(batch, '$[*].expected_version ? (@ != null)') THEN
        SELECT i.fields->>'stream_id' AS stream_id, i.expected_version AS expected, i.new_version - 1 AS actual INTO conflict
        FROM number_incoming(batch, head) i
        WHERE i.expected_version <> i.new_version - 1 ORDER BY i.new_position LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'stream % is at version %, not at the expected %',
                conflict.stream_id, conflict.actual, conflict.expected
                USING ERRCODE = 'MA001', DETAIL = to_jsonb(conflict)::text;
        END IF;
    END IF;

    WITH incoming AS MATERIALIZED (
        SELECT * FROM number_incoming(batch, head)
    ), payloads AS (
        INSERT INTO event_payloads (event_id, body) SELECT (i.fields->>'event_id')::uuid, i.fields->'body' FROM incoming i
    )
    INSERT INTO events (position, event_id, stream_id, version, type, schema_version, occurred_at, user_id, item_id, step,
                        recipe, generation, target, run_id, milliseconds, memory_mb, tokens_in, tokens_out)
    SELECT i.new_position, f.event_id, f.stream_id, i.new_version, f.type, f.schema_version, f.occurred_at, f.user_id,
           f.item_id, f.step, f.recipe, f.generation, f.target, f.run_id, f.milliseconds, f.memory_mb, f.tokens_in,
           f.tokens_out
    FROM incoming i
    CROSS JOIN LATERAL jsonb_to_record(i.fields) AS f (
        event_id uuid, stream_id text, type text, schema_version integer, occurred_at timestamptz, user_id text,
        item_id uuid, step text, recipe text, generation integer, target text, run_id text, milliseconds bigint,
        memory_mb integer, tokens_in bigint, tokens_out bigint)
    ORDER BY i.new_position;
    GET DIAGNOSTICS appended = ROW_COUNT;

    IF appended > 0 THEN
        PERFORM fold(head + 1, head + appended);
    END IF;

    RETURN QUERY
    SELECT e.position, e.position > head AND row_number() OVER (PARTITION BY e.event_id ORDER BY b.ordinal) = 1
    FROM jsonb_array_elements(batch) WITH ORDINALITY AS b (fields, ordinal)
    CROSS JOIN LATERAL (
        SELECT o.event_id, o.position FROM events o WHERE o.event_id = (b.fields->>'event_id')::uuid LIMIT 1
    ) e
    ORDER BY b.ordinal;
END $$;
REVOKE ALL ON FUNCTION append_events(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_events(jsonb) TO media_assets_app;
