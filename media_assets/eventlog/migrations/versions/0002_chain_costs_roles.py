"""The hash chain, causes and costs of events; roles for the API, the relay and the eraser; their tables.

Revision ID: 0002
"""

from alembic import context, op

revision = "0002"
down_revision = "0001"

LOG = """
ALTER TABLE events
    ALTER COLUMN item_id DROP NOT NULL,
    ALTER COLUMN recorded_at DROP DEFAULT,
    ADD COLUMN attempt_id text,
    ADD COLUMN micro_dollars bigint NOT NULL DEFAULT 0 CHECK (micro_dollars >= 0),
    ADD COLUMN correlation_id uuid,
    ADD COLUMN causation_id uuid,
    ADD COLUMN payload_sha256 bytea CHECK (octet_length(payload_sha256) = 32),
    ADD COLUMN hash bytea CHECK (octet_length(hash) = 32);
-- A trigger for each row, of what the only statement that inserts payloads does anyway.
ALTER TABLE event_payloads DROP CONSTRAINT event_payloads_event_id_fkey;
CREATE INDEX events_correlation ON events (correlation_id);
CREATE INDEX events_erased ON events (item_id) WHERE type = 'ItemErased';

CREATE TABLE event_types (
    type           text PRIMARY KEY,
    schema_version integer NOT NULL
);

-- What was told before there was a chain gets its place in it.
ALTER TABLE events DISABLE TRIGGER events_append_only;
UPDATE events e
SET attempt_id = p.body->>'attempt_id', payload_sha256 = sha256(convert_to(p.body::text, 'UTF8')),
    correlation_id = (
        SELECT o.event_id FROM events o JOIN event_payloads q USING (event_id)
        WHERE o.stream_id = e.stream_id AND o.type = 'UploadReceived' AND q.body->>'version_id' = p.body->>'version_id')
FROM event_payloads p WHERE p.event_id = e.event_id;
DO $$
DECLARE
    e    events;
    last bytea := decode(repeat('00', 32), 'hex');
BEGIN
    FOR e IN SELECT * FROM events ORDER BY position LOOP
        last := sha256(last || convert_to(jsonb_strip_nulls(jsonb_build_object(
            'position', e.position, 'event_id', e.event_id, 'stream_id', e.stream_id, 'version', e.version, 'type', e.type,
            'schema_version', e.schema_version, 'occurred_at', (extract(epoch FROM e.occurred_at) * 1000000)::bigint,
            'recorded_at', (extract(epoch FROM e.recorded_at) * 1000000)::bigint, 'user_id', e.user_id,
            'item_id', e.item_id, 'step', e.step, 'recipe', e.recipe, 'generation', e.generation, 'target', e.target,
            'run_id', e.run_id, 'attempt_id', e.attempt_id, 'milliseconds', e.milliseconds, 'memory_mb', e.memory_mb,
            'tokens_in', e.tokens_in, 'tokens_out', e.tokens_out, 'micro_dollars', e.micro_dollars,
            'correlation_id', e.correlation_id, 'causation_id', e.causation_id,
            'payload_sha256', encode(e.payload_sha256, 'hex')))::text, 'UTF8'));
        UPDATE events SET hash = last WHERE position = e.position;
    END LOOP;
END $$;
ALTER TABLE events ENABLE ALWAYS TRIGGER events_append_only;
ALTER TABLE events ALTER COLUMN payload_sha256 SET NOT NULL, ALTER COLUMN hash SET NOT NULL;

-- A payload may go once its item was erased, and no sooner.
CREATE FUNCTION refuse_unless_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM events e JOIN events erased USING (stream_id)
        WHERE e.event_id = OLD.event_id AND e.type <> 'ItemErased' AND erased.type = 'ItemErased'
    ) THEN
        RAISE EXCEPTION '% is append only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'MA002';
    END IF;
    RETURN OLD;
END $$;
DROP TRIGGER event_payloads_append_only ON event_payloads;
CREATE TRIGGER event_payloads_append_only BEFORE UPDATE OR TRUNCATE ON event_payloads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER event_payloads_until_erased BEFORE DELETE ON event_payloads
    FOR EACH ROW EXECUTE FUNCTION refuse_unless_erased();
ALTER TABLE event_payloads ENABLE ALWAYS TRIGGER event_payloads_append_only;
ALTER TABLE event_payloads ENABLE ALWAYS TRIGGER event_payloads_until_erased;
"""

