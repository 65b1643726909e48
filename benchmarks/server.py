"""A Postgres of the benchmarks' own, the same binaries and settings as the one-machine stack's, with databases to copy."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from media_assets.eventlog.migrate import upgrade
from media_assets.local.postgres import EmbeddedPostgres

BUILD = Path(__file__).resolve().parents[1] / "build"
MEDIA = "template_media"
"""A migrated database with an empty log."""


class Server:
    """Databases are made as copies of one another; the older one must not be in use then."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.host = str(postgres.sockets)
        self._postgres = postgres

    def create(self, name: str, template: str = "template1") -> None:
        self.run("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")

    def drop(self, name: str) -> None:
        self.run("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def run(self, database: str, *statements: str) -> list[Any]:
        """Execute as the owner, each statement in a transaction of its own; the rows of the last."""
        with self.connect(database) as connection:
            for statement in statements:
                cursor = connection.execute(sql.SQL(statement))
            return cursor.fetchall() if cursor.description else []

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """As the owner; each statement is a transaction of its own."""
        return psycopg.connect(self._postgres.dsn(database), autocommit=True)

    def backends(self, database: str) -> list[int]:
        """Process ids of those that serve clients of the database."""
        rows = self.run(
            "postgres", f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND backend_type = 'client backend'"
        )
        return [pid for (pid,) in rows]

    def owner_url(self, database: str) -> str:
        return self._postgres.url(database, "psycopg")

    def application_url(self, database: str) -> str:
        return self._postgres.url(database, "psycopg", role="media_assets_app")


@contextmanager
def server() -> Iterator[Server]:
    """Started on a new cluster, with the database MEDIA; ended and removed afterwards. In the project, so on its disk."""
    BUILD.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=BUILD))
    postgres = EmbeddedPostgres(folder, folder / "postgres.log")
    postgres.start()
    try:
        started = Server(postgres)
        started.create(MEDIA)
        upgrade(started.owner_url(MEDIA))
        yield started
    finally:
        postgres.stop()
        shutil.rmtree(folder)
