"""Brings a database to the current schema: numbered migrations for tables, then the functions, which are replaced whole."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text

PROJECTIONS = (
    "uploads",
    "step_results",
    "step_failures",
    "requested_generations",
    "thumbnails",
    "analyses",
    "embeddings",
    "steps",
    "items",
)
"""Read models in the order in which they are folded; each is a table and `projections/<name>.sql`."""

_HERE = files("media_assets.eventlog")


def upgrade(database_url: str) -> None:
    """Migrate the log, its read models and the operational tables to the newest version. Safe to repeat.

    `database_url` is a SQLAlchemy URL of a role that may create tables and roles (the owner).
    """
    engine = create_engine(database_url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(7236455)"))  # two processes may start at once
            _migrate(connection, "public", read_models_only=False)
            _execute_file(connection, "append.sql")
    finally:
        engine.dispose()


def create_read_models(connection: Connection, schema: str) -> None:
    """Build empty read models and their folds in an existing `schema`, by the same migrations as the live ones."""
    connection.execute(text(f"SET LOCAL search_path = {schema}, public"))
    _migrate(connection, schema, read_models_only=True)


def _migrate(connection: Connection, schema: str, *, read_models_only: bool) -> None:
    config = Config()
    config.set_main_option("script_location", str(_HERE / "migrations"))
    config.attributes.update(connection=connection, schema=schema, read_models_only=read_models_only)
    command.upgrade(config, "head")
    for projection in (*PROJECTIONS, "fold"):
        _execute_file(connection, f"projections/{projection}.sql")


def _execute_file(connection: Connection, name: str) -> None:
    connection.exec_driver_sql(_HERE.joinpath(name).read_text().replace("%", "%%"))
