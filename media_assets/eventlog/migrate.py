"""Brings a database to the current schema: numbered migrations for tables, then functions and rights, replaced whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text

from media_assets.eventlog.catalogue import CATALOGUE

PROJECTIONS = (
    "uploads",
    "step_results",
    "step_failures",
    "requested_generations",
    "thumbnails",
    "detections",
    "analyses",
    "embeddings",
    "segments",
    "jobs",
    "costs",
    "spending_stops",
    "steps",
    "items",
)
"""Read models in the order in which they are folded; each is a table and `projections/<name>.sql`."""

FOLD_BATCH = 2_000
"""Positions that a replay folds at once."""

_HERE = files("media_assets.eventlog")


def upgrade(database_url: str, on_progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Migrate the log, its read models and the operational tables to the newest version. Safe to repeat.

    A migration that changes read models empties them; they are folded anew, and `on_progress(done, total)` counts events.
    `database_url` is a SQLAlchemy URL of a role that may create tables and roles (the owner).
    """
    engine = create_engine(database_url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(7236455)"))  # two processes may start at once
            migrated = _migrate(connection, "public", read_models_only=False)
            for name in ("append", "erase", "log_access"):
                _execute_file(connection, f"{name}.sql")
            _tell_event_types(connection)
            if migrated:
                fold_all(connection, "public", on_progress)
    finally:
        engine.dispose()


def fold_all(connection: Connection, schema: str, on_progress: Callable[[int, int], None], after: int = 0) -> int:
    """Fold the log from the position `after` on into the read models of `schema`. Returns the position it came to."""
    head: int = connection.execute(text("SELECT coalesce(max(position), 0) FROM public.events")).scalar_one()
    for first in range(after + 1, head + 1, FOLD_BATCH):
        last = min(first + FOLD_BATCH - 1, head)
        connection.execute(text(f"SELECT {schema}.fold(:first, :last)"), {"first": first, "last": last})
        on_progress(last, head)
    return head


def create_read_models(connection: Connection, schema: str) -> None:
    """Build empty read models and their folds in an existing `schema`, by the same migrations as the live ones."""
    connection.execute(text(f"SET LOCAL search_path = {schema}, public"))
    _migrate(connection, schema, read_models_only=True)


def _migrate(connection: Connection, schema: str, *, read_models_only: bool) -> bool:
    """Whether there was anything to migrate."""
    before = _revision(connection, schema)
    config = Config()
    config.set_main_option("script_location", str(_HERE / "migrations"))
    config.attributes.update(connection=connection, schema=schema, read_models_only=read_models_only)
    command.upgrade(config, "head")
    if not read_models_only:
        for name in ("upcast", "chain"):
            _execute_file(connection, f"{name}.sql")
    for projection in (*PROJECTIONS, "erased_items", "fold"):
        _execute_file(connection, f"projections/{projection}.sql")
    _execute_file(connection, "access.sql")
    return before != _revision(connection, schema)


def _revision(connection: Connection, schema: str) -> str | None:
    table = f"{schema}.alembic_version"
    if connection.execute(text("SELECT to_regclass(:table)"), {"table": table}).scalar() is None:
        return None
    return str(connection.execute(text(f"SELECT version_num FROM {table}")).scalar_one())


def _tell_event_types(connection: Connection) -> None:
    """What an append is checked against. A version that was written once stays known."""
    types = [{"type": name, "schema_version": payload.schema_version} for name, payload in CATALOGUE.items()]
    connection.execute(
        text("""
            INSERT INTO event_types AS t
            SELECT * FROM jsonb_to_recordset(CAST(:types AS jsonb)) AS r (type text, schema_version integer)
            ON CONFLICT (type) DO UPDATE SET schema_version = excluded.schema_version
            WHERE excluded.schema_version > t.schema_version
        """),
        {"types": json.dumps(types)},
    )


def _execute_file(connection: Connection, name: str) -> None:
    connection.exec_driver_sql(_HERE.joinpath(name).read_text().replace("%", "%%"))
