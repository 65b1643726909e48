-- A database of revision 0003, as pg_dump wrote it (--inserts --no-owner, without its comments): the tables and functions that
-- there were then, a log of 18 events, the read models that were folded from it, and rows in some operational tables.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;

CREATE FUNCTION public.append_batch(batch jsonb) RETURNS TABLE(event_position bigint, inserted boolean)
    LANGUAGE plpgsql
    AS $$
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
               coalesce(lag(n.type) OVER stream, newest.type) = 'ItemErased' AS is_closed,
               known.schema_version AS known_version,
               payload_digest(n.body) AS payload_sha256
        FROM (
            SELECT DISTINCT ON (f.event_id) b.ordinal, f.*
            FROM jsonb_array_elements(batch) WITH ORDINALITY AS b (fields, ordinal)
            CROSS JOIN LATERAL jsonb_to_record(b.fields) AS f (
                event_id uuid, stream_id text, expected_version integer, type text, schema_version integer,
                occurred_at timestamptz, user_id text, item_id uuid, step text, recipe text, generation integer, target text,
                target_reason text, run_id text, attempt_id text, milliseconds bigint, memory_mb integer, tokens_in bigint,
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
                NULL, i.target_reason)::events)
            FROM incoming i ORDER BY i.position
        )) WITH ORDINALITY AS h (hash, number)
    ), payloads AS (
        INSERT INTO event_payloads (event_id, body) SELECT i.event_id, i.body FROM incoming i
    ), log AS (
        INSERT INTO events (position, event_id, stream_id, version, type, schema_version, occurred_at, recorded_at, user_id,
                            item_id, step, recipe, generation, target, run_id, milliseconds, memory_mb, tokens_in,
                            tokens_out, attempt_id, micro_dollars, correlation_id, causation_id, payload_sha256, hash,
                            target_reason)
        SELECT i.position, i.event_id, i.stream_id, i.version, i.type, i.schema_version, i.occurred_at, told_at, i.user_id,
               i.item_id, i.step, i.recipe, i.generation, i.target, i.run_id, i.milliseconds, i.memory_mb, i.tokens_in,
               i.tokens_out, i.attempt_id, i.micro_dollars, i.correlation_id, i.causation_id, i.payload_sha256,
               h.hash, i.target_reason
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

CREATE FUNCTION public.append_events(batch jsonb) RETURNS TABLE(event_position bigint, inserted boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $_$
BEGIN
    IF jsonb_path_exists(batch, '$[*] ? (@.type == "ItemErased")') THEN
        RAISE EXCEPTION 'an item is erased by erase_items, which removes what was said of it' USING ERRCODE = 'MA005';
    END IF;
    RETURN QUERY SELECT * FROM append_batch(batch);
END $_$;

CREATE FUNCTION public.chained_hashes(start bytea, bytes bytea[]) RETURNS SETOF bytea
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
DECLARE
    last bytea := start;
    each bytea;
BEGIN
    FOREACH each IN ARRAY bytes LOOP
        last := sha256(last || each);
        RETURN NEXT last;
    END LOOP;
END $$;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE public.uploads (
    item_id uuid NOT NULL,
    version_id text NOT NULL,
    user_id text NOT NULL,
    bucket text NOT NULL,
    key text NOT NULL,
    etag text NOT NULL,
    size_bytes bigint NOT NULL,
    sequencer text NOT NULL,
    hour timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    "position" bigint NOT NULL,
    kind text,
    format text,
    content_type text,
    width integer,
    height integer,
    orientation integer,
    frames integer,
    exif jsonb,
    probe_generation integer,
    removed_at timestamp with time zone,
    event_id uuid NOT NULL,
    CONSTRAINT uploads_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.uploads FORCE ROW LEVEL SECURITY;

CREATE FUNCTION public.current_upload(wanted uuid) RETURNS SETOF public.uploads
    LANGUAGE sql STABLE
    AS $$
    SELECT * FROM uploads WHERE item_id = wanted
    ORDER BY (removed_at IS NOT NULL), sequencer COLLATE "C" DESC, position DESC LIMIT 1
$$;

CREATE FUNCTION public.erase_items(batch jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $_$
DECLARE
    items    uuid[] := ARRAY(SELECT (b->>'item_id')::uuid FROM jsonb_array_elements(batch) b);
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
END $_$;

CREATE TABLE public.events (
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    stream_id text NOT NULL,
    version integer NOT NULL,
    type text NOT NULL,
    schema_version integer NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    user_id text NOT NULL,
    item_id uuid,
    step text,
    recipe text,
    generation integer,
    target text,
    run_id text,
    milliseconds bigint DEFAULT 0 NOT NULL,
    memory_mb integer DEFAULT 0 NOT NULL,
    tokens_in bigint DEFAULT 0 NOT NULL,
    tokens_out bigint DEFAULT 0 NOT NULL,
    attempt_id text,
    micro_dollars bigint DEFAULT 0 NOT NULL,
    correlation_id uuid,
    causation_id uuid,
    payload_sha256 bytea NOT NULL,
    hash bytea NOT NULL,
    target_reason text,
    CONSTRAINT events_generation_check CHECK ((generation >= 0)),
    CONSTRAINT events_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT events_micro_dollars_check CHECK ((micro_dollars >= 0)),
    CONSTRAINT events_payload_sha256_check CHECK ((octet_length(payload_sha256) = 32)),
    CONSTRAINT events_schema_version_check CHECK ((schema_version > 0)),
    CONSTRAINT events_user_id_check CHECK ((user_id <> ''::text)),
    CONSTRAINT events_version_check CHECK ((version > 0))
);

ALTER TABLE ONLY public.events FORCE ROW LEVEL SECURITY;

CREATE FUNCTION public.event_bytes(e public.events) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    SELECT convert_to('{' || concat(
        '"step": ' || to_json(e.step) || ', ', '"type": ', to_json(e.type), ', "recipe": ' || to_json(e.recipe),
        ', "run_id": ' || to_json(e.run_id), ', "target": ' || to_json(e.target), ', "item_id": "' || e.item_id || '"',
        ', "user_id": ', to_json(e.user_id), ', "version": ', e.version, ', "event_id": "', e.event_id,
        '", "position": ', e.position, ', "memory_mb": ', e.memory_mb, ', "stream_id": ', to_json(e.stream_id),
        ', "tokens_in": ', e.tokens_in, ', "attempt_id": ' || to_json(e.attempt_id), ', "generation": ' || e.generation,
        ', "tokens_out": ', e.tokens_out, ', "occurred_at": ', microseconds(e.occurred_at),
        ', "recorded_at": ', microseconds(e.recorded_at), ', "causation_id": "' || e.causation_id || '"',
        ', "milliseconds": ', e.milliseconds, ', "micro_dollars": ', e.micro_dollars,
        ', "target_reason": ' || to_json(e.target_reason), ', "correlation_id": "' || e.correlation_id || '"', ', "payload_sha256": "', encode(e.payload_sha256, 'hex'),
        '", "schema_version": ', e.schema_version
    ) || '}', 'UTF8')
$$;

CREATE FUNCTION public.fold(first bigint, last bigint) RETURNS void
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
DECLARE
    types   text[];
    touched uuid[];
BEGIN
    SELECT array_agg(DISTINCT e.type), array_agg(DISTINCT e.item_id) FILTER (WHERE e.item_id IS NOT NULL)
    INTO types, touched FROM public.events e WHERE e.position BETWEEN first AND last;

    IF 'UploadReceived' = ANY (types) THEN PERFORM fold_arrivals(first, last); END IF;
    IF 'MediaProbed' = ANY (types) THEN PERFORM fold_measurements(first, last); END IF;
    IF 'UploadRemoved' = ANY (types) THEN PERFORM fold_removals(first, last); END IF;
    IF types && ARRAY['MediaProbed', 'UploadRejected', 'ThumbnailCreated', 'DetectionsCompleted', 'AnalysisCompleted',
                      'EmbeddingStored'] THEN
        PERFORM fold_step_results(first, last);
    END IF;
    IF types && ARRAY['StepFailed', 'StepAbandoned'] THEN PERFORM fold_step_failures(first, last); END IF;
    IF 'ReprocessRequested' = ANY (types) THEN PERFORM fold_requested_generations(first, last); END IF;
    IF 'ThumbnailCreated' = ANY (types) THEN PERFORM fold_thumbnails(first, last); END IF;
    IF 'DetectionsCompleted' = ANY (types) THEN PERFORM fold_detections(first, last); END IF;
    IF 'AnalysisCompleted' = ANY (types) THEN PERFORM fold_analyses(first, last); END IF;
    IF 'EmbeddingStored' = ANY (types) THEN PERFORM fold_embeddings(first, last); END IF;
    IF types && ARRAY['SpendingStopped', 'SpendingResumed'] THEN PERFORM fold_spending_stops(first, last); END IF;
    IF 'ItemErased' = ANY (types) THEN PERFORM fold_erased_items(first, last); END IF;
    IF types <> ARRAY['UploadReceived'] THEN PERFORM fold_costs(first, last); END IF;
    IF touched IS NOT NULL THEN
        PERFORM fold_steps(touched);
        PERFORM fold_items(touched);
    END IF;
END $$;

CREATE FUNCTION public.fold_analyses(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO analyses AS a (item_id, version_id, analysis_id, user_id, generation, recipe, provider, model, category,
                               summary, tags, objects, text, dominant_colours, tokens_in, tokens_out, created_at)
    SELECT DISTINCT ON (e.item_id, e.body->>'version_id')
           e.item_id, e.body->>'version_id', e.event_id, e.user_id, e.generation, e.recipe, e.body->>'provider',
           e.body->>'model', s->>'category', s->>'summary', s->'tags', s->'objects', s->'text', s->'dominant_colours',
           e.tokens_in, e.tokens_out, e.occurred_at
    FROM public.told e CROSS JOIN LATERAL (SELECT e.body->'analysis' AS s) _
    WHERE e.position BETWEEN first AND last AND e.type = 'AnalysisCompleted'
    ORDER BY e.item_id, e.body->>'version_id', e.generation DESC, e.position
    ON CONFLICT (item_id, version_id) DO UPDATE
    SET analysis_id = excluded.analysis_id, generation = excluded.generation, recipe = excluded.recipe,
        provider = excluded.provider, model = excluded.model, category = excluded.category, summary = excluded.summary,
        tags = excluded.tags, objects = excluded.objects, text = excluded.text,
        dominant_colours = excluded.dominant_colours, tokens_in = excluded.tokens_in, tokens_out = excluded.tokens_out,
        created_at = excluded.created_at
    WHERE excluded.generation > a.generation;
$$;

CREATE FUNCTION public.fold_arrivals(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO uploads (item_id, version_id, user_id, bucket, key, etag, size_bytes, sequencer, hour, received_at, position,
                         event_id)
    SELECT e.item_id, e.body->>'version_id', e.user_id, e.body->>'bucket', e.body->>'key', e.body->>'etag',
           (e.body->>'size_bytes')::bigint, e.body->>'sequencer', (e.body->>'hour')::timestamptz, e.occurred_at, e.position,
           e.event_id
    FROM public.told e
    WHERE e.position BETWEEN first AND last AND e.type = 'UploadReceived'
    ON CONFLICT DO NOTHING;
$$;

CREATE FUNCTION public.fold_costs(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO costs AS c (user_id, day, step, target, outcomes, failures, milliseconds, megabyte_milliseconds, tokens_in,
                            tokens_out, micro_dollars)
    SELECT user_id, (occurred_at AT TIME ZONE 'UTC')::date, step, target, count(*) FILTER (WHERE type <> 'StepFailed'),
           count(*) FILTER (WHERE type = 'StepFailed'), sum(milliseconds), sum(milliseconds * memory_mb), sum(tokens_in),
           sum(tokens_out), sum(micro_dollars)
    FROM public.events
    WHERE position BETWEEN first AND last AND step IS NOT NULL AND target IS NOT NULL AND type <> 'StepAbandoned'
    GROUP BY 1, 2, 3, 4
    ON CONFLICT (user_id, day, step, target) DO UPDATE
    SET outcomes = c.outcomes + excluded.outcomes, failures = c.failures + excluded.failures,
        milliseconds = c.milliseconds + excluded.milliseconds,
        megabyte_milliseconds = c.megabyte_milliseconds + excluded.megabyte_milliseconds,
        tokens_in = c.tokens_in + excluded.tokens_in, tokens_out = c.tokens_out + excluded.tokens_out,
        micro_dollars = c.micro_dollars + excluded.micro_dollars;
$$;

CREATE FUNCTION public.fold_detections(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    DELETE FROM detections d
    USING public.events e JOIN step_results r USING (item_id, step)
    WHERE e.position BETWEEN first AND last AND e.type = 'DetectionsCompleted' AND r.outcome = 'done'
      AND d.item_id = r.item_id AND d.version_id = r.version_id AND d.generation < r.generation;

    INSERT INTO detections (item_id, version_id, ordinal, user_id, generation, recipe, model, label, confidence, x, y, width,
                            height, created_at)
    SELECT e.item_id, r.version_id, o.ordinal, e.user_id, e.generation, e.recipe, e.body->>'model', o.found->>'label',
           (o.found->>'confidence')::float, (o.found->'bbox'->>0)::integer, (o.found->'bbox'->>1)::integer,
           (o.found->'bbox'->>2)::integer, (o.found->'bbox'->>3)::integer, e.occurred_at
    FROM public.told e
    JOIN step_results r ON r.item_id = e.item_id AND r.version_id = e.body->>'version_id' AND r.step = e.step
                       AND r.generation = e.generation AND r.event_id = e.event_id
    CROSS JOIN LATERAL jsonb_array_elements(e.body->'detections') WITH ORDINALITY AS o (found, ordinal)
    WHERE e.position BETWEEN first AND last AND e.type = 'DetectionsCompleted'
      AND NOT EXISTS (SELECT FROM step_results h
                      WHERE h.item_id = r.item_id AND h.version_id = r.version_id AND h.step = r.step
                        AND h.generation > r.generation AND h.outcome = 'done');
$$;

CREATE FUNCTION public.fold_embeddings(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO embeddings AS m (item_id, version_id, analysis_id, user_id, generation, recipe, model, dimensions,
                                 embedding, created_at)
    SELECT DISTINCT ON (e.item_id, e.body->>'version_id')
           e.item_id, e.body->>'version_id', (e.body->>'analysis_id')::uuid, e.user_id, e.generation, e.recipe,
           e.body->>'model', (e.body->>'dimensions')::integer, (e.body->>'vector')::public.vector, e.occurred_at
    FROM public.told e
    WHERE e.position BETWEEN first AND last AND e.type = 'EmbeddingStored'
    ORDER BY e.item_id, e.body->>'version_id', e.generation DESC, e.position
    ON CONFLICT (item_id, version_id) DO UPDATE
    SET analysis_id = excluded.analysis_id, generation = excluded.generation, recipe = excluded.recipe,
        model = excluded.model, dimensions = excluded.dimensions, embedding = excluded.embedding,
        created_at = excluded.created_at
    WHERE excluded.generation > m.generation;
$$;

CREATE FUNCTION public.fold_erased_items(first bigint, last bigint) RETURNS void
    LANGUAGE plpgsql
    AS $_$
DECLARE
    erased uuid[] := ARRAY(SELECT item_id FROM public.events WHERE position BETWEEN first AND last AND type = 'ItemErased');
    model  text;
BEGIN
    IF cardinality(erased) > 0 THEN
        FOR model IN SELECT * FROM item_read_models() LOOP
            EXECUTE format('DELETE FROM %I WHERE item_id = ANY ($1)', model) USING erased;
        END LOOP;
    END IF;
END $_$;

CREATE FUNCTION public.fold_items(touched uuid[]) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO items AS i (item_id, user_id, bucket, key, version_id, etag, size_bytes, hour, received_at, state, kind,
                            format, content_type, width, height, orientation, exif, rejection_code, rejection_message)
    SELECT u.item_id, u.user_id, u.bucket, u.key, u.version_id, u.etag, u.size_bytes, u.hour, u.received_at,
           CASE WHEN u.removed_at IS NOT NULL THEN 'removed'
                WHEN s.rejected THEN 'rejected'
                WHEN s.dead THEN 'failed'
                WHEN s.finished THEN 'done'
                WHEN u.kind IS NOT NULL THEN 'processing'
                ELSE 'received' END,
           u.kind, u.format, u.content_type, u.width, u.height, u.orientation, u.exif, s.rejection_code, s.rejection_message
    FROM unnest(touched) t (item_id)
    CROSS JOIN LATERAL current_upload(t.item_id) u
    LEFT JOIN LATERAL (
        SELECT bool_or(state = 'rejected') AS rejected, bool_or(state = 'dead') AS dead, bool_and(state = 'done') AS finished,
               min(error_code) FILTER (WHERE state = 'rejected') AS rejection_code,
               min(error_message) FILTER (WHERE state = 'rejected') AS rejection_message
        FROM steps WHERE item_id = u.item_id
    ) s ON true
    ON CONFLICT (item_id) DO UPDATE
    SET version_id = excluded.version_id, etag = excluded.etag, size_bytes = excluded.size_bytes, hour = excluded.hour,
        received_at = excluded.received_at, state = excluded.state, kind = excluded.kind, format = excluded.format,
        content_type = excluded.content_type, width = excluded.width, height = excluded.height,
        orientation = excluded.orientation, exif = excluded.exif, rejection_code = excluded.rejection_code,
        rejection_message = excluded.rejection_message
    WHERE i.* IS DISTINCT FROM excluded.*;
$$;

CREATE FUNCTION public.fold_measurements(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    UPDATE uploads u
    SET kind = m.body->>'kind', format = m.body->>'format', content_type = m.body->>'content_type',
        width = (m.body->>'width')::integer, height = (m.body->>'height')::integer,
        orientation = (m.body->>'orientation')::integer, frames = (m.body->>'frames')::integer, exif = m.body->'exif',
        probe_generation = m.generation
    FROM (
        SELECT DISTINCT ON (e.item_id, e.body->>'version_id') e.item_id, e.generation, e.body
        FROM public.told e
        JOIN uploads arrived ON arrived.item_id = e.item_id AND arrived.version_id = e.body->>'version_id'
                            AND arrived.position < e.position
        WHERE e.position BETWEEN first AND last AND e.type = 'MediaProbed'
        ORDER BY e.item_id, e.body->>'version_id', e.generation DESC, e.position
    ) m
    WHERE u.item_id = m.item_id AND u.version_id = m.body->>'version_id'
      AND (u.probe_generation IS NULL OR m.generation > u.probe_generation);
$$;

CREATE FUNCTION public.fold_removals(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    UPDATE uploads u
    SET removed_at = e.occurred_at
    FROM public.told e
    WHERE e.position BETWEEN first AND last AND e.type = 'UploadRemoved'
      AND u.item_id = e.item_id AND u.version_id = e.body->>'version_id' AND u.position < e.position;
$$;

CREATE FUNCTION public.fold_requested_generations(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO requested_generations AS g (item_id, step, user_id, generation, event_id)
    SELECT DISTINCT ON (item_id, step) item_id, step, user_id, generation, event_id
    FROM public.events
    WHERE position BETWEEN first AND last AND type = 'ReprocessRequested'
    ORDER BY item_id, step, generation DESC, position
    ON CONFLICT (item_id, step) DO UPDATE SET generation = excluded.generation, event_id = excluded.event_id
    WHERE excluded.generation > g.generation;
$$;

CREATE FUNCTION public.fold_spending_stops(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
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

CREATE FUNCTION public.fold_step_failures(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO step_failures AS f
        (item_id, version_id, step, generation, user_id, failures, retry_at, error_code, error_message, dead, event_id)
    SELECT DISTINCT ON (item_id, version_id, step, generation)
           item_id, version_id, step, generation, user_id, sum((type = 'StepFailed')::integer) OVER w,
           (body->>'retry_at')::timestamptz, body->>'code', body->>'message', bool_or(type = 'StepAbandoned') OVER w,
           event_id
    FROM (
        SELECT e.*, e.body->>'version_id' AS version_id FROM public.told e
        WHERE e.position BETWEEN first AND last AND e.type IN ('StepFailed', 'StepAbandoned')
    ) told
    WINDOW w AS (PARTITION BY item_id, version_id, step, generation)
    ORDER BY item_id, version_id, step, generation, position DESC
    ON CONFLICT (item_id, version_id, step, generation) DO UPDATE
    SET failures = f.failures + excluded.failures, retry_at = excluded.retry_at, error_code = excluded.error_code,
        error_message = excluded.error_message, dead = f.dead OR excluded.dead, event_id = excluded.event_id;
$$;

CREATE FUNCTION public.fold_step_results(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO step_results (item_id, version_id, step, generation, user_id, recipe, outcome, error_code, error_message,
                              finished_at, run_id, event_id)
    SELECT DISTINCT ON (e.item_id, e.body->>'version_id', e.step, e.generation)
           e.item_id, e.body->>'version_id', e.step, e.generation, e.user_id, e.recipe,
           CASE e.type WHEN 'UploadRejected' THEN 'rejected' ELSE 'done' END, e.body->>'code', e.body->>'message',
           e.occurred_at, e.run_id, e.event_id
    FROM public.told e
    WHERE e.position BETWEEN first AND last
      AND e.type IN ('MediaProbed', 'UploadRejected', 'ThumbnailCreated', 'DetectionsCompleted', 'AnalysisCompleted',
                     'EmbeddingStored')
    ORDER BY e.item_id, e.body->>'version_id', e.step, e.generation, e.position
    ON CONFLICT DO NOTHING;
$$;

CREATE FUNCTION public.fold_steps(touched uuid[]) RETURNS void
    LANGUAGE sql
    AS $$
    WITH standing AS (  -- of the steps that apply
        SELECT c.*, coalesce(q.generation, 0) AS generation,
               r.outcome IS NULL AND coalesce(q.generation, 0) > 0 AND (
                   EXISTS (SELECT FROM step_results o
                           WHERE o.item_id = c.item_id AND o.version_id = c.version_id AND o.step = c.step
                             AND o.generation < q.generation)
                   OR EXISTS (SELECT FROM step_failures o
                              WHERE o.item_id = c.item_id AND o.version_id = c.version_id AND o.step = c.step
                                AND o.generation < q.generation AND o.dead)
               ) AS recomputation,
               CASE WHEN r.outcome IS NOT NULL THEN r.outcome WHEN f.dead THEN 'dead' ELSE 'pending' END AS state,
               r.recipe, coalesce(f.failures, 0) AS failures, CASE WHEN r.outcome IS NULL THEN f.retry_at END AS retry_at,
               CASE WHEN r.outcome IS NULL THEN f.error_code ELSE r.error_code END AS error_code,
               CASE WHEN r.outcome IS NULL THEN f.error_message ELSE r.error_message END AS error_message,
               r.finished_at, r.run_id, r.event_id AS result_id,
               coalesce(f.event_id, CASE WHEN q.event_id IS NOT NULL THEN (  -- one from before this upload led to nothing of it
                   SELECT e.event_id FROM public.events e WHERE e.event_id = q.event_id AND e.position > c.position
               ) END) AS own_cause_id
        FROM (
            SELECT u.item_id, u.version_id, u.user_id, u.hour, u.position, u.event_id AS correlation_id, g.step, g.after
            FROM unnest(touched) t (item_id)
            CROSS JOIN LATERAL current_upload(t.item_id) u
            JOIN step_graph() g ON g.kind IS NULL OR g.kind = u.kind
            WHERE u.removed_at IS NULL
        ) c
        LEFT JOIN LATERAL (
            SELECT * FROM requested_generations o WHERE o.item_id = c.item_id AND o.step = c.step LIMIT 1
        ) q ON true
        LEFT JOIN LATERAL (
            SELECT * FROM step_results o
            WHERE o.item_id = c.item_id AND o.version_id = c.version_id AND o.step = c.step
              AND o.generation = coalesce(q.generation, 0) LIMIT 1
        ) r ON true
        LEFT JOIN LATERAL (
            SELECT * FROM step_failures o
            WHERE o.item_id = c.item_id AND o.version_id = c.version_id AND o.step = c.step
              AND o.generation = coalesce(q.generation, 0) LIMIT 1
        ) f ON true
    ), judged AS (
        SELECT *, after <@ coalesce(array_agg(step) FILTER (WHERE state = 'done') OVER item, '{}') AS due,
               coalesce(own_cause_id,
                        (array_agg(result_id) OVER item)[array_position(array_agg(step) OVER item, after[cardinality(after)])],
                        correlation_id) AS cause_id
        FROM standing WINDOW item AS (PARTITION BY item_id)
    ), gone AS (
        DELETE FROM steps s
        WHERE s.item_id = ANY (touched)
          AND NOT EXISTS (SELECT FROM judged j WHERE j.item_id = s.item_id AND j.step = s.step AND j.due)
    )
    INSERT INTO steps AS s (item_id, step, version_id, user_id, hour, position, generation, recomputation, state, recipe,
                            failures, retry_at, error_code, error_message, finished_at, run_id, correlation_id, cause_id)
    SELECT item_id, step, version_id, user_id, hour, position, generation, recomputation, state, recipe, failures, retry_at,
           error_code, error_message, finished_at, run_id, correlation_id, cause_id
    FROM judged WHERE due
    ON CONFLICT (item_id, step) DO UPDATE
    SET version_id = excluded.version_id, hour = excluded.hour, position = excluded.position,
        generation = excluded.generation, recomputation = excluded.recomputation, state = excluded.state,
        recipe = excluded.recipe, failures = excluded.failures, retry_at = excluded.retry_at,
        error_code = excluded.error_code, error_message = excluded.error_message, finished_at = excluded.finished_at,
        run_id = excluded.run_id, correlation_id = excluded.correlation_id, cause_id = excluded.cause_id
    WHERE s.* IS DISTINCT FROM excluded.*;
$$;

CREATE FUNCTION public.fold_thumbnails(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    DELETE FROM thumbnails t
    USING public.told e
    WHERE e.position BETWEEN first AND last AND e.type = 'ThumbnailCreated'
      AND t.item_id = e.item_id AND t.version_id = e.body->>'version_id' AND t.generation < e.generation;

    INSERT INTO thumbnails (item_id, version_id, size, user_id, generation, recipe, width, height, key, sha256, size_bytes,
                            content_type, placeholder, created_at)
    SELECT r.item_id, r.version_id, (o->>'size')::integer, r.user_id, r.generation, r.recipe, (o->>'width')::integer,
           (o->>'height')::integer, o->>'key', o->>'sha256', (o->>'size_bytes')::bigint, o->>'content_type',
           r.body->>'placeholder', r.occurred_at
    FROM (
        SELECT DISTINCT ON (e.item_id, e.body->>'version_id') e.*, e.body->>'version_id' AS version_id
        FROM public.told e
        WHERE e.position BETWEEN first AND last AND e.type = 'ThumbnailCreated'
        ORDER BY e.item_id, e.body->>'version_id', e.generation DESC, e.position
    ) r CROSS JOIN LATERAL jsonb_array_elements(r.body->'thumbnails') o
    WHERE NOT EXISTS (SELECT FROM thumbnails t WHERE t.item_id = r.item_id AND t.version_id = r.version_id)
    ON CONFLICT DO NOTHING;
$$;

CREATE FUNCTION public.item_read_models() RETURNS SETOF text
    LANGUAGE sql IMMUTABLE
    AS $$
    VALUES ('uploads'), ('step_results'), ('step_failures'), ('requested_generations'), ('thumbnails'), ('detections'),
           ('analyses'), ('embeddings'), ('steps'), ('items')
$$;

CREATE FUNCTION public.microseconds(moment timestamp with time zone) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    SELECT (extract(epoch FROM moment) * 1000000)::bigint
$$;

CREATE FUNCTION public.payload_digest(body jsonb) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT sha256(convert_to(body::text, 'UTF8'))
$$;

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% is append only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'MA002';
END $$;

CREATE FUNCTION public.refuse_unless_erased() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM events e JOIN events erased USING (stream_id)
        WHERE e.event_id = OLD.event_id AND e.type <> 'ItemErased' AND erased.type = 'ItemErased'
    ) THEN
        RAISE EXCEPTION '% is append only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'MA002';
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION public.step_graph() RETURNS TABLE(step text, after text[], kind text)
    LANGUAGE sql IMMUTABLE
    AS $$
    VALUES ('probe', '{}'::text[], NULL), ('thumbnail', '{probe}', 'image'), ('detect', '{probe,thumbnail}', 'image'),
           ('analyze', '{probe,thumbnail}', 'image'), ('embed', '{probe,thumbnail,analyze}', 'image')
$$;

CREATE FUNCTION public.upcast(type text, schema_version integer, body jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE
        WHEN type = 'StepFailed' AND schema_version = 1 THEN upcast(type, 2, body - 'attempt_id')  -- a clear column since
        ELSE body
    END
$$;

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.analyses (
    item_id uuid NOT NULL,
    version_id text NOT NULL,
    analysis_id uuid NOT NULL,
    user_id text NOT NULL,
    generation integer NOT NULL,
    recipe text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    category text NOT NULL,
    summary text NOT NULL,
    tags jsonb NOT NULL,
    objects jsonb NOT NULL,
    text jsonb NOT NULL,
    dominant_colours jsonb NOT NULL,
    tokens_in bigint NOT NULL,
    tokens_out bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT analyses_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.analyses FORCE ROW LEVEL SECURITY;

CREATE TABLE public.breakers (
    target text NOT NULL,
    failures integer NOT NULL,
    open_until timestamp with time zone NOT NULL,
    reason text NOT NULL
);

CREATE TABLE public.claims (
    item_id uuid NOT NULL,
    step text NOT NULL,
    claim_id uuid NOT NULL,
    run_id text,
    lease_expires_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 1 NOT NULL,
    user_id text NOT NULL,
    reserved_micro_dollars bigint DEFAULT 0 NOT NULL,
    owed_micro_dollars bigint DEFAULT 0 NOT NULL,
    CONSTRAINT claims_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.claims FORCE ROW LEVEL SECURITY;

CREATE TABLE public.contact_sheets (
    key text NOT NULL,
    item_ids uuid[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.costs (
    user_id text NOT NULL,
    day date NOT NULL,
    step text NOT NULL,
    target text NOT NULL,
    outcomes bigint NOT NULL,
    failures bigint NOT NULL,
    milliseconds bigint NOT NULL,
    megabyte_milliseconds bigint NOT NULL,
    tokens_in bigint NOT NULL,
    tokens_out bigint NOT NULL,
    micro_dollars bigint NOT NULL,
    CONSTRAINT costs_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.costs FORCE ROW LEVEL SECURITY;

CREATE TABLE public.detections (
    item_id uuid NOT NULL,
    version_id text NOT NULL,
    ordinal integer NOT NULL,
    user_id text NOT NULL,
    generation integer NOT NULL,
    recipe text NOT NULL,
    model text NOT NULL,
    label text NOT NULL,
    confidence double precision NOT NULL,
    x integer NOT NULL,
    y integer NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT detections_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.detections FORCE ROW LEVEL SECURITY;

CREATE TABLE public.embeddings (
    item_id uuid NOT NULL,
    version_id text NOT NULL,
    analysis_id uuid NOT NULL,
    user_id text NOT NULL,
    generation integer NOT NULL,
    recipe text NOT NULL,
    model text NOT NULL,
    dimensions integer NOT NULL,
    embedding public.vector NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT embeddings_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.embeddings FORCE ROW LEVEL SECURITY;

CREATE TABLE public.erasures (
    item_id uuid NOT NULL,
    user_id text NOT NULL,
    bucket text,
    key text,
    erased_at timestamp with time zone NOT NULL,
    sweep_at timestamp with time zone,
    final_at timestamp with time zone NOT NULL,
    swept_at timestamp with time zone,
    removed jsonb NOT NULL,
    CONSTRAINT erasures_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.erasures FORCE ROW LEVEL SECURITY;

CREATE TABLE public.event_payloads (
    event_id uuid NOT NULL,
    body jsonb NOT NULL
);

ALTER TABLE ONLY public.event_payloads FORCE ROW LEVEL SECURITY;

CREATE TABLE public.event_types (
    type text NOT NULL,
    schema_version integer NOT NULL
);

CREATE TABLE public.items (
    item_id uuid NOT NULL,
    user_id text NOT NULL,
    bucket text NOT NULL,
    key text NOT NULL,
    version_id text NOT NULL,
    etag text NOT NULL,
    size_bytes bigint NOT NULL,
    hour timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    state text NOT NULL,
    kind text,
    format text,
    content_type text,
    width integer,
    height integer,
    orientation integer,
    exif jsonb,
    rejection_code text,
    rejection_message text,
    CONSTRAINT items_state_check CHECK ((state = ANY (ARRAY['received'::text, 'processing'::text, 'done'::text, 'rejected'::text, 'failed'::text, 'removed'::text]))),
    CONSTRAINT items_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.items FORCE ROW LEVEL SECURITY;

CREATE TABLE public.outbox_held (
    subscriber text NOT NULL,
    "position" bigint NOT NULL,
    stream_id text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone DEFAULT now() NOT NULL,
    error text
);

CREATE TABLE public.requested_generations (
    item_id uuid NOT NULL,
    step text NOT NULL,
    user_id text NOT NULL,
    generation integer NOT NULL,
    event_id uuid NOT NULL,
    CONSTRAINT requested_generations_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.requested_generations FORCE ROW LEVEL SECURITY;

CREATE TABLE public.requested_runs (
    pipeline text NOT NULL,
    hour timestamp with time zone NOT NULL,
    requested_at timestamp with time zone NOT NULL
);

CREATE TABLE public.spending_stops (
    user_id text NOT NULL,
    day date NOT NULL,
    step text NOT NULL,
    limit_micro_dollars bigint NOT NULL,
    spent_micro_dollars bigint NOT NULL,
    stopped_at timestamp with time zone NOT NULL,
    CONSTRAINT spending_stops_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.spending_stops FORCE ROW LEVEL SECURITY;

CREATE TABLE public.step_failures (
    item_id uuid NOT NULL,
    version_id text NOT NULL,
    step text NOT NULL,
    generation integer NOT NULL,
    user_id text NOT NULL,
    failures integer NOT NULL,
    retry_at timestamp with time zone,
    error_code text NOT NULL,
    error_message text NOT NULL,
    dead boolean NOT NULL,
    event_id uuid NOT NULL,
    CONSTRAINT step_failures_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.step_failures FORCE ROW LEVEL SECURITY;

CREATE TABLE public.step_results (
    item_id uuid NOT NULL,
    version_id text NOT NULL,
    step text NOT NULL,
    generation integer NOT NULL,
    user_id text NOT NULL,
    recipe text NOT NULL,
    outcome text NOT NULL,
    error_code text,
    error_message text,
    finished_at timestamp with time zone NOT NULL,
    run_id text,
    event_id uuid NOT NULL,
    CONSTRAINT step_results_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'rejected'::text]))),
    CONSTRAINT step_results_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.step_results FORCE ROW LEVEL SECURITY;

CREATE TABLE public.steps (
    item_id uuid NOT NULL,
    step text NOT NULL,
    version_id text NOT NULL,
    user_id text NOT NULL,
    hour timestamp with time zone NOT NULL,
    "position" bigint NOT NULL,
    generation integer NOT NULL,
    recomputation boolean NOT NULL,
    state text NOT NULL,
    recipe text,
    failures integer NOT NULL,
    retry_at timestamp with time zone,
    error_code text,
    error_message text,
    finished_at timestamp with time zone,
    run_id text,
    correlation_id uuid NOT NULL,
    cause_id uuid NOT NULL,
    CONSTRAINT steps_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'done'::text, 'rejected'::text, 'dead'::text]))),
    CONSTRAINT steps_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.steps FORCE ROW LEVEL SECURITY;

CREATE TABLE public.subscribers (
    name text NOT NULL,
    "position" bigint NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.thumbnails (
    item_id uuid NOT NULL,
    version_id text NOT NULL,
    size integer NOT NULL,
    user_id text NOT NULL,
    generation integer NOT NULL,
    recipe text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    key text NOT NULL,
    sha256 text NOT NULL,
    size_bytes bigint NOT NULL,
    content_type text NOT NULL,
    placeholder text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT thumbnails_user_id_check CHECK ((user_id <> ''::text))
);

ALTER TABLE ONLY public.thumbnails FORCE ROW LEVEL SECURITY;

CREATE VIEW public.told WITH (security_invoker='true') AS
 SELECT e."position",
    e.event_id,
    e.stream_id,
    e.version,
    e.type,
    e.schema_version,
    e.occurred_at,
    e.recorded_at,
    e.user_id,
    e.item_id,
    e.step,
    e.recipe,
    e.generation,
    e.target,
    e.run_id,
    e.milliseconds,
    e.memory_mb,
    e.tokens_in,
    e.tokens_out,
    e.attempt_id,
    e.micro_dollars,
    e.correlation_id,
    e.causation_id,
    e.payload_sha256,
    e.hash,
    e.target_reason,
    public.upcast(e.type, e.schema_version, p.body) AS body
   FROM (public.events e
     JOIN public.event_payloads p USING (event_id));

INSERT INTO public.alembic_version VALUES ('0003');
INSERT INTO public.analyses VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', '57c2854e-4e91-5509-8bd1-25a83096f287', 'ada', 0, 'r1', 'local', 'sight', 'animal', 'A cat.', '["cat"]', '[]', '[]', '[{"hex": "#aa8866", "name": "brown", "share": 1.0}]', 0, 0, '2026-07-01 12:20:00+00');
INSERT INTO public.claims VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'embed', '807b293f-7d9a-4b30-b205-967c3c9e563a', NULL, '2026-07-01 13:00:00+00', 1, 'ada', 0, 0);
INSERT INTO public.costs VALUES ('ada', '2026-07-01', 'analyze', 'lambda', 2, 0, 24, 3072, 0, 0, 0);
INSERT INTO public.costs VALUES ('ada', '2026-07-01', 'detect', 'lambda', 2, 0, 24, 3072, 0, 0, 0);
INSERT INTO public.costs VALUES ('ada', '2026-07-01', 'embed', 'lambda', 2, 0, 24, 3072, 0, 0, 0);
INSERT INTO public.costs VALUES ('ada', '2026-07-01', 'probe', 'lambda', 3, 0, 36, 4608, 0, 0, 0);
INSERT INTO public.costs VALUES ('ada', '2026-07-01', 'thumbnail', 'lambda', 2, 1, 36, 4608, 0, 0, 0);
INSERT INTO public.detections VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 1, 'ada', 0, 'r1', 'boxes', 'cat', 0.875, 0, 1, 20, 10, '2026-07-01 12:20:00+00');
INSERT INTO public.embeddings VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', '57c2854e-4e91-5509-8bd1-25a83096f287', 'ada', 0, 'r1', 'meaning', 3, '[1,0,0]', '2026-07-01 12:20:00+00');
INSERT INTO public.erasures VALUES ('076333c8-35d7-5a0c-bb7a-4346e5f81244', 'ada', 'photos', 'uploads/ada/dog.jpg', '2026-07-01 12:20:00+00', '2026-07-01 12:41:00+00', '2026-07-01 12:41:00+00', '2026-07-01 12:20:00+00', '{"rows": {"items": 1, "steps": 5, "uploads": 1, "analyses": 1, "detections": 1, "embeddings": 1, "thumbnails": 2, "step_results": 5, "step_failures": 0, "requested_generations": 0}, "vectors": 1, "payloads": 6, "contact_sheets": 0, "derived_objects": 2, "object_versions": 1}');
INSERT INTO public.event_payloads VALUES ('6fdbf66f-c174-5d32-83fc-edc12edb3d0e', '{"key": "uploads/ada/cat.jpg", "etag": "e", "hour": "2026-07-01T12:00:00Z", "bucket": "photos", "sequencer": "v1", "size_bytes": 1000, "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('8153d4d2-6f4c-5740-a6ed-a27fa38bd722', '{"exif": {}, "kind": "image", "width": 40, "format": "jpeg", "frames": 1, "height": 30, "version_id": "v1", "orientation": 1, "content_type": "image/jpeg"}');
INSERT INTO public.event_payloads VALUES ('f478db46-4208-592a-86c3-bbee520547aa', '{"thumbnails": [{"key": "derived/v1/r1/0/256.webp", "size": 256, "width": 256, "height": 128, "sha256": "0000000000000000000000000000000000000000000000000000000000000000", "size_bytes": 256, "content_type": "image/webp"}, {"key": "derived/v1/r1/0/800.webp", "size": 800, "width": 800, "height": 400, "sha256": "0000000000000000000000000000000000000000000000000000000000000000", "size_bytes": 800, "content_type": "image/webp"}], "version_id": "v1", "placeholder": "3OcRJYB4d3h/iIeHeEh3eIhw+j2w"}');
INSERT INTO public.event_payloads VALUES ('57c2854e-4e91-5509-8bd1-25a83096f287', '{"model": "sight", "analysis": {"tags": ["cat"], "text": [], "objects": [], "summary": "A cat.", "category": "animal", "dominant_colours": [{"hex": "#aa8866", "name": "brown", "share": 1.0}]}, "provider": "local", "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('ef0bf30c-27f3-589b-aca2-74eb7c5341b1', '{"model": "meaning", "vector": [1.0, 0.0, 0.0], "dimensions": 3, "version_id": "v1", "analysis_id": "57c2854e-4e91-5509-8bd1-25a83096f287"}');
INSERT INTO public.event_payloads VALUES ('4d3c01c1-1a39-524a-b451-4867731157b9', '{"model": "boxes", "detections": [{"bbox": [0, 1, 20, 10], "label": "cat", "confidence": 0.875}], "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('af042cb8-e27d-514d-9d3f-f5a0ce70760c', '{"key": "uploads/ada/fly.jpg", "etag": "e", "hour": "2026-07-01T12:00:00Z", "bucket": "photos", "sequencer": "v1", "size_bytes": 1000, "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('8d1528e8-7388-5bae-a627-17426d22e211', '{"exif": {}, "kind": "image", "width": 40, "format": "jpeg", "frames": 1, "height": 30, "version_id": "v1", "orientation": 1, "content_type": "image/jpeg"}');
INSERT INTO public.event_payloads VALUES ('2bf9c8d7-f343-53c1-bc9a-dd5ae3db7e11', '{"code": "timeout", "message": "timeout in a1", "retry_at": null, "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('abfd6a2a-cdf1-513a-9b7d-f84b60a8d35e', '{"reason": "somebody asked"}');
INSERT INTO public.event_payloads VALUES ('f75fc7cb-c768-523a-bf6b-ed024a4ceb1a', '{"day": "2026-07-01", "step": "analyze", "limit_micro_dollars": 1000, "spent_micro_dollars": 998}');
INSERT INTO public.event_payloads VALUES ('f26c464b-c151-5b99-a2db-8697ad487177', '{"reason": "ada asked"}');
INSERT INTO public.event_types VALUES ('UploadReceived', 1);
INSERT INTO public.event_types VALUES ('MediaProbed', 1);
INSERT INTO public.event_types VALUES ('UploadRejected', 1);
INSERT INTO public.event_types VALUES ('UploadRemoved', 1);
INSERT INTO public.event_types VALUES ('ThumbnailCreated', 1);
INSERT INTO public.event_types VALUES ('DetectionsCompleted', 1);
INSERT INTO public.event_types VALUES ('AnalysisCompleted', 1);
INSERT INTO public.event_types VALUES ('EmbeddingStored', 1);
INSERT INTO public.event_types VALUES ('StepFailed', 2);
INSERT INTO public.event_types VALUES ('StepAbandoned', 1);
INSERT INTO public.event_types VALUES ('ReprocessRequested', 1);
INSERT INTO public.event_types VALUES ('ItemErased', 1);
INSERT INTO public.event_types VALUES ('SpendingStopped', 1);
INSERT INTO public.event_types VALUES ('SpendingResumed', 1);
INSERT INTO public.events VALUES (1, '6fdbf66f-c174-5d32-83fc-edc12edb3d0e', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 1, 'UploadReceived', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.662791+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, '6fdbf66f-c174-5d32-83fc-edc12edb3d0e', NULL, '\x525e58d78dd021d57fa93fef18974f901e064decf748e64f28d9c5985d7e7b07', '\xb30e46d8ad6eeba73dc99694233d22f6778c3412d04320913077dcd09c452fa5', NULL);
INSERT INTO public.events VALUES (2, '8153d4d2-6f4c-5740-a6ed-a27fa38bd722', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 2, 'MediaProbed', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.662791+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'probe', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0, NULL, 0, NULL, NULL, '\xce39f7c3e1bb5af66ab8fe6ec418d1a30cbfbc4aa12001828bbbdcaed2eca5ac', '\x882685c6fb52e59311250f683e60ef17f760517a7525bcd0e5da2988316509b5', 'only_target');
INSERT INTO public.events VALUES (3, 'f478db46-4208-592a-86c3-bbee520547aa', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 3, 'ThumbnailCreated', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.662791+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'thumbnail', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0, NULL, 0, NULL, NULL, '\x0ceb231ce402ce840654f4a4924c1a43292dafa57afe6f15830dce2c9c09907f', '\xc58a636b03a7f548d049ff171cb071162e3924e4272133cf96cbff28a938e829', 'only_target');
INSERT INTO public.events VALUES (4, '57c2854e-4e91-5509-8bd1-25a83096f287', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 4, 'AnalysisCompleted', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.662791+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'analyze', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0, NULL, 0, NULL, NULL, '\x631d8a9ee9bcefe0d1aab537acd64d5c133e0af6cf5803c7f7877543de9a53e8', '\xe60083c39ea013037c15f4496a1b0728f9d017de3e33a79062aee3eb5cdf2ee6', 'only_target');
INSERT INTO public.events VALUES (5, 'ef0bf30c-27f3-589b-aca2-74eb7c5341b1', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 5, 'EmbeddingStored', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.662791+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'embed', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0, NULL, 0, NULL, NULL, '\x6f44eadd70b7125de164966f806c49ab15aeba6b9f09e65b9f100ddbbdb33704', '\x42eee6584aa8d2635d3d17c0b86be486c78e3faf05e59fd95c49778e2493076f', 'only_target');
INSERT INTO public.events VALUES (6, '4d3c01c1-1a39-524a-b451-4867731157b9', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 6, 'DetectionsCompleted', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.662791+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'detect', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0, NULL, 0, NULL, NULL, '\x85b6ca44953472f1842a19ae1787ed460bfb3e5f36e294e5544b910b6ae260a5', '\xf9067d654158c7753a0d4d4264b985a34965ce4a99b2fe7ca8965db6b2f07feb', 'only_target');
INSERT INTO public.events VALUES (7, 'd09cd232-4e54-5ef4-b7d6-b67a07b6691d', 'item-076333c8-35d7-5a0c-bb7a-4346e5f81244', 1, 'UploadReceived', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.740023+00', 'ada', '076333c8-35d7-5a0c-bb7a-4346e5f81244', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, 'd09cd232-4e54-5ef4-b7d6-b67a07b6691d', NULL, '\x186101aed0d5cdaa6de23d00a433b282d19b4ff5cf1769f5c6706e40bcacf4e2', '\x1372076ad38b940c3e3b7c854fa7cc251c2e92d661ee5ce90cf82a00355b442c', NULL);
INSERT INTO public.events VALUES (8, '037c572b-c98b-59b7-84d6-0cb27fd3b09c', 'item-076333c8-35d7-5a0c-bb7a-4346e5f81244', 2, 'MediaProbed', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.740023+00', 'ada', '076333c8-35d7-5a0c-bb7a-4346e5f81244', 'probe', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0, NULL, 0, NULL, NULL, '\xce39f7c3e1bb5af66ab8fe6ec418d1a30cbfbc4aa12001828bbbdcaed2eca5ac', '\x55b1b464ae78596b70b600ebcd4fa4092135aa2b1e1bb2b664ff2db71ccb6aef', 'only_target');
INSERT INTO public.events VALUES (9, '4377e327-584d-5248-8662-63f65896cd19', 'item-076333c8-35d7-5a0c-bb7a-4346e5f81244', 3, 'ThumbnailCreated', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.740023+00', 'ada', '076333c8-35d7-5a0c-bb7a-4346e5f81244', 'thumbnail', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0, NULL, 0, NULL, NULL, '\x0ceb231ce402ce840654f4a4924c1a43292dafa57afe6f15830dce2c9c09907f', '\xc09c1f59971b45c9916653ff4048075ed91f7e0e9783d6e121296eba0b4c12cf', 'only_target');
INSERT INTO public.events VALUES (10, '82a7e91d-93cc-562e-a14b-0035c570bf6d', 'item-076333c8-35d7-5a0c-bb7a-4346e5f81244', 4, 'AnalysisCompleted', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.740023+00', 'ada', '076333c8-35d7-5a0c-bb7a-4346e5f81244', 'analyze', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0, NULL, 0, NULL, NULL, '\x631d8a9ee9bcefe0d1aab537acd64d5c133e0af6cf5803c7f7877543de9a53e8', '\x1a36b09ccf5421fd1f4850ca1a7773513b425e267fb6bf6d063d61171e79afc1', 'only_target');
INSERT INTO public.events VALUES (11, '47eeae1b-d861-513d-9353-a105781d9495', 'item-076333c8-35d7-5a0c-bb7a-4346e5f81244', 5, 'EmbeddingStored', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.740023+00', 'ada', '076333c8-35d7-5a0c-bb7a-4346e5f81244', 'embed', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0, NULL, 0, NULL, NULL, '\x10f9609faf8365ee14272569aba9bd13fe78e14a085467263af14e175afb6412', '\x113e5e43e57103685a07e9e56864d4d79fc5a2bebc2b1efa72da6fc21fbc6b42', 'only_target');
INSERT INTO public.events VALUES (12, '4d236d6e-416d-5bf6-911b-e760bf89affd', 'item-076333c8-35d7-5a0c-bb7a-4346e5f81244', 6, 'DetectionsCompleted', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.740023+00', 'ada', '076333c8-35d7-5a0c-bb7a-4346e5f81244', 'detect', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0, NULL, 0, NULL, NULL, '\x85b6ca44953472f1842a19ae1787ed460bfb3e5f36e294e5544b910b6ae260a5', '\x511f47bd0d7039f013522ffcc9ef3de27d59d8f37c29b9832f3831e594c854cf', 'only_target');
INSERT INTO public.events VALUES (13, 'af042cb8-e27d-514d-9d3f-f5a0ce70760c', 'item-33578c3e-9312-50e9-b736-7fa5425cc2b0', 1, 'UploadReceived', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.760205+00', 'ada', '33578c3e-9312-50e9-b736-7fa5425cc2b0', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, 'af042cb8-e27d-514d-9d3f-f5a0ce70760c', NULL, '\x72c0e0b4c404e74272768269c0c020d149e519247541b6349d6739501abe05d0', '\x5f8bb2162c8644acf9c4c0050c01e6a59a387fb8dea64bf0a708204a4906a3f7', NULL);
INSERT INTO public.events VALUES (14, '8d1528e8-7388-5bae-a627-17426d22e211', 'item-33578c3e-9312-50e9-b736-7fa5425cc2b0', 2, 'MediaProbed', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.760205+00', 'ada', '33578c3e-9312-50e9-b736-7fa5425cc2b0', 'probe', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0, NULL, 0, NULL, NULL, '\xce39f7c3e1bb5af66ab8fe6ec418d1a30cbfbc4aa12001828bbbdcaed2eca5ac', '\xf713a33cb6b9f78d17e72d81a08b337e8d18bfd7436b3cb1f567fd5dd4c6f106', 'only_target');
INSERT INTO public.events VALUES (15, '2bf9c8d7-f343-53c1-bc9a-dd5ae3db7e11', 'item-33578c3e-9312-50e9-b736-7fa5425cc2b0', 3, 'StepFailed', 2, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.760205+00', 'ada', '33578c3e-9312-50e9-b736-7fa5425cc2b0', 'thumbnail', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0, 'a1', 0, NULL, NULL, '\x82916e5cf9af18343b5a1d7b3518219a38e6199876a93999de87c4b2c34d0734', '\x408c81654e27bc1fc2e7852e961511705db124c905a28e6e0901d356ab3e0d3e', 'only_target');
INSERT INTO public.events VALUES (16, 'abfd6a2a-cdf1-513a-9b7d-f84b60a8d35e', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 7, 'ReprocessRequested', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.760205+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'embed', NULL, 1, NULL, NULL, 0, 0, 0, 0, NULL, 0, NULL, NULL, '\x6e8b3fc336f7303ee79354ab5e360e1bf720894451155f736e4729b17e1482fd', '\xb4f50c8062cf6440964f8617455e4062c5e408a27aa319a627b22082362b4c87', NULL);
INSERT INTO public.events VALUES (17, 'f75fc7cb-c768-523a-bf6b-ed024a4ceb1a', 'account-ada', 1, 'SpendingStopped', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.760205+00', 'ada', NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, NULL, NULL, '\xa1e89fd75e224a0db1845f5d1b176141624feea8375fd039c45505c3f17bbc64', '\x3de62083dd242cacc1548342aa95933c320f077027b74d52f482e02eeb2a70c3', NULL);
INSERT INTO public.events VALUES (18, 'f26c464b-c151-5b99-a2db-8697ad487177', 'item-076333c8-35d7-5a0c-bb7a-4346e5f81244', 7, 'ItemErased', 1, '2026-07-01 12:20:00+00', '2026-11-22 10:16:19.793212+00', 'ada', '076333c8-35d7-5a0c-bb7a-4346e5f81244', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, 'd09cd232-4e54-5ef4-b7d6-b67a07b6691d', NULL, '\xbb05299323c666b673aec0d3bc72fd529cb41b42227dcc15f0cfdefdb16e9eec', '\x501512d3219817dc851a87238fefe1532519cbc26d859b2eed8fc3273a78ec6f', NULL);
INSERT INTO public.items VALUES ('33578c3e-9312-50e9-b736-7fa5425cc2b0', 'ada', 'photos', 'uploads/ada/fly.jpg', 'v1', 'e', 1000, '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 'processing', 'image', 'jpeg', 'image/jpeg', 40, 30, 1, '{}', NULL, NULL);
INSERT INTO public.items VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'ada', 'photos', 'uploads/ada/cat.jpg', 'v1', 'e', 1000, '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 'processing', 'image', 'jpeg', 'image/jpeg', 40, 30, 1, '{}', NULL, NULL);
INSERT INTO public.requested_generations VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'embed', 'ada', 1, 'abfd6a2a-cdf1-513a-9b7d-f84b60a8d35e');
INSERT INTO public.spending_stops VALUES ('ada', '2026-07-01', 'analyze', 1000, 998, '2026-07-01 12:20:00+00');
INSERT INTO public.step_failures VALUES ('33578c3e-9312-50e9-b736-7fa5425cc2b0', 'v1', 'thumbnail', 0, 'ada', 1, NULL, 'timeout', 'timeout in a1', false, '2bf9c8d7-f343-53c1-bc9a-dd5ae3db7e11');
INSERT INTO public.step_results VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'analyze', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1', '57c2854e-4e91-5509-8bd1-25a83096f287');
INSERT INTO public.step_results VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'detect', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1', '4d3c01c1-1a39-524a-b451-4867731157b9');
INSERT INTO public.step_results VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'embed', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1', 'ef0bf30c-27f3-589b-aca2-74eb7c5341b1');
INSERT INTO public.step_results VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'probe', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1', '8153d4d2-6f4c-5740-a6ed-a27fa38bd722');
INSERT INTO public.step_results VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'thumbnail', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1', 'f478db46-4208-592a-86c3-bbee520547aa');
INSERT INTO public.step_results VALUES ('33578c3e-9312-50e9-b736-7fa5425cc2b0', 'v1', 'probe', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1', '8d1528e8-7388-5bae-a627-17426d22e211');
INSERT INTO public.steps VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'probe', 'v1', 'ada', '2026-07-01 12:00:00+00', 1, 0, false, 'done', 'r1', 0, NULL, NULL, NULL, '2026-07-01 12:20:00+00', 'run-1', '6fdbf66f-c174-5d32-83fc-edc12edb3d0e', '6fdbf66f-c174-5d32-83fc-edc12edb3d0e');
INSERT INTO public.steps VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'thumbnail', 'v1', 'ada', '2026-07-01 12:00:00+00', 1, 0, false, 'done', 'r1', 0, NULL, NULL, NULL, '2026-07-01 12:20:00+00', 'run-1', '6fdbf66f-c174-5d32-83fc-edc12edb3d0e', '8153d4d2-6f4c-5740-a6ed-a27fa38bd722');
INSERT INTO public.steps VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'detect', 'v1', 'ada', '2026-07-01 12:00:00+00', 1, 0, false, 'done', 'r1', 0, NULL, NULL, NULL, '2026-07-01 12:20:00+00', 'run-1', '6fdbf66f-c174-5d32-83fc-edc12edb3d0e', 'f478db46-4208-592a-86c3-bbee520547aa');
INSERT INTO public.steps VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'analyze', 'v1', 'ada', '2026-07-01 12:00:00+00', 1, 0, false, 'done', 'r1', 0, NULL, NULL, NULL, '2026-07-01 12:20:00+00', 'run-1', '6fdbf66f-c174-5d32-83fc-edc12edb3d0e', 'f478db46-4208-592a-86c3-bbee520547aa');
INSERT INTO public.steps VALUES ('33578c3e-9312-50e9-b736-7fa5425cc2b0', 'probe', 'v1', 'ada', '2026-07-01 12:00:00+00', 13, 0, false, 'done', 'r1', 0, NULL, NULL, NULL, '2026-07-01 12:20:00+00', 'run-1', 'af042cb8-e27d-514d-9d3f-f5a0ce70760c', 'af042cb8-e27d-514d-9d3f-f5a0ce70760c');
INSERT INTO public.steps VALUES ('33578c3e-9312-50e9-b736-7fa5425cc2b0', 'thumbnail', 'v1', 'ada', '2026-07-01 12:00:00+00', 13, 0, false, 'pending', NULL, 1, NULL, 'timeout', 'timeout in a1', NULL, NULL, 'af042cb8-e27d-514d-9d3f-f5a0ce70760c', '2bf9c8d7-f343-53c1-bc9a-dd5ae3db7e11');
INSERT INTO public.steps VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'embed', 'v1', 'ada', '2026-07-01 12:00:00+00', 1, 1, true, 'pending', NULL, 0, NULL, NULL, NULL, NULL, NULL, '6fdbf66f-c174-5d32-83fc-edc12edb3d0e', 'abfd6a2a-cdf1-513a-9b7d-f84b60a8d35e');
INSERT INTO public.subscribers VALUES ('eventbridge', 9, '2026-07-01 12:20:00+00');
INSERT INTO public.thumbnails VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 256, 'ada', 0, 'r1', 256, 128, 'derived/v1/r1/0/256.webp', '0000000000000000000000000000000000000000000000000000000000000000', 256, 'image/webp', '3OcRJYB4d3h/iIeHeEh3eIhw+j2w', '2026-07-01 12:20:00+00');
INSERT INTO public.thumbnails VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 800, 'ada', 0, 'r1', 800, 400, 'derived/v1/r1/0/800.webp', '0000000000000000000000000000000000000000000000000000000000000000', 800, 'image/webp', '3OcRJYB4d3h/iIeHeEh3eIhw+j2w', '2026-07-01 12:20:00+00');
INSERT INTO public.uploads VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'ada', 'photos', 'uploads/ada/cat.jpg', 'e', 1000, 'v1', '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 1, 'image', 'jpeg', 'image/jpeg', 40, 30, 1, 1, '{}', 0, NULL, '6fdbf66f-c174-5d32-83fc-edc12edb3d0e');
INSERT INTO public.uploads VALUES ('33578c3e-9312-50e9-b736-7fa5425cc2b0', 'v1', 'ada', 'photos', 'uploads/ada/fly.jpg', 'e', 1000, 'v1', '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 13, 'image', 'jpeg', 'image/jpeg', 40, 30, 1, 1, '{}', 0, NULL, 'af042cb8-e27d-514d-9d3f-f5a0ce70760c');

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.analyses
    ADD CONSTRAINT analyses_pkey PRIMARY KEY (item_id, version_id);

ALTER TABLE ONLY public.breakers
    ADD CONSTRAINT breakers_pkey PRIMARY KEY (target);

ALTER TABLE ONLY public.claims
    ADD CONSTRAINT claims_pkey PRIMARY KEY (item_id, step);

ALTER TABLE ONLY public.contact_sheets
    ADD CONSTRAINT contact_sheets_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.costs
    ADD CONSTRAINT costs_pkey PRIMARY KEY (user_id, day, step, target);

ALTER TABLE ONLY public.detections
    ADD CONSTRAINT detections_pkey PRIMARY KEY (item_id, version_id, ordinal);

ALTER TABLE ONLY public.embeddings
    ADD CONSTRAINT embeddings_pkey PRIMARY KEY (item_id, version_id);

ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (item_id);

ALTER TABLE ONLY public.event_payloads
    ADD CONSTRAINT event_payloads_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY public.event_types
    ADD CONSTRAINT event_types_pkey PRIMARY KEY (type);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_event_id_key UNIQUE (event_id);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_stream_id_version_key UNIQUE (stream_id, version);

ALTER TABLE ONLY public.items
    ADD CONSTRAINT items_pkey PRIMARY KEY (item_id);

ALTER TABLE ONLY public.outbox_held
    ADD CONSTRAINT outbox_held_pkey PRIMARY KEY (subscriber, "position");

ALTER TABLE ONLY public.requested_generations
    ADD CONSTRAINT requested_generations_pkey PRIMARY KEY (item_id, step);

ALTER TABLE ONLY public.requested_runs
    ADD CONSTRAINT requested_runs_pkey PRIMARY KEY (pipeline, hour);

ALTER TABLE ONLY public.spending_stops
    ADD CONSTRAINT spending_stops_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.step_failures
    ADD CONSTRAINT step_failures_pkey PRIMARY KEY (item_id, version_id, step, generation);

ALTER TABLE ONLY public.step_results
    ADD CONSTRAINT step_results_pkey PRIMARY KEY (item_id, version_id, step, generation);

ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_pkey PRIMARY KEY (item_id, step);

ALTER TABLE ONLY public.subscribers
    ADD CONSTRAINT subscribers_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.thumbnails
    ADD CONSTRAINT thumbnails_pkey PRIMARY KEY (item_id, version_id, size);

ALTER TABLE ONLY public.uploads
    ADD CONSTRAINT uploads_pkey PRIMARY KEY (item_id, version_id);

CREATE INDEX claims_by_claim ON public.claims USING btree (claim_id);

CREATE INDEX contact_sheets_items ON public.contact_sheets USING gin (item_ids);

CREATE INDEX detections_by_label ON public.detections USING btree (label, user_id);

CREATE INDEX embeddings_hnsw_meaning_8134436b ON public.embeddings USING hnsw (((embedding)::public.halfvec(3)) public.halfvec_cosine_ops) WHERE ((model = 'meaning'::text) AND (dimensions = 3));

CREATE INDEX erasures_due ON public.erasures USING btree (sweep_at) WHERE (sweep_at IS NOT NULL);

CREATE INDEX events_correlation ON public.events USING btree (correlation_id);

CREATE INDEX events_erased ON public.events USING btree (item_id) WHERE (type = 'ItemErased'::text);

CREATE INDEX events_run_id ON public.events USING btree (run_id, type) WHERE (run_id IS NOT NULL);

CREATE INDEX items_by_hour ON public.items USING btree (hour);

CREATE INDEX items_by_key ON public.items USING btree (key);

CREATE INDEX steps_by_hour ON public.steps USING btree (hour, step);

CREATE INDEX steps_new ON public.steps USING btree (step, hour, "position") WHERE ((state = 'pending'::text) AND (NOT recomputation));

CREATE INDEX steps_pending ON public.steps USING btree (step, hour, recomputation, "position") WHERE (state = 'pending'::text);

CREATE TRIGGER event_payloads_append_only BEFORE UPDATE OR TRUNCATE ON public.event_payloads FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

ALTER TABLE public.event_payloads ENABLE ALWAYS TRIGGER event_payloads_append_only;

CREATE TRIGGER event_payloads_until_erased BEFORE DELETE ON public.event_payloads FOR EACH ROW EXECUTE FUNCTION public.refuse_unless_erased();

ALTER TABLE public.event_payloads ENABLE ALWAYS TRIGGER event_payloads_until_erased;

CREATE TRIGGER events_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.events FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

ALTER TABLE public.events ENABLE ALWAYS TRIGGER events_append_only;

ALTER TABLE public.analyses ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.claims ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.costs ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.detections ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.embeddings ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.erasures ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.event_payloads ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.events ENABLE ROW LEVEL SECURITY;

CREATE POLICY everything ON public.analyses TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.claims TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.costs TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.detections TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.embeddings TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.erasures TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.event_payloads TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.events TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.items TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.requested_generations TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.spending_stops TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.step_failures TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.step_results TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.steps TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.thumbnails TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

CREATE POLICY everything ON public.uploads TO postgres, media_assets_app, media_assets_relay, media_assets_eraser USING (true) WITH CHECK (true);

ALTER TABLE public.items ENABLE ROW LEVEL SECURITY;

CREATE POLICY of_own_events ON public.event_payloads FOR SELECT TO media_assets_api USING ((EXISTS ( SELECT
   FROM public.events e
  WHERE (e.event_id = event_payloads.event_id))));

CREATE POLICY own_rows ON public.analyses FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.claims FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.costs FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.detections FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.embeddings FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.erasures FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.events FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.items FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.requested_generations FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.spending_stops FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.step_failures FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.step_results FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.steps FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.thumbnails FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

CREATE POLICY own_rows ON public.uploads FOR SELECT TO media_assets_api USING ((user_id = NULLIF(current_setting('media.user_id'::text, true), ''::text)));

ALTER TABLE public.requested_generations ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.spending_stops ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.step_failures ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.step_results ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.steps ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.thumbnails ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.uploads ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA public TO media_assets_app;
GRANT USAGE ON SCHEMA public TO media_assets_api;
GRANT USAGE ON SCHEMA public TO media_assets_relay;
GRANT USAGE ON SCHEMA public TO media_assets_eraser;

REVOKE ALL ON FUNCTION public.append_batch(batch jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.append_events(batch jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.append_events(batch jsonb) TO media_assets_app;

GRANT SELECT ON TABLE public.uploads TO media_assets_app;
GRANT SELECT ON TABLE public.uploads TO media_assets_api;
GRANT SELECT ON TABLE public.uploads TO media_assets_relay;
GRANT SELECT ON TABLE public.uploads TO media_assets_eraser;

REVOKE ALL ON FUNCTION public.erase_items(batch jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.erase_items(batch jsonb) TO media_assets_eraser;

GRANT SELECT ON TABLE public.events TO media_assets_app;
GRANT SELECT ON TABLE public.events TO media_assets_api;
GRANT SELECT ON TABLE public.events TO media_assets_relay;
GRANT SELECT ON TABLE public.events TO media_assets_eraser;

GRANT SELECT ON TABLE public.alembic_version TO media_assets_app;

GRANT SELECT ON TABLE public.analyses TO media_assets_app;
GRANT SELECT ON TABLE public.analyses TO media_assets_api;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.breakers TO media_assets_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.claims TO media_assets_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.contact_sheets TO media_assets_app;
GRANT SELECT,DELETE ON TABLE public.contact_sheets TO media_assets_eraser;

GRANT SELECT ON TABLE public.costs TO media_assets_app;
GRANT SELECT ON TABLE public.costs TO media_assets_api;

GRANT SELECT ON TABLE public.detections TO media_assets_app;
GRANT SELECT ON TABLE public.detections TO media_assets_api;

GRANT SELECT ON TABLE public.embeddings TO media_assets_app;
GRANT SELECT ON TABLE public.embeddings TO media_assets_api;

GRANT SELECT ON TABLE public.erasures TO media_assets_app;
GRANT SELECT,INSERT,UPDATE ON TABLE public.erasures TO media_assets_eraser;

GRANT SELECT ON TABLE public.event_payloads TO media_assets_app;
GRANT SELECT ON TABLE public.event_payloads TO media_assets_api;
GRANT SELECT ON TABLE public.event_payloads TO media_assets_relay;

GRANT SELECT ON TABLE public.event_types TO media_assets_app;

GRANT SELECT ON TABLE public.items TO media_assets_app;
GRANT SELECT ON TABLE public.items TO media_assets_api;
GRANT SELECT ON TABLE public.items TO media_assets_eraser;

GRANT SELECT ON TABLE public.outbox_held TO media_assets_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.outbox_held TO media_assets_relay;

GRANT SELECT ON TABLE public.requested_generations TO media_assets_app;
GRANT SELECT ON TABLE public.requested_generations TO media_assets_api;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.requested_runs TO media_assets_app;

GRANT SELECT ON TABLE public.spending_stops TO media_assets_app;
GRANT SELECT ON TABLE public.spending_stops TO media_assets_api;

GRANT SELECT ON TABLE public.step_failures TO media_assets_app;
GRANT SELECT ON TABLE public.step_failures TO media_assets_api;

GRANT SELECT ON TABLE public.step_results TO media_assets_app;
GRANT SELECT ON TABLE public.step_results TO media_assets_api;

GRANT SELECT ON TABLE public.steps TO media_assets_app;
GRANT SELECT ON TABLE public.steps TO media_assets_api;

GRANT SELECT ON TABLE public.subscribers TO media_assets_app;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.subscribers TO media_assets_relay;

GRANT SELECT ON TABLE public.thumbnails TO media_assets_app;
GRANT SELECT ON TABLE public.thumbnails TO media_assets_api;
GRANT SELECT ON TABLE public.thumbnails TO media_assets_relay;

GRANT SELECT ON TABLE public.told TO media_assets_app;
GRANT SELECT ON TABLE public.told TO media_assets_api;
GRANT SELECT ON TABLE public.told TO media_assets_relay;
