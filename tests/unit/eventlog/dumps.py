"""Databases of older revisions: `revision_<number>.sql` is what pg_dump made of one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from media_assets.eventlog.store import EventStore
from media_assets.local.postgres import EmbeddedPostgres
from tests.conftest import APPLICATION_ROLE, Database


@contextmanager
def restored(postgres: EmbeddedPostgres, dump: str) -> Iterator[Database]:
    """A database as it was when it was dumped, of its old revision."""
    name = f"old_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE {name}".encode())
        with psycopg.connect(postgres.dsn(name), autocommit=True) as restoring:
            restoring.execute(Path(__file__).with_name(dump).read_bytes())
        application_url = postgres.url(name, "psycopg", APPLICATION_ROLE)
        store = EventStore.connect(application_url)
        try:
            yield Database(postgres.url(name, "psycopg"), application_url, store)
        finally:
            store.engine.dispose()
            administrator.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
