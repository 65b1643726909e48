-- One SHA-256 chain in position order: hash = SHA-256(the hash before || the event's clear columns as canonical JSON), from
-- 32 zero bytes on. chain.py is the same in Python; docs/event-log.md describes the bytes for everybody else.

CREATE OR REPLACE FUNCTION microseconds(moment timestamptz) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (extract(epoch FROM moment) * 1000000)::bigint
$$;

CREATE OR REPLACE FUNCTION payload_digest(body jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(body::text, 'UTF8'))
$$;

-- The text that jsonb would give the columns that aren't null, written down in its order of names (shorter ones first), which
-- takes a third of the time. A new column gets its place by the length of its name, then its letters; it has to be nullable,
-- so that the bytes of older events stay what they are.
CREATE OR REPLACE FUNCTION event_bytes(e events) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT convert_to('{' || concat(
        '"step": ' || to_json(e.step) || ', ', '"type": ', to_json(e.type), ', "job_id": "' || e.job_id || '"',
        ', "recipe": ' || to_json(e.recipe), ', "run_id": ' || to_json(e.run_id), ', "target": ' || to_json(e.target),
        ', "item_id": "' || e.item_id || '"', ', "user_id": ', to_json(e.user_id), ', "version": ', e.version, ', "event_id": "', e.event_id,
        '", "position": ', e.position, ', "memory_mb": ', e.memory_mb, ', "stream_id": ', to_json(e.stream_id),
        ', "tokens_in": ', e.tokens_in, ', "attempt_id": ' || to_json(e.attempt_id), ', "generation": ' || e.generation,
        ', "tokens_out": ', e.tokens_out, ', "occurred_at": ', microseconds(e.occurred_at),
        ', "recorded_at": ', microseconds(e.recorded_at), ', "causation_id": "' || e.causation_id || '"',
        ', "milliseconds": ', e.milliseconds, ', "micro_dollars": ', e.micro_dollars,
        ', "target_reason": ' || to_json(e.target_reason), ', "correlation_id": "' || e.correlation_id || '"', ', "payload_sha256": "', encode(e.payload_sha256, 'hex'),
        '", "schema_version": ', e.schema_version
    ) || '}', 'UTF8')
$$;

-- The hash of each of the events, by their bytes in position order, from the hash before them on.
CREATE OR REPLACE FUNCTION chained_hashes(start bytea, bytes bytea[]) RETURNS SETOF bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    last bytea := start;
    each bytea;
BEGIN
    FOREACH each IN ARRAY bytes LOOP
        last := sha256(last || each);
        RETURN NEXT last;
    END LOOP;
END $$;
