"""Detections, why an outcome was computed where it was, and an index for the due work of uploads.

Revision ID: 0003
"""

from alembic import context, op

revision = "0003"
down_revision = "0002"

# NULL in older events, whose bytes in the hash chain stay what they were. The view ends with a column of its own, so it
# can't be replaced by one with a column more: upcast.sql makes it anew.
LOG = """
DROP VIEW IF EXISTS told;
ALTER TABLE events ADD COLUMN target_reason text;
"""

# Folded anew once all migrations are done: migrate.py. Items have another step.
READ_MODELS = """
TRUNCATE uploads, step_results, step_failures, requested_generations, thumbnails, analyses, embeddings, costs,
         spending_stops, steps, items;

CREATE TABLE detections (
    item_id    uuid NOT NULL,
    version_id text NOT NULL,
    ordinal    integer NOT NULL,
    user_id    text NOT NULL CHECK (user_id <> ''),
    generation integer NOT NULL,
    recipe     text NOT NULL,
    model      text NOT NULL,
    label      text NOT NULL,
    confidence double precision NOT NULL,
    x          integer NOT NULL,
    y          integer NOT NULL,
    width      integer NOT NULL,
    height     integer NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (item_id, version_id, ordinal)
);
CREATE INDEX detections_by_label ON detections (label, user_id);

-- Backfills make a million recomputations pending; what is new is found without passing them.
CREATE INDEX steps_new ON steps (step, hour, position) WHERE state = 'pending' AND NOT recomputation;
"""


def upgrade() -> None:
    if context.config.attributes.get("read_models_only"):
        op.execute(READ_MODELS)
        return
    for statements in (LOG, READ_MODELS):
        op.execute(statements)