# Folded anew once all migrations are done: migrate.py.
READ_MODELS = """
DROP FUNCTION IF EXISTS fold_uploads(bigint, bigint);
TRUNCATE uploads, step_results, step_failures, requested_generations, thumbnails, analyses, embeddings, steps, items;
ALTER TABLE uploads ADD COLUMN event_id uuid NOT NULL;
ALTER TABLE step_results ADD COLUMN event_id uuid NOT NULL;
ALTER TABLE step_failures ADD COLUMN event_id uuid NOT NULL;
ALTER TABLE requested_generations ADD COLUMN event_id uuid NOT NULL;
ALTER TABLE steps
    ADD COLUMN correlation_id uuid NOT NULL,
    ADD COLUMN cause_id       uuid NOT NULL;

CREATE TABLE costs (
    user_id               text NOT NULL CHECK (user_id <> ''),
    day                   date NOT NULL,
    step                  text NOT NULL,
    target                text NOT NULL,
    outcomes              bigint NOT NULL,
    failures              bigint NOT NULL,
    milliseconds          bigint NOT NULL,
    megabyte_milliseconds bigint NOT NULL,
    tokens_in             bigint NOT NULL,
    tokens_out            bigint NOT NULL,
    micro_dollars         bigint NOT NULL,
    PRIMARY KEY (user_id, day, step, target)
);

CREATE TABLE spending_stops (
    user_id             text PRIMARY KEY CHECK (user_id <> ''),
    day                 date NOT NULL,
    step                text NOT NULL,
    limit_micro_dollars bigint NOT NULL,
    spent_micro_dollars bigint NOT NULL,
    stopped_at          timestamptz NOT NULL
);
"""

OPERATIONAL = """
ALTER TABLE claims
    ADD COLUMN user_id                text NOT NULL DEFAULT 'anonymous' CHECK (user_id <> ''),
    ADD COLUMN reserved_micro_dollars bigint NOT NULL DEFAULT 0,
    ADD COLUMN owed_micro_dollars     bigint NOT NULL DEFAULT 0;
ALTER TABLE claims ALTER COLUMN user_id DROP DEFAULT;

-- How far a subscriber of the log has come, and what it could not deliver so far.
CREATE TABLE subscribers (
    name       text PRIMARY KEY,
    position   bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE outbox_held (
    subscriber text NOT NULL,
    position   bigint NOT NULL,
    stream_id  text NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    retry_at   timestamptz NOT NULL DEFAULT now(),
    error      text,
    PRIMARY KEY (subscriber, position)
);

-- Items that were erased: where the sweeps that are still due find their objects, and the receipt. With the last sweep
-- bucket, key and sweep_at become NULL.
CREATE TABLE erasures (
    item_id   uuid PRIMARY KEY,
    user_id   text NOT NULL CHECK (user_id <> ''),
    bucket    text,
    key       text,
    erased_at timestamptz NOT NULL,
    sweep_at  timestamptz,
    final_at  timestamptz NOT NULL,
    swept_at  timestamptz,
    removed   jsonb NOT NULL
);
CREATE INDEX erasures_due ON erasures (sweep_at) WHERE sweep_at IS NOT NULL;
CREATE INDEX contact_sheets_items ON contact_sheets USING gin (item_ids);
"""

ROLES = """
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['media_assets_api', 'media_assets_relay', 'media_assets_eraser'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN', role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- roles belong to the cluster: another database of it has been migrated before
        END;
    END LOOP;
END $$;
"""


def upgrade() -> None:
    if context.config.attributes.get("read_models_only"):
        op.execute(READ_MODELS)
        return
    for statements in (ROLES, LOG, READ_MODELS, OPERATIONAL):
        op.execute(statements)
