-- A database of revision 0001, as pg_dump wrote it (--inserts --no-owner, without its comments): the tables and functions that
-- there were then, a log of 21 events, the read models that were folded from it, and a row in each operational table.
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

COMMENT ON EXTENSION vector IS 'vector data type and ivfflat and hnsw access methods';

CREATE FUNCTION public.append_events(batch jsonb) RETURNS TABLE(event_position bigint, inserted boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $_$
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
END $_$;

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
    CONSTRAINT uploads_user_id_check CHECK ((user_id <> ''::text))
);

CREATE FUNCTION public.current_upload(wanted uuid) RETURNS SETOF public.uploads
    LANGUAGE sql STABLE
    AS $$
    SELECT * FROM uploads WHERE item_id = wanted
    ORDER BY (removed_at IS NOT NULL), sequencer COLLATE "C" DESC, position DESC LIMIT 1
$$;

CREATE FUNCTION public.fold(first bigint, last bigint) RETURNS void
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
DECLARE
    touched uuid[] := ARRAY(SELECT DISTINCT item_id FROM public.events WHERE position BETWEEN first AND last);
BEGIN
    PERFORM fold_uploads(first, last);
    PERFORM fold_step_results(first, last);
    PERFORM fold_step_failures(first, last);
    PERFORM fold_requested_generations(first, last);
    PERFORM fold_thumbnails(first, last);
    PERFORM fold_analyses(first, last);
    PERFORM fold_embeddings(first, last);
    PERFORM fold_steps(touched);
    PERFORM fold_items(touched);
END $$;

