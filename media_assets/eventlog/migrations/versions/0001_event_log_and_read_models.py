"""The event log, its append function, the read models and the operational tables.

Revision ID: 0001
"""

from alembic import context, op

revision = "0001"
down_revision = None

# Fixed key of the advisory lock that serialises appends: position order is commit order.
LOG = """
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE events (
    position       bigint PRIMARY KEY,
    event_id       uuid NOT NULL UNIQUE,
    stream_id      text NOT NULL,
    version        integer NOT NULL CHECK (version > 0),
    type           text NOT NULL,
    schema_version integer NOT NULL CHECK (schema_version > 0),
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    user_id        text NOT NULL CHECK (user_id <> ''),
    item_id        uuid NOT NULL,
    step           text,
    recipe         text,
    generation     integer CHECK (generation >= 0),
    target         text,
    run_id         text,
    milliseconds   bigint NOT NULL DEFAULT 0,
    memory_mb      integer NOT NULL DEFAULT 0,
    tokens_in      bigint NOT NULL DEFAULT 0,
    tokens_out     bigint NOT NULL DEFAULT 0,
    UNIQUE (stream_id, version)
);
CREATE INDEX events_run_id ON events (run_id, type) WHERE run_id IS NOT NULL;

CREATE TABLE event_payloads (
    event_id uuid PRIMARY KEY REFERENCES events (event_id),
    body     jsonb NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'MA002';
END $$;
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER event_payloads_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event_payloads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE events ENABLE ALWAYS TRIGGER events_append_only;
ALTER TABLE event_payloads ENABLE ALWAYS TRIGGER event_payloads_append_only;
"""

READ_MODELS = """
CREATE TABLE uploads (
    item_id           uuid NOT NULL,
    version_id        text NOT NULL,
    user_id           text NOT NULL CHECK (user_id <> ''),
    bucket            text NOT NULL,
    key               text NOT NULL,
    etag              text NOT NULL,
    size_bytes        bigint NOT NULL,
    sequencer         text NOT NULL,
    hour              timestamptz NOT NULL,
    received_at       timestamptz NOT NULL,
    position          bigint NOT NULL,
    kind              text,
    format            text,
    content_type      text,
    width             integer,
    height            integer,
    orientation       integer,
    frames            integer,
    exif              jsonb,
    probe_generation  integer,
    removed_at        timestamptz,
    PRIMARY KEY (item_id, version_id)
);

CREATE TABLE step_results (
    item_id       uuid NOT NULL,
    version_id    text NOT NULL,
    step          text NOT NULL,
    generation    integer NOT NULL,
    user_id       text NOT NULL CHECK (user_id <> ''),
    recipe        text NOT NULL,
    outcome       text NOT NULL CHECK (outcome IN ('done', 'rejected')),
    error_code    text,
    error_message text,
    finished_at   timestamptz NOT NULL,
    run_id        text,
    PRIMARY KEY (item_id, version_id, step, generation)
);

CREATE TABLE step_failures (
    item_id       uuid NOT NULL,
    version_id    text NOT NULL,
    step          text NOT NULL,
    generation    integer NOT NULL,
    user_id       text NOT NULL CHECK (user_id <> ''),
    failures      integer NOT NULL,
    retry_at      timestamptz,
    error_code    text NOT NULL,
    error_message text NOT NULL,
    dead          boolean NOT NULL,
    PRIMARY KEY (item_id, version_id, step, generation)
);

CREATE TABLE requested_generations (
    item_id    uuid NOT NULL,
    step       text NOT NULL,
    user_id    text NOT NULL CHECK (user_id <> ''),
    generation integer NOT NULL,
    PRIMARY KEY (item_id, step)
);

CREATE TABLE thumbnails (
    item_id      uuid NOT NULL,
    version_id   text NOT NULL,
    size         integer NOT NULL,
    user_id      text NOT NULL CHECK (user_id <> ''),
    generation   integer NOT NULL,
    recipe       text NOT NULL,
    width        integer NOT NULL,
    height       integer NOT NULL,
    key          text NOT NULL,
    sha256       text NOT NULL,
    size_bytes   bigint NOT NULL,
    content_type text NOT NULL,
    placeholder  text NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (item_id, version_id, size)
);

CREATE TABLE analyses (
    item_id          uuid NOT NULL,
    version_id       text NOT NULL,
    analysis_id      uuid NOT NULL,
    user_id          text NOT NULL CHECK (user_id <> ''),
    generation       integer NOT NULL,
    recipe           text NOT NULL,
    provider         text NOT NULL,
    model            text NOT NULL,
    category         text NOT NULL,
    summary          text NOT NULL,
    tags             jsonb NOT NULL,
    objects          jsonb NOT NULL,
    text             jsonb NOT NULL,
    dominant_colours jsonb NOT NULL,
    tokens_in        bigint NOT NULL,
    tokens_out       bigint NOT NULL,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (item_id, version_id)
);

CREATE TABLE embeddings (
    item_id     uuid NOT NULL,
    version_id  text NOT NULL,
    analysis_id uuid NOT NULL,
    user_id     text NOT NULL CHECK (user_id <> ''),
    generation  integer NOT NULL,
    recipe      text NOT NULL,
    model       text NOT NULL,
    dimensions  integer NOT NULL,
    embedding   vector NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (item_id, version_id)
);

-- Where each step stands for the current version of each item: a row as soon as the step is due.
CREATE TABLE steps (
    item_id       uuid NOT NULL,
    step          text NOT NULL,
    version_id    text NOT NULL,
    user_id       text NOT NULL CHECK (user_id <> ''),
    hour          timestamptz NOT NULL,
    position      bigint NOT NULL,
    generation    integer NOT NULL,
    recomputation boolean NOT NULL,
    state         text NOT NULL CHECK (state IN ('pending', 'done', 'rejected', 'dead')),
    recipe        text,
    failures      integer NOT NULL,
    retry_at      timestamptz,
    error_code    text,
    error_message text,
    finished_at   timestamptz,
    run_id        text,
    PRIMARY KEY (item_id, step)
);
CREATE INDEX steps_pending ON steps (step, hour, recomputation, position) WHERE state = 'pending';
CREATE INDEX steps_by_hour ON steps (hour, step);

CREATE TABLE items (
    item_id           uuid PRIMARY KEY,
    user_id           text NOT NULL CHECK (user_id <> ''),
    bucket            text NOT NULL,
    key               text NOT NULL,
    version_id        text NOT NULL,
    etag              text NOT NULL,
    size_bytes        bigint NOT NULL,
    hour              timestamptz NOT NULL,
    received_at       timestamptz NOT NULL,
    state             text NOT NULL
        CHECK (state IN ('received', 'processing', 'done', 'rejected', 'failed', 'removed')),
    kind              text,
    format            text,
    content_type      text,
    width             integer,
    height            integer,
    orientation       integer,
    exif              jsonb,
    rejection_code    text,
    rejection_message text
);
CREATE INDEX items_by_key ON items (key);
CREATE INDEX items_by_hour ON items (hour);
"""

