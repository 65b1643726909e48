"""A database is brought to the current schema from nothing, again and again, and by two processes at once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text

from media_assets.eventlog.migrate import PROJECTIONS, create_read_models, upgrade
from media_assets.eventlog.replay import digest
from media_assets.eventlog.store import EventStore
from media_assets.local.postgres import EmbeddedPostgres
from tests.conftest import Database
from tests.unit.eventlog.lives import Life, rows


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """URL of a database that was never migrated."""
    name = f"empty_{uuid.uuid4().hex}"
    engine = create_engine(postgres.url("postgres", "psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield postgres.url(name, "psycopg")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def test_migrating_again_changes_nothing(database: Database) -> None:
    database.store.append(Life().done())
    engine = create_engine(database.owner_url)
    with engine.connect() as connection:
        before = digest(connection, "public"), rows(connection, "SELECT * FROM alembic_version")
    upgrade(database.owner_url)
    with engine.connect() as connection:
        assert (digest(connection, "public"), rows(connection, "SELECT * FROM alembic_version")) == before
    engine.dispose()
    assert database.store.append([Life().reprocess("probe")])[0].position == 7


def test_two_processes_may_migrate_one_database_at_once(empty_database: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(upgrade, [empty_database] * 3))
    store = EventStore.connect(empty_database)
    store.append(Life().done())
    assert [row["state"] for row in rows(store, "SELECT state FROM items")] == ["done"]
    store.engine.dispose()


def test_the_read_models_of_another_schema_are_the_same_tables(database: Database) -> None:
    """Replay compares them: a column that only one of them has would be a difference that isn't one, or hide one."""
    columns = """
        SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
        WHERE table_schema = :schema AND table_name = ANY(:tables) ORDER BY table_name, ordinal_position
    """
    engine = create_engine(database.owner_url)
    with engine.connect() as connection:
        connection.execute(text("CREATE SCHEMA elsewhere"))
        create_read_models(connection, "elsewhere")
        there = rows(connection, columns, schema="elsewhere", tables=list(PROJECTIONS))
        assert there == rows(connection, columns, schema="public", tables=list(PROJECTIONS))
        tables = rows(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'elsewhere'")
        assert {row["tablename"] for row in tables} == {*PROJECTIONS, "alembic_version"}
    engine.dispose()


def test_every_read_model_has_the_user_and_a_primary_key(database: Database) -> None:
    keyed = rows(database.store, "SELECT indrelid::regclass::text AS name FROM pg_index WHERE indisprimary")
    with_user = rows(database.store, "SELECT table_name AS name FROM information_schema.columns WHERE column_name = 'user_id'")
    for table in PROJECTIONS:
        assert {"name": table} in keyed
        assert {"name": table} in with_user