CREATE FUNCTION public.fold_analyses(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO analyses AS a (item_id, version_id, analysis_id, user_id, generation, recipe, provider, model, category,
                               summary, tags, objects, text, dominant_colours, tokens_in, tokens_out, created_at)
    SELECT DISTINCT ON (e.item_id, p.body->>'version_id')
           e.item_id, p.body->>'version_id', e.event_id, e.user_id, e.generation, e.recipe, p.body->>'provider',
           p.body->>'model', s->>'category', s->>'summary', s->'tags', s->'objects', s->'text', s->'dominant_colours',
           e.tokens_in, e.tokens_out, e.occurred_at
    FROM public.events e JOIN public.event_payloads p USING (event_id) CROSS JOIN LATERAL (SELECT p.body->'analysis' AS s) _
    WHERE e.position BETWEEN first AND last AND e.type = 'AnalysisCompleted'
    ORDER BY e.item_id, p.body->>'version_id', e.generation DESC, e.position
    ON CONFLICT (item_id, version_id) DO UPDATE
    SET analysis_id = excluded.analysis_id, generation = excluded.generation, recipe = excluded.recipe,
        provider = excluded.provider, model = excluded.model, category = excluded.category, summary = excluded.summary,
        tags = excluded.tags, objects = excluded.objects, text = excluded.text,
        dominant_colours = excluded.dominant_colours, tokens_in = excluded.tokens_in, tokens_out = excluded.tokens_out,
        created_at = excluded.created_at
    WHERE excluded.generation > a.generation;
$$;

CREATE FUNCTION public.fold_embeddings(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO embeddings AS m (item_id, version_id, analysis_id, user_id, generation, recipe, model, dimensions,
                                 embedding, created_at)
    SELECT DISTINCT ON (e.item_id, p.body->>'version_id')
           e.item_id, p.body->>'version_id', (p.body->>'analysis_id')::uuid, e.user_id, e.generation, e.recipe,
           p.body->>'model', (p.body->>'dimensions')::integer, (p.body->>'vector')::public.vector, e.occurred_at
    FROM public.events e JOIN public.event_payloads p USING (event_id)
    WHERE e.position BETWEEN first AND last AND e.type = 'EmbeddingStored'
    ORDER BY e.item_id, p.body->>'version_id', e.generation DESC, e.position
    ON CONFLICT (item_id, version_id) DO UPDATE
    SET analysis_id = excluded.analysis_id, generation = excluded.generation, recipe = excluded.recipe,
        model = excluded.model, dimensions = excluded.dimensions, embedding = excluded.embedding,
        created_at = excluded.created_at
    WHERE excluded.generation > m.generation;
$$;

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

CREATE FUNCTION public.fold_requested_generations(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO requested_generations AS g (item_id, step, user_id, generation)
    SELECT item_id, step, min(user_id), max(generation)
    FROM public.events
    WHERE position BETWEEN first AND last AND type = 'ReprocessRequested'
    GROUP BY item_id, step
    ON CONFLICT (item_id, step) DO UPDATE SET generation = greatest(g.generation, excluded.generation);
$$;

CREATE FUNCTION public.fold_step_failures(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO step_failures AS f
        (item_id, version_id, step, generation, user_id, failures, retry_at, error_code, error_message, dead)
    SELECT DISTINCT ON (item_id, version_id, step, generation)
           item_id, version_id, step, generation, user_id, sum((type = 'StepFailed')::integer) OVER w,
           (body->>'retry_at')::timestamptz, body->>'code', body->>'message', bool_or(type = 'StepAbandoned') OVER w
    FROM (
        SELECT e.*, p.body, p.body->>'version_id' AS version_id
        FROM public.events e JOIN public.event_payloads p USING (event_id)
        WHERE e.position BETWEEN first AND last AND e.type IN ('StepFailed', 'StepAbandoned')
    ) told
    WINDOW w AS (PARTITION BY item_id, version_id, step, generation)
    ORDER BY item_id, version_id, step, generation, position DESC
    ON CONFLICT (item_id, version_id, step, generation) DO UPDATE
    SET failures = f.failures + excluded.failures, retry_at = excluded.retry_at, error_code = excluded.error_code,
        error_message = excluded.error_message, dead = f.dead OR excluded.dead;
$$;

CREATE FUNCTION public.fold_step_results(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO step_results (item_id, version_id, step, generation, user_id, recipe, outcome, error_code, error_message,
                              finished_at, run_id)
    SELECT DISTINCT ON (e.item_id, p.body->>'version_id', e.step, e.generation)
           e.item_id, p.body->>'version_id', e.step, e.generation, e.user_id, e.recipe,
           CASE e.type WHEN 'UploadRejected' THEN 'rejected' ELSE 'done' END, p.body->>'code', p.body->>'message',
           e.occurred_at, e.run_id
    FROM public.events e JOIN public.event_payloads p USING (event_id)
    WHERE e.position BETWEEN first AND last
      AND e.type IN ('MediaProbed', 'UploadRejected', 'ThumbnailCreated', 'AnalysisCompleted', 'EmbeddingStored')
    ORDER BY e.item_id, p.body->>'version_id', e.step, e.generation, e.position
    ON CONFLICT DO NOTHING;
$$;

CREATE FUNCTION public.fold_steps(touched uuid[]) RETURNS void
    LANGUAGE sql
    AS $$
    WITH standing AS (
        SELECT u.item_id, u.version_id, u.user_id, u.hour, u.position, g.step, g.after,
               u.removed_at IS NULL AND (g.kind IS NULL OR g.kind = u.kind) IS TRUE AS applies,
               coalesce(q.generation, 0) AS generation,
               r.outcome IS NULL AND (
                   EXISTS (SELECT FROM step_results o
                           WHERE o.item_id = u.item_id AND o.version_id = u.version_id AND o.step = g.step
                             AND o.generation < q.generation)
                   OR EXISTS (SELECT FROM step_failures o
                              WHERE o.item_id = u.item_id AND o.version_id = u.version_id AND o.step = g.step
                                AND o.generation < q.generation AND o.dead)
               ) AS recomputation,
               CASE WHEN r.outcome IS NOT NULL THEN r.outcome WHEN f.dead THEN 'dead' ELSE 'pending' END AS state,
               r.recipe, coalesce(f.failures, 0) AS failures, CASE WHEN r.outcome IS NULL THEN f.retry_at END AS retry_at,
               CASE WHEN r.outcome IS NULL THEN f.error_code ELSE r.error_code END AS error_code,
               CASE WHEN r.outcome IS NULL THEN f.error_message ELSE r.error_message END AS error_message,
               r.finished_at, r.run_id
        FROM unnest(touched) t (item_id)
        CROSS JOIN LATERAL current_upload(t.item_id) u
        CROSS JOIN step_graph() g
        LEFT JOIN LATERAL (
            SELECT * FROM requested_generations o WHERE o.item_id = u.item_id AND o.step = g.step LIMIT 1
        ) q ON true
        LEFT JOIN LATERAL (
            SELECT * FROM step_results o
            WHERE o.item_id = u.item_id AND o.version_id = u.version_id AND o.step = g.step
              AND o.generation = coalesce(q.generation, 0) LIMIT 1
        ) r ON true
        LEFT JOIN LATERAL (
            SELECT * FROM step_failures o
            WHERE o.item_id = u.item_id AND o.version_id = u.version_id AND o.step = g.step
              AND o.generation = coalesce(q.generation, 0) LIMIT 1
        ) f ON true
    ), judged AS (
        SELECT *, applies AND after <@ coalesce(
                   array_agg(step) FILTER (WHERE applies AND state = 'done') OVER (PARTITION BY item_id), '{}') AS due
        FROM standing
    ), gone AS (
        DELETE FROM steps s USING judged j
        WHERE s.item_id = ANY (touched) AND s.item_id = j.item_id AND s.step = j.step AND NOT j.due
    )
    INSERT INTO steps AS s (item_id, step, version_id, user_id, hour, position, generation, recomputation, state, recipe,
                            failures, retry_at, error_code, error_message, finished_at, run_id)
    SELECT item_id, step, version_id, user_id, hour, position, generation, recomputation, state, recipe, failures, retry_at,
           error_code, error_message, finished_at, run_id
    FROM judged WHERE due
    ON CONFLICT (item_id, step) DO UPDATE
    SET version_id = excluded.version_id, hour = excluded.hour, position = excluded.position,
        generation = excluded.generation, recomputation = excluded.recomputation, state = excluded.state,
        recipe = excluded.recipe, failures = excluded.failures, retry_at = excluded.retry_at,
        error_code = excluded.error_code, error_message = excluded.error_message, finished_at = excluded.finished_at,
        run_id = excluded.run_id
    WHERE s.* IS DISTINCT FROM excluded.*;
$$;

CREATE FUNCTION public.fold_thumbnails(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    DELETE FROM thumbnails t
    USING public.events e JOIN public.event_payloads p USING (event_id)
    WHERE e.position BETWEEN first AND last AND e.type = 'ThumbnailCreated'
      AND t.item_id = e.item_id AND t.version_id = p.body->>'version_id' AND t.generation < e.generation;

    INSERT INTO thumbnails (item_id, version_id, size, user_id, generation, recipe, width, height, key, sha256, size_bytes,
                            content_type, placeholder, created_at)
    SELECT r.item_id, r.version_id, (o->>'size')::integer, r.user_id, r.generation, r.recipe, (o->>'width')::integer,
           (o->>'height')::integer, o->>'key', o->>'sha256', (o->>'size_bytes')::bigint, o->>'content_type',
           r.body->>'placeholder', r.occurred_at
    FROM (
        SELECT DISTINCT ON (e.item_id, p.body->>'version_id') e.*, p.body, p.body->>'version_id' AS version_id
        FROM public.events e JOIN public.event_payloads p USING (event_id)
        WHERE e.position BETWEEN first AND last AND e.type = 'ThumbnailCreated'
        ORDER BY e.item_id, p.body->>'version_id', e.generation DESC, e.position
    ) r CROSS JOIN LATERAL jsonb_array_elements(r.body->'thumbnails') o
    WHERE NOT EXISTS (SELECT FROM thumbnails t WHERE t.item_id = r.item_id AND t.version_id = r.version_id)
    ON CONFLICT DO NOTHING;
$$;

CREATE FUNCTION public.fold_uploads(first bigint, last bigint) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO uploads (item_id, version_id, user_id, bucket, key, etag, size_bytes, sequencer, hour, received_at, position)
    SELECT e.item_id, p.body->>'version_id', e.user_id, p.body->>'bucket', p.body->>'key', p.body->>'etag',
           (p.body->>'size_bytes')::bigint, p.body->>'sequencer', (p.body->>'hour')::timestamptz, e.occurred_at, e.position
    FROM public.events e JOIN public.event_payloads p USING (event_id)
    WHERE e.position BETWEEN first AND last AND e.type = 'UploadReceived'
    ON CONFLICT DO NOTHING;

    -- Of the highest generation, the measurement that was stored first.
    UPDATE uploads u
    SET kind = m.body->>'kind', format = m.body->>'format', content_type = m.body->>'content_type',
        width = (m.body->>'width')::integer, height = (m.body->>'height')::integer,
        orientation = (m.body->>'orientation')::integer, frames = (m.body->>'frames')::integer, exif = m.body->'exif',
        probe_generation = m.generation
    FROM (
        SELECT DISTINCT ON (e.item_id, p.body->>'version_id') e.item_id, e.generation, p.body
        FROM public.events e JOIN public.event_payloads p USING (event_id)
        JOIN uploads arrived ON arrived.item_id = e.item_id AND arrived.version_id = p.body->>'version_id'
                            AND arrived.position < e.position
        WHERE e.position BETWEEN first AND last AND e.type = 'MediaProbed'
        ORDER BY e.item_id, p.body->>'version_id', e.generation DESC, e.position
    ) m
    WHERE u.item_id = m.item_id AND u.version_id = m.body->>'version_id'
      AND (u.probe_generation IS NULL OR m.generation > u.probe_generation);

    UPDATE uploads u
    SET removed_at = e.occurred_at
    FROM public.events e JOIN public.event_payloads p USING (event_id)
    WHERE e.position BETWEEN first AND last AND e.type = 'UploadRemoved'
      AND u.item_id = e.item_id AND u.version_id = p.body->>'version_id' AND u.position < e.position;
$$;

CREATE FUNCTION public.number_incoming(batch jsonb, head bigint) RETURNS TABLE(fields jsonb, new_position bigint, new_version integer, expected_version integer)
    LANGUAGE sql
    AS $$
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

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% is append only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'MA002';
END $$;

CREATE FUNCTION public.step_graph() RETURNS TABLE(step text, after text[], kind text)
    LANGUAGE sql IMMUTABLE
    AS $$
    VALUES ('probe', '{}'::text[], NULL), ('thumbnail', '{probe}', 'image'), ('analyze', '{probe,thumbnail}', 'image'),
           ('embed', '{probe,thumbnail,analyze}', 'image')
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
    attempts integer DEFAULT 1 NOT NULL
);

CREATE TABLE public.contact_sheets (
    key text NOT NULL,
    item_ids uuid[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

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

CREATE TABLE public.event_payloads (
    event_id uuid NOT NULL,
    body jsonb NOT NULL
);

CREATE TABLE public.events (
    "position" bigint NOT NULL,
    event_id uuid NOT NULL,
    stream_id text NOT NULL,
    version integer NOT NULL,
    type text NOT NULL,
    schema_version integer NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    user_id text NOT NULL,
    item_id uuid NOT NULL,
    step text,
    recipe text,
    generation integer,
    target text,
    run_id text,
    milliseconds bigint DEFAULT 0 NOT NULL,
    memory_mb integer DEFAULT 0 NOT NULL,
    tokens_in bigint DEFAULT 0 NOT NULL,
    tokens_out bigint DEFAULT 0 NOT NULL,
    CONSTRAINT events_generation_check CHECK ((generation >= 0)),
    CONSTRAINT events_schema_version_check CHECK ((schema_version > 0)),
    CONSTRAINT events_user_id_check CHECK ((user_id <> ''::text)),
    CONSTRAINT events_version_check CHECK ((version > 0))
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

CREATE TABLE public.requested_generations (
    item_id uuid NOT NULL,
    step text NOT NULL,
    user_id text NOT NULL,
    generation integer NOT NULL,
    CONSTRAINT requested_generations_user_id_check CHECK ((user_id <> ''::text))
);

CREATE TABLE public.requested_runs (
    pipeline text NOT NULL,
    hour timestamp with time zone NOT NULL,
    requested_at timestamp with time zone NOT NULL
);

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
    CONSTRAINT step_failures_user_id_check CHECK ((user_id <> ''::text))
);

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
    CONSTRAINT step_results_outcome_check CHECK ((outcome = ANY (ARRAY['done'::text, 'rejected'::text]))),
    CONSTRAINT step_results_user_id_check CHECK ((user_id <> ''::text))
);

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
    CONSTRAINT steps_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'done'::text, 'rejected'::text, 'dead'::text]))),
    CONSTRAINT steps_user_id_check CHECK ((user_id <> ''::text))
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

INSERT INTO public.alembic_version VALUES ('0001');

INSERT INTO public.analyses VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', '24d9a950-500d-5500-8a7a-4aa24e62a29d', 'ada', 1, 'r1', 'local', 'sight', 'animal', 'Still a cat: "Ä ".', '["cat"]', '[]', '[]', '[{"hex": "#aa8866", "name": "brown", "share": 1.0}]', 0, 0, '2026-07-01 12:20:00+00');

INSERT INTO public.breakers VALUES ('analyze', 2, '2026-07-01 12:30:00+00', 'throttled');

INSERT INTO public.claims VALUES ('33578c3e-9312-50e9-b736-7fa5425cc2b0', 'probe', '00000000-0000-4000-8000-000000000001', 'run-2', '2026-07-01 12:30:00+00', 1);

INSERT INTO public.contact_sheets VALUES ('previews/a.webp', '{076333c8-35d7-5a0c-bb7a-4346e5f81244,4ab4422b-187a-51b3-9e35-7418723db445,33578c3e-9312-50e9-b736-7fa5425cc2b0,33c6516e-0c63-56ee-997d-d9529413f1f3}', '2026-07-01 12:22:00+00');

INSERT INTO public.embeddings VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', '57c2854e-4e91-5509-8bd1-25a83096f287', 'ada', 0, 'r1', 'meaning', 3, '[1,0,0]', '2026-07-01 12:20:00+00');

INSERT INTO public.event_payloads VALUES ('6fdbf66f-c174-5d32-83fc-edc12edb3d0e', '{"key": "uploads/ada/cat.jpg", "etag": "e", "hour": "2026-07-01T12:00:00Z", "bucket": "photos", "sequencer": "v1", "size_bytes": 1000, "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('b2bac283-4be6-577b-b0d6-03bdfd90d4ee', '{"code": "timeout", "message": "timeout in a1", "retry_at": "2026-07-01T12:20:10Z", "attempt_id": "a1", "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('8153d4d2-6f4c-5740-a6ed-a27fa38bd722', '{"exif": {}, "kind": "image", "width": 40, "format": "jpeg", "frames": 1, "height": 30, "version_id": "v1", "orientation": 1, "content_type": "image/jpeg"}');
INSERT INTO public.event_payloads VALUES ('f478db46-4208-592a-86c3-bbee520547aa', '{"thumbnails": [{"key": "derived/v1/r1/0/256.webp", "size": 256, "width": 256, "height": 128, "sha256": "0000000000000000000000000000000000000000000000000000000000000000", "size_bytes": 256, "content_type": "image/webp"}, {"key": "derived/v1/r1/0/800.webp", "size": 800, "width": 800, "height": 400, "sha256": "0000000000000000000000000000000000000000000000000000000000000000", "size_bytes": 800, "content_type": "image/webp"}], "version_id": "v1", "placeholder": "3OcRJYB4d3h/iIeHeEh3eIhw+j2w"}');
INSERT INTO public.event_payloads VALUES ('57c2854e-4e91-5509-8bd1-25a83096f287', '{"model": "sight", "analysis": {"tags": ["cat"], "text": [], "objects": [], "summary": "A cat.", "category": "animal", "dominant_colours": [{"hex": "#aa8866", "name": "brown", "share": 1.0}]}, "provider": "local", "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('ef0bf30c-27f3-589b-aca2-74eb7c5341b1', '{"model": "meaning", "vector": [1.0, 0.0, 0.0], "dimensions": 3, "version_id": "v1", "analysis_id": "57c2854e-4e91-5509-8bd1-25a83096f287"}');
INSERT INTO public.event_payloads VALUES ('d09cd232-4e54-5ef4-b7d6-b67a07b6691d', '{"key": "uploads/ada/dog.jpg", "etag": "e", "hour": "2026-07-01T12:00:00Z", "bucket": "photos", "sequencer": "v1", "size_bytes": 1000, "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('037c572b-c98b-59b7-84d6-0cb27fd3b09c', '{"code": "corrupt", "message": "it is corrupt", "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('d4954b03-8741-53c4-b5a6-0df5e1d2c11d', '{"key": "uploads/ada/owl.jpg", "etag": "e", "hour": "2026-07-01T12:00:00Z", "bucket": "photos", "sequencer": "v1", "size_bytes": 1000, "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('4993a4b6-8bb2-5a52-a661-36ed88c990dc', '{"exif": {}, "kind": "image", "width": 40, "format": "jpeg", "frames": 1, "height": 30, "version_id": "v1", "orientation": 1, "content_type": "image/jpeg"}');
INSERT INTO public.event_payloads VALUES ('412d7582-6f97-5f32-ac86-fc0a838d012f', '{"thumbnails": [{"key": "derived/v1/r1/0/256.webp", "size": 256, "width": 256, "height": 128, "sha256": "0000000000000000000000000000000000000000000000000000000000000000", "size_bytes": 256, "content_type": "image/webp"}, {"key": "derived/v1/r1/0/800.webp", "size": 800, "width": 800, "height": 400, "sha256": "0000000000000000000000000000000000000000000000000000000000000000", "size_bytes": 800, "content_type": "image/webp"}], "version_id": "v1", "placeholder": "3OcRJYB4d3h/iIeHeEh3eIhw+j2w"}');
INSERT INTO public.event_payloads VALUES ('c3c193e8-7218-5d9e-9e42-4ea92ebdd320', '{"code": "timeout", "message": "timeout in a1", "retry_at": null, "attempt_id": "a1", "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('eb1442b8-497f-5160-85a0-c9f1ee5d4ce2', '{"code": "timeout", "message": "timeout in a2", "retry_at": null, "attempt_id": "a2", "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('d6c919c8-8574-5dbb-b110-4ba1d0a624a7', '{"code": "crashed", "message": "crashed, given up", "failures": 5, "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('9bebf87e-603f-5cb0-be7d-ec27f70072e5', '{"reason": "somebody asked"}');
INSERT INTO public.event_payloads VALUES ('24d9a950-500d-5500-8a7a-4aa24e62a29d', '{"model": "sight", "analysis": {"tags": ["cat"], "text": [], "objects": [], "summary": "Still a cat: \"Ä \".", "category": "animal", "dominant_colours": [{"hex": "#aa8866", "name": "brown", "share": 1.0}]}, "provider": "local", "version_id": "v1"}');
INSERT INTO public.event_payloads VALUES ('0bc43250-c48f-5f4d-a85a-b236d1a0cf2c', '{"key": "uploads/ada/cat.jpg", "etag": "e", "hour": "2026-07-01T12:00:00Z", "bucket": "photos", "sequencer": "v2", "size_bytes": 1000, "version_id": "v2"}');
INSERT INTO public.event_payloads VALUES ('29c78af9-1bb0-5672-9fbe-b9551f746735', '{"exif": {}, "kind": "image", "width": 41, "format": "jpeg", "frames": 1, "height": 30, "version_id": "v2", "orientation": 1, "content_type": "image/jpeg"}');
INSERT INTO public.event_payloads VALUES ('68246190-f574-527f-ad7d-f74bdb2a8d00', '{"key": "uploads/ada/dog.jpg", "etag": "e", "hour": "2026-07-01T12:00:00Z", "bucket": "photos", "sequencer": "v2", "size_bytes": 1000, "version_id": "v2"}');
INSERT INTO public.event_payloads VALUES ('9b654f76-b0d0-5c22-8925-c3ac9b3f500e', '{"version_id": "v2"}');
INSERT INTO public.event_payloads VALUES ('af042cb8-e27d-514d-9d3f-f5a0ce70760c', '{"key": "uploads/ada/fly.jpg", "etag": "e", "hour": "2026-07-01T12:00:00Z", "bucket": "photos", "sequencer": "v1", "size_bytes": 1000, "version_id": "v1"}');

INSERT INTO public.events VALUES (1, '6fdbf66f-c174-5d32-83fc-edc12edb3d0e', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 1, 'UploadReceived', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.062913+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0);
INSERT INTO public.events VALUES (2, 'b2bac283-4be6-577b-b0d6-03bdfd90d4ee', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 2, 'StepFailed', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.063062+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'probe', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (3, '8153d4d2-6f4c-5740-a6ed-a27fa38bd722', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 3, 'MediaProbed', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.063084+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'probe', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (4, 'f478db46-4208-592a-86c3-bbee520547aa', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 4, 'ThumbnailCreated', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.063089+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'thumbnail', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (5, '57c2854e-4e91-5509-8bd1-25a83096f287', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 5, 'AnalysisCompleted', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.063092+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'analyze', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (6, 'ef0bf30c-27f3-589b-aca2-74eb7c5341b1', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 6, 'EmbeddingStored', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.063095+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'embed', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (7, 'd09cd232-4e54-5ef4-b7d6-b67a07b6691d', 'item-076333c8-35d7-5a0c-bb7a-4346e5f81244', 1, 'UploadReceived', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.119247+00', 'ada', '076333c8-35d7-5a0c-bb7a-4346e5f81244', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0);
INSERT INTO public.events VALUES (8, '037c572b-c98b-59b7-84d6-0cb27fd3b09c', 'item-076333c8-35d7-5a0c-bb7a-4346e5f81244', 2, 'UploadRejected', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.119285+00', 'ada', '076333c8-35d7-5a0c-bb7a-4346e5f81244', 'probe', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (9, 'd4954b03-8741-53c4-b5a6-0df5e1d2c11d', 'item-4ab4422b-187a-51b3-9e35-7418723db445', 1, 'UploadReceived', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.138211+00', 'ada', '4ab4422b-187a-51b3-9e35-7418723db445', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0);
INSERT INTO public.events VALUES (10, '4993a4b6-8bb2-5a52-a661-36ed88c990dc', 'item-4ab4422b-187a-51b3-9e35-7418723db445', 2, 'MediaProbed', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.138243+00', 'ada', '4ab4422b-187a-51b3-9e35-7418723db445', 'probe', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (11, '412d7582-6f97-5f32-ac86-fc0a838d012f', 'item-4ab4422b-187a-51b3-9e35-7418723db445', 3, 'ThumbnailCreated', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.13825+00', 'ada', '4ab4422b-187a-51b3-9e35-7418723db445', 'thumbnail', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (12, 'c3c193e8-7218-5d9e-9e42-4ea92ebdd320', 'item-4ab4422b-187a-51b3-9e35-7418723db445', 4, 'StepFailed', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.138255+00', 'ada', '4ab4422b-187a-51b3-9e35-7418723db445', 'analyze', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (13, 'eb1442b8-497f-5160-85a0-c9f1ee5d4ce2', 'item-4ab4422b-187a-51b3-9e35-7418723db445', 5, 'StepFailed', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.138258+00', 'ada', '4ab4422b-187a-51b3-9e35-7418723db445', 'analyze', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (14, 'd6c919c8-8574-5dbb-b110-4ba1d0a624a7', 'item-4ab4422b-187a-51b3-9e35-7418723db445', 6, 'StepAbandoned', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.138262+00', 'ada', '4ab4422b-187a-51b3-9e35-7418723db445', 'analyze', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (15, '9bebf87e-603f-5cb0-be7d-ec27f70072e5', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 7, 'ReprocessRequested', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.15942+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'analyze', NULL, 1, NULL, NULL, 0, 0, 0, 0);
INSERT INTO public.events VALUES (16, '24d9a950-500d-5500-8a7a-4aa24e62a29d', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 8, 'AnalysisCompleted', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.159452+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'analyze', 'r1', 1, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (17, '0bc43250-c48f-5f4d-a85a-b236d1a0cf2c', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 9, 'UploadReceived', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.174715+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0);
INSERT INTO public.events VALUES (18, '29c78af9-1bb0-5672-9fbe-b9551f746735', 'item-33c6516e-0c63-56ee-997d-d9529413f1f3', 10, 'MediaProbed', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.174746+00', 'ada', '33c6516e-0c63-56ee-997d-d9529413f1f3', 'probe', 'r1', 0, 'lambda', 'run-1', 12, 128, 0, 0);
INSERT INTO public.events VALUES (19, '68246190-f574-527f-ad7d-f74bdb2a8d00', 'item-076333c8-35d7-5a0c-bb7a-4346e5f81244', 3, 'UploadReceived', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.174753+00', 'ada', '076333c8-35d7-5a0c-bb7a-4346e5f81244', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0);
INSERT INTO public.events VALUES (20, '9b654f76-b0d0-5c22-8925-c3ac9b3f500e', 'item-076333c8-35d7-5a0c-bb7a-4346e5f81244', 4, 'UploadRemoved', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.174758+00', 'ada', '076333c8-35d7-5a0c-bb7a-4346e5f81244', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0);
INSERT INTO public.events VALUES (21, 'af042cb8-e27d-514d-9d3f-f5a0ce70760c', 'item-33578c3e-9312-50e9-b736-7fa5425cc2b0', 1, 'UploadReceived', 1, '2026-07-01 12:20:00+00', '2026-11-22 02:03:12.174761+00', 'ada', '33578c3e-9312-50e9-b736-7fa5425cc2b0', NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0);

INSERT INTO public.items VALUES ('076333c8-35d7-5a0c-bb7a-4346e5f81244', 'ada', 'photos', 'uploads/ada/dog.jpg', 'v1', 'e', 1000, '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 'rejected', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'corrupt', 'it is corrupt');
INSERT INTO public.items VALUES ('4ab4422b-187a-51b3-9e35-7418723db445', 'ada', 'photos', 'uploads/ada/owl.jpg', 'v1', 'e', 1000, '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 'failed', 'image', 'jpeg', 'image/jpeg', 40, 30, 1, '{}', NULL, NULL);
INSERT INTO public.items VALUES ('33578c3e-9312-50e9-b736-7fa5425cc2b0', 'ada', 'photos', 'uploads/ada/fly.jpg', 'v1', 'e', 1000, '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 'received', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.items VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'ada', 'photos', 'uploads/ada/cat.jpg', 'v2', 'e', 1000, '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 'processing', 'image', 'jpeg', 'image/jpeg', 41, 30, 1, '{}', NULL, NULL);

INSERT INTO public.requested_generations VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'analyze', 'ada', 1);

INSERT INTO public.requested_runs VALUES ('image', '2026-07-01 12:00:00+00', '2026-07-01 12:21:00+00');

INSERT INTO public.step_failures VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'probe', 0, 'ada', 1, '2026-07-01 12:20:10+00', 'timeout', 'timeout in a1', false);
INSERT INTO public.step_failures VALUES ('4ab4422b-187a-51b3-9e35-7418723db445', 'v1', 'analyze', 0, 'ada', 2, NULL, 'crashed', 'crashed, given up', true);

INSERT INTO public.step_results VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'analyze', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1');
INSERT INTO public.step_results VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'embed', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1');
INSERT INTO public.step_results VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'probe', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1');
INSERT INTO public.step_results VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'thumbnail', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1');
INSERT INTO public.step_results VALUES ('076333c8-35d7-5a0c-bb7a-4346e5f81244', 'v1', 'probe', 0, 'ada', 'r1', 'rejected', 'corrupt', 'it is corrupt', '2026-07-01 12:20:00+00', 'run-1');
INSERT INTO public.step_results VALUES ('4ab4422b-187a-51b3-9e35-7418723db445', 'v1', 'probe', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1');
INSERT INTO public.step_results VALUES ('4ab4422b-187a-51b3-9e35-7418723db445', 'v1', 'thumbnail', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1');
INSERT INTO public.step_results VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'analyze', 1, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1');
INSERT INTO public.step_results VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v2', 'probe', 0, 'ada', 'r1', 'done', NULL, NULL, '2026-07-01 12:20:00+00', 'run-1');

INSERT INTO public.steps VALUES ('076333c8-35d7-5a0c-bb7a-4346e5f81244', 'probe', 'v1', 'ada', '2026-07-01 12:00:00+00', 7, 0, false, 'rejected', 'r1', 0, NULL, 'corrupt', 'it is corrupt', '2026-07-01 12:20:00+00', 'run-1');
INSERT INTO public.steps VALUES ('4ab4422b-187a-51b3-9e35-7418723db445', 'probe', 'v1', 'ada', '2026-07-01 12:00:00+00', 9, 0, false, 'done', 'r1', 0, NULL, NULL, NULL, '2026-07-01 12:20:00+00', 'run-1');
INSERT INTO public.steps VALUES ('4ab4422b-187a-51b3-9e35-7418723db445', 'thumbnail', 'v1', 'ada', '2026-07-01 12:00:00+00', 9, 0, false, 'done', 'r1', 0, NULL, NULL, NULL, '2026-07-01 12:20:00+00', 'run-1');
INSERT INTO public.steps VALUES ('4ab4422b-187a-51b3-9e35-7418723db445', 'analyze', 'v1', 'ada', '2026-07-01 12:00:00+00', 9, 0, false, 'dead', NULL, 2, NULL, 'crashed', 'crashed, given up', NULL, NULL);
INSERT INTO public.steps VALUES ('33578c3e-9312-50e9-b736-7fa5425cc2b0', 'probe', 'v1', 'ada', '2026-07-01 12:00:00+00', 21, 0, false, 'pending', NULL, 0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.steps VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'probe', 'v2', 'ada', '2026-07-01 12:00:00+00', 17, 0, false, 'done', 'r1', 0, NULL, NULL, NULL, '2026-07-01 12:20:00+00', 'run-1');
INSERT INTO public.steps VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'thumbnail', 'v2', 'ada', '2026-07-01 12:00:00+00', 17, 0, false, 'pending', NULL, 0, NULL, NULL, NULL, NULL, NULL);

INSERT INTO public.thumbnails VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 256, 'ada', 0, 'r1', 256, 128, 'derived/v1/r1/0/256.webp', '0000000000000000000000000000000000000000000000000000000000000000', 256, 'image/webp', '3OcRJYB4d3h/iIeHeEh3eIhw+j2w', '2026-07-01 12:20:00+00');
INSERT INTO public.thumbnails VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 800, 'ada', 0, 'r1', 800, 400, 'derived/v1/r1/0/800.webp', '0000000000000000000000000000000000000000000000000000000000000000', 800, 'image/webp', '3OcRJYB4d3h/iIeHeEh3eIhw+j2w', '2026-07-01 12:20:00+00');
INSERT INTO public.thumbnails VALUES ('4ab4422b-187a-51b3-9e35-7418723db445', 'v1', 256, 'ada', 0, 'r1', 256, 128, 'derived/v1/r1/0/256.webp', '0000000000000000000000000000000000000000000000000000000000000000', 256, 'image/webp', '3OcRJYB4d3h/iIeHeEh3eIhw+j2w', '2026-07-01 12:20:00+00');
INSERT INTO public.thumbnails VALUES ('4ab4422b-187a-51b3-9e35-7418723db445', 'v1', 800, 'ada', 0, 'r1', 800, 400, 'derived/v1/r1/0/800.webp', '0000000000000000000000000000000000000000000000000000000000000000', 800, 'image/webp', '3OcRJYB4d3h/iIeHeEh3eIhw+j2w', '2026-07-01 12:20:00+00');

INSERT INTO public.uploads VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v1', 'ada', 'photos', 'uploads/ada/cat.jpg', 'e', 1000, 'v1', '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 1, 'image', 'jpeg', 'image/jpeg', 40, 30, 1, 1, '{}', 0, NULL);
INSERT INTO public.uploads VALUES ('076333c8-35d7-5a0c-bb7a-4346e5f81244', 'v1', 'ada', 'photos', 'uploads/ada/dog.jpg', 'e', 1000, 'v1', '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 7, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.uploads VALUES ('4ab4422b-187a-51b3-9e35-7418723db445', 'v1', 'ada', 'photos', 'uploads/ada/owl.jpg', 'e', 1000, 'v1', '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 9, 'image', 'jpeg', 'image/jpeg', 40, 30, 1, 1, '{}', 0, NULL);
INSERT INTO public.uploads VALUES ('33578c3e-9312-50e9-b736-7fa5425cc2b0', 'v1', 'ada', 'photos', 'uploads/ada/fly.jpg', 'e', 1000, 'v1', '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 21, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.uploads VALUES ('33c6516e-0c63-56ee-997d-d9529413f1f3', 'v2', 'ada', 'photos', 'uploads/ada/cat.jpg', 'e', 1000, 'v2', '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 17, 'image', 'jpeg', 'image/jpeg', 41, 30, 1, 1, '{}', 0, NULL);
INSERT INTO public.uploads VALUES ('076333c8-35d7-5a0c-bb7a-4346e5f81244', 'v2', 'ada', 'photos', 'uploads/ada/dog.jpg', 'e', 1000, 'v2', '2026-07-01 12:00:00+00', '2026-07-01 12:20:00+00', 19, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-07-01 12:20:00+00');

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

ALTER TABLE ONLY public.embeddings
    ADD CONSTRAINT embeddings_pkey PRIMARY KEY (item_id, version_id);

ALTER TABLE ONLY public.event_payloads
    ADD CONSTRAINT event_payloads_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_event_id_key UNIQUE (event_id);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_stream_id_version_key UNIQUE (stream_id, version);

ALTER TABLE ONLY public.items
    ADD CONSTRAINT items_pkey PRIMARY KEY (item_id);

ALTER TABLE ONLY public.requested_generations
    ADD CONSTRAINT requested_generations_pkey PRIMARY KEY (item_id, step);

ALTER TABLE ONLY public.requested_runs
    ADD CONSTRAINT requested_runs_pkey PRIMARY KEY (pipeline, hour);

ALTER TABLE ONLY public.step_failures
    ADD CONSTRAINT step_failures_pkey PRIMARY KEY (item_id, version_id, step, generation);

ALTER TABLE ONLY public.step_results
    ADD CONSTRAINT step_results_pkey PRIMARY KEY (item_id, version_id, step, generation);

ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_pkey PRIMARY KEY (item_id, step);

ALTER TABLE ONLY public.thumbnails
    ADD CONSTRAINT thumbnails_pkey PRIMARY KEY (item_id, version_id, size);

ALTER TABLE ONLY public.uploads
    ADD CONSTRAINT uploads_pkey PRIMARY KEY (item_id, version_id);

CREATE INDEX claims_by_claim ON public.claims USING btree (claim_id);

CREATE INDEX embeddings_hnsw_meaning_8134436b ON public.embeddings USING hnsw (((embedding)::public.halfvec(3)) public.halfvec_cosine_ops) WHERE ((model = 'meaning'::text) AND (dimensions = 3));

CREATE INDEX events_run_id ON public.events USING btree (run_id, type) WHERE (run_id IS NOT NULL);

CREATE INDEX items_by_hour ON public.items USING btree (hour);

CREATE INDEX items_by_key ON public.items USING btree (key);

CREATE INDEX steps_by_hour ON public.steps USING btree (hour, step);

CREATE INDEX steps_pending ON public.steps USING btree (step, hour, recomputation, "position") WHERE (state = 'pending'::text);

CREATE TRIGGER event_payloads_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.event_payloads FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

ALTER TABLE public.event_payloads ENABLE ALWAYS TRIGGER event_payloads_append_only;

CREATE TRIGGER events_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.events FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

ALTER TABLE public.events ENABLE ALWAYS TRIGGER events_append_only;

ALTER TABLE ONLY public.event_payloads
    ADD CONSTRAINT event_payloads_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.events(event_id);

GRANT USAGE ON SCHEMA public TO media_assets_app;

REVOKE ALL ON FUNCTION public.append_events(batch jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.append_events(batch jsonb) TO media_assets_app;

GRANT SELECT ON TABLE public.uploads TO media_assets_app;

GRANT SELECT ON TABLE public.alembic_version TO media_assets_app;

GRANT SELECT ON TABLE public.analyses TO media_assets_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.breakers TO media_assets_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.claims TO media_assets_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.contact_sheets TO media_assets_app;

GRANT SELECT ON TABLE public.embeddings TO media_assets_app;

GRANT SELECT ON TABLE public.event_payloads TO media_assets_app;

GRANT SELECT ON TABLE public.events TO media_assets_app;

GRANT SELECT ON TABLE public.items TO media_assets_app;

GRANT SELECT ON TABLE public.requested_generations TO media_assets_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.requested_runs TO media_assets_app;

GRANT SELECT ON TABLE public.step_failures TO media_assets_app;

GRANT SELECT ON TABLE public.step_results TO media_assets_app;

GRANT SELECT ON TABLE public.steps TO media_assets_app;

GRANT SELECT ON TABLE public.thumbnails TO media_assets_app;