# Rebuilt by time and not by replay: no part of the replay digest.
OPERATIONAL = """
CREATE TABLE claims (
    item_id          uuid NOT NULL,
    step             text NOT NULL,
    claim_id         uuid NOT NULL,
    run_id           text,
    lease_expires_at timestamptz NOT NULL,
    attempts         integer NOT NULL DEFAULT 1,
    PRIMARY KEY (item_id, step)
);
CREATE INDEX claims_by_claim ON claims (claim_id);

CREATE TABLE breakers (
    target     text PRIMARY KEY,
    failures   integer NOT NULL,
    open_until timestamptz NOT NULL,
    reason     text NOT NULL
);

-- When a run was last asked for: two sensors that see the same due hour at once ask for one run.
CREATE TABLE requested_runs (
    pipeline     text NOT NULL,
    hour         timestamptz NOT NULL,
    requested_at timestamptz NOT NULL,
    PRIMARY KEY (pipeline, hour)
);

CREATE TABLE contact_sheets (
    key        text PRIMARY KEY,
    item_ids   uuid[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
"""

APPLICATION_ROLE = """
DO $$ BEGIN
    CREATE ROLE media_assets_app LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- roles belong to the cluster: another database of it has been migrated before
END $$;
GRANT USAGE ON SCHEMA public TO media_assets_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO media_assets_app;
GRANT INSERT, UPDATE, DELETE ON claims, breakers, requested_runs, contact_sheets TO media_assets_app;
"""


def upgrade() -> None:
    if context.config.attributes.get("read_models_only"):
        op.execute(READ_MODELS)
        return
    for statements in (LOG, READ_MODELS, OPERATIONAL, APPLICATION_ROLE):
        op.execute(statements)
