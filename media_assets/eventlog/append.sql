-- Append in one round trip: lock, id check, version check, insert, chain, fold.
--
-- The advisory lock is held until the transaction ends, so positions become visible in their own order and a reader that
-- asks for `position > cursor` misses nothing. It needs READ COMMITTED: under a frozen snapshot the head would be stale.
--
-- batch: array of {event_id, stream_id, expected_version, type, schema_version, occurred_at, user_id, item_id, job_id, step,
-- recipe, generation, target, target_reason, run_id, attempt_id, milliseconds, memory_mb, tokens_in, tokens_out,
-- micro_dollars, correlation_id, causation_id, body}.
--
-- Returns, in the batch's order, each event's position and whether this call inserted it. An id that the log holds is
-- answered whatever else is said of it; what is new is checked and stands or falls together.
CREATE OR REPLACE FUNCTION append_batch(batch jsonb) RETURNS TABLE (event_position bigint, inserted boolean)
LANGUAGE plpgsql AS $$
DECLARE
    head      bigint;
    head_hash bytea;
    told_at   timestamptz;
    appended  bigint;
    unknown   jsonb;
    closed    jsonb;
    conflict  jsonb;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append needs READ COMMITTED, not %', current_setting('transaction_isolation')
            USING ERRCODE = 'MA003';
    END IF;
    PERFORM pg_advisory_xact_lock(7236454);
    SELECT e.position, e.hash INTO head, head_hash FROM events e ORDER BY e.position DESC LIMIT 1;
    head := coalesce(head, 0);
    head_hash := coalesce(head_hash, decode(repeat('00', 32), 'hex'));
    told_at := clock_timestamp();

    WITH incoming AS MATERIALIZED (
        SELECT n.*, head + row_number() OVER (ORDER BY n.ordinal) AS position,
               coalesce(newest.version, 0) + (row_number() OVER stream)::integer AS version,
               coalesce(lag(n.type) OVER stream, newest.type) = 'ItemErased' OR (  -- or of a job whose video was erased
                   n.job_id IS NOT NULL AND n.type <> 'ItemErased'
                   AND EXISTS (SELECT FROM events x WHERE x.item_id = n.item_id AND x.type = 'ItemErased')
               ) AS is_closed,
               known.schema_version AS known_version,
               payload_digest(n.body) AS payload_sha256
        FROM (
            SELECT DISTINCT ON (f.event_id) b.ordinal, f.*
            FROM jsonb_array_elements(batch) WITH ORDINALITY AS b (fields, ordinal)
            CROSS JOIN LATERAL jsonb_to_record(b.fields) AS f (
                event_id uuid, stream_id text, expected_version integer, type text, schema_version integer,
                occurred_at timestamptz, user_id text, item_id uuid, job_id uuid, step text, recipe text, generation integer,
                target text, target_reason text, run_id text, attempt_id text, milliseconds bigint, memory_mb integer, tokens_in bigint,
                tokens_out bigint, micro_dollars bigint, correlation_id uuid, causation_id uuid, body jsonb)
            LEFT JOIN LATERAL (
                SELECT true AS known FROM events e WHERE e.event_id = f.event_id LIMIT 1
            ) present ON true
            WHERE present.known IS NULL
            ORDER BY f.event_id, b.ordinal
        ) n
        LEFT JOIN LATERAL (
            SELECT e.version, e.type FROM events e WHERE e.stream_id = n.stream_id ORDER BY e.version DESC LIMIT 1
        ) newest ON true
        LEFT JOIN event_types known ON known.type = n.type
        WINDOW stream AS (PARTITION BY n.stream_id ORDER BY n.ordinal)
    ), hashes AS MATERIALIZED (
        SELECT head + h.number AS position, h.hash
        FROM chained_hashes(head_hash, ARRAY(
            SELECT event_bytes(ROW(
                i.position, i.event_id, i.stream_id, i.version, i.type, i.schema_version, i.occurred_at, told_at, i.user_id,
                i.item_id, i.step, i.recipe, i.generation, i.target, i.run_id, i.milliseconds, i.memory_mb, i.tokens_in,
                i.tokens_out, i.attempt_id, i.micro_dollars, i.correlation_id, i.causation_id, i.payload_sha256,
                NULL, i.target_reason, i.job_id)::events)
            FROM incoming i ORDER BY i.position
        )) WITH ORDINALITY AS h (hash, number)
    ), payloads AS (
        INSERT INTO event_payloads (event_id, body) SELECT i.event_id, i.body FROM incoming i
    ), log AS (
        INSERT INTO events (position, event_id, stream_id, version, type, schema_version, occurred_at, recorded_at, user_id,
                            item_id, step, recipe, generation, target, run_id, milliseconds, memory_mb, tokens_in,
                            tokens_out, attempt_id, micro_dollars, correlation_id, causation_id, payload_sha256, hash,
                            target_reason, job_id)
        SELECT i.position, i.event_id, i.stream_id, i.version, i.type, i.schema_version, i.occurred_at, told_at, i.user_id,
               i.item_id, i.step, i.recipe, i.generation, i.target, i.run_id, i.milliseconds, i.memory_mb, i.tokens_in,
               i.tokens_out, i.attempt_id, i.micro_dollars, i.correlation_id, i.causation_id, i.payload_sha256,
               h.hash, i.target_reason, i.job_id
        FROM incoming i JOIN hashes h USING (position)
    )
    SELECT count(*),
           (jsonb_agg(jsonb_build_object(
               'type', i.type, 'schema_version', i.schema_version, 'known', i.known_version) ORDER BY i.position)
               FILTER (WHERE i.schema_version > i.known_version IS NOT FALSE))->0,
           jsonb_agg(DISTINCT i.stream_id) FILTER (WHERE i.is_closed),
           (jsonb_agg(jsonb_build_object(
               'stream_id', i.stream_id, 'expected', i.expected_version, 'actual', i.version - 1) ORDER BY i.position)
               FILTER (WHERE i.expected_version <> i.version - 1))->0
    INTO appended, unknown, closed, conflict
    FROM incoming i;

    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'the log knows no % of version %', unknown->>'type', unknown->>'schema_version'
            USING ERRCODE = CASE WHEN unknown->>'known' IS NULL THEN 'MA006' ELSE 'MA007' END, DETAIL = unknown::text;
    ELSIF closed IS NOT NULL THEN
        RAISE EXCEPTION 'nothing follows in a stream whose item was erased' USING ERRCODE = 'MA004', DETAIL = closed::text;
    ELSIF conflict IS NOT NULL THEN
        RAISE EXCEPTION 'stream % is at version %, not at the expected %',
            conflict->>'stream_id', conflict->>'actual', conflict->>'expected'
            USING ERRCODE = 'MA001', DETAIL = conflict::text;
    END IF;

    IF appended > 0 THEN
        PERFORM fold(head + 1, head + appended);
    END IF;

    IF appended = jsonb_array_length(batch) THEN  -- all of it is new, and at its place
        RETURN QUERY SELECT head + number, true FROM generate_series(1, appended) AS number;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT e.position, e.position > head AND row_number() OVER (PARTITION BY e.event_id ORDER BY b.ordinal) = 1
    FROM jsonb_array_elements(batch) WITH ORDINALITY AS b (fields, ordinal)
    CROSS JOIN LATERAL (
        SELECT o.event_id, o.position FROM events o WHERE o.event_id = (b.fields->>'event_id')::uuid LIMIT 1
    ) e
    ORDER BY b.ordinal;
END $$;
REVOKE ALL ON FUNCTION append_batch(jsonb) FROM PUBLIC;

-- What the application may append: anything but the end of a stream, which takes its payloads along.
CREATE OR REPLACE FUNCTION append_events(batch jsonb) RETURNS TABLE (event_position bigint, inserted boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF jsonb_path_exists(batch, '$[*] ? (@.type == "ItemErased")') THEN
        RAISE EXCEPTION 'an item is erased by erase_items, which removes what was said of it' USING ERRCODE = 'MA005';
    END IF;
    RETURN QUERY SELECT * FROM append_batch(batch);
END $$;
REVOKE ALL ON FUNCTION append_events(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_events(jsonb) TO media_assets_app;
