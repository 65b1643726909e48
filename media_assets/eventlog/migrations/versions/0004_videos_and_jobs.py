"""Videos: what is measured of them, their frames as items, their segments; jobs.

Revision ID: 0004
"""

from alembic import context, op

revision = "0004"
down_revision = "0003"

# NULL in older events, whose bytes in the hash chain stay what they were. The view ends with a column of its own, so it
# can't be replaced by one with a column more: upcast.sql makes it anew.
LOG = """
DROP VIEW IF EXISTS told;
ALTER TABLE events ADD COLUMN job_id uuid;
CREATE INDEX events_erased_jobs ON events (job_id) WHERE type = 'ItemErased' AND job_id IS NOT NULL;
"""

# Folded anew once all migrations are done: migrate.py. `item_id` of steps, their results, failures and claims is a job's id
# where the work is a job's.
READ_MODELS = """
TRUNCATE uploads, step_results, step_failures, requested_generations, thumbnails, detections, analyses, embeddings, costs,
         spending_stops, steps, items;

ALTER TABLE uploads
    ADD COLUMN duration_ms       bigint,
    ADD COLUMN video             jsonb,
    ADD COLUMN parent_item_id    uuid,
    ADD COLUMN parent_version_id text,
    ADD COLUMN parent_generation integer,
    ADD COLUMN parent_result_id  uuid,
    ADD COLUMN timecode_ms       bigint,
    ADD COLUMN is_poster         boolean;
CREATE INDEX uploads_by_parent ON uploads (parent_item_id) WHERE parent_item_id IS NOT NULL;

ALTER TABLE items
    ADD COLUMN duration_ms    bigint,
    ADD COLUMN video          jsonb,
    ADD COLUMN parent_item_id uuid,
    ADD COLUMN timecode_ms    bigint,
    ADD COLUMN is_poster      boolean;
CREATE INDEX items_by_parent ON items (parent_item_id, timecode_ms) WHERE parent_item_id IS NOT NULL;

CREATE TABLE jobs (
    job_id        uuid PRIMARY KEY,
    item_id       uuid NOT NULL,
    user_id       text NOT NULL CHECK (user_id <> ''),
    version_id    text NOT NULL,
    hour          timestamptz NOT NULL,
    position      bigint NOT NULL,
    event_id      uuid NOT NULL,
    options       jsonb NOT NULL,
    state         text NOT NULL CHECK (state IN ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    progress      integer NOT NULL,
    texts         jsonb,
    segments      integer,
    error_code    text,
    error_message text,
    submitted_at  timestamptz NOT NULL,
    started_at    timestamptz,
    finished_at   timestamptz,
    updated_at    timestamptz NOT NULL
);
CREATE INDEX jobs_by_item ON jobs (item_id, position);
CREATE INDEX jobs_by_user ON jobs (user_id, position);
CREATE INDEX jobs_open ON jobs (position) WHERE finished_at IS NULL;

CREATE TABLE segments (
    work_id    uuid NOT NULL,
    version_id text NOT NULL,
    ordinal    integer NOT NULL,
    item_id    uuid NOT NULL,
    job_id     uuid,
    user_id    text NOT NULL CHECK (user_id <> ''),
    generation integer NOT NULL,
    recipe     text NOT NULL,
    start_ms   bigint NOT NULL,
    end_ms     bigint NOT NULL,
    key        text NOT NULL,
    sha256     text NOT NULL,
    size_bytes bigint NOT NULL,
    text       text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (work_id, version_id, ordinal)
);
CREATE INDEX segments_by_item ON segments (item_id);
"""

# What was erased along with an item, and is swept with it.
OPERATIONAL = """
ALTER TABLE erasures
    ADD COLUMN frame_ids uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN job_ids   uuid[] NOT NULL DEFAULT '{}';
"""


def upgrade() -> None:
    if context.config.attributes.get("read_models_only"):
        op.execute(READ_MODELS)
        return
    for statements in (LOG, READ_MODELS, OPERATIONAL):
        op.execute(statements)
