-- One SHA-256 chain in position order: hash = SHA-256(the hash before || the event's clear columns as canonical JSON), from
-- 32 zero bytes on. chain.py is the same in Python; docs/event-log.md describes the bytes for everybody else.

CREATE OR REPLACE FUNCTION microseconds(moment timestamptz) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (extract(epoch FROM moment) * 1000000)::bigint
$$;

CREATE OR REPLACE FUNCTION payload_digest(body jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(body::text, 'UTF8'))
$$;

-- Columns that are null are left out, so that one which is added later doesn't change the bytes of older events.
CREATE OR REPLACE FUNCTION event_bytes(e events) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT convert_to(jsonb_strip_nulls(jsonb_build_object(
        'position', e.position, 'event_id', e.event_id, 'stream_id', e.stream_id, 'version', e.version, 'type', e.type,
        'schema_version', e.schema_version, 'occurred_at', microseconds(e.occurred_at),
        'recorded_at', microseconds(e.recorded_at), 'user_id', e.user_id, 'item_id', e.item_id, 'step', e.step,
        'recipe', e.recipe, 'generation', e.generation, 'target', e.target, 'run_id', e.run_id, 'attempt_id', e.attempt_id,
        'milliseconds', e.milliseconds, 'memory_mb', e.memory_mb, 'tokens_in', e.tokens_in, 'tokens_out', e.tokens_out,
        'micro_dollars', e.micro_dollars, 'correlation_id', e.correlation_id, 'causation_id', e.causation_id,
        'payload_sha256', encode(e.payload_sha256, 'hex')
    ))::text, 'UTF8')
$$;

CREATE OR REPLACE FUNCTION link_hash(previous bytea, start bytea, bytes bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(coalesce(previous, start) || bytes)
$$;
CREATE OR REPLACE AGGREGATE chained_hash(start bytea, bytes bytea) (SFUNC = link_hash, STYPE = bytea);
