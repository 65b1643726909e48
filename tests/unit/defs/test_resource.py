"""What a run does to Dagster's own storage."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from dagster import DagsterInstance, job, op
from sqlalchemy import event
from sqlalchemy.pool import Pool

from media_assets.defs.resource import MediaResource
from media_assets.local.postgres import EmbeddedPostgres

LINES = 30


@op(required_resource_keys={"media"})
def says_much(context) -> None:  # type: ignore[no-untyped-def]
    for number in range(LINES):
        context.log.info(f"line {number}")


@job(resource_defs={"media": MediaResource()})
def talking() -> None:
    says_much()


@pytest.fixture
def instance(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[DagsterInstance]:
    """One that keeps its records in Postgres, in a database of its own."""
    name = f"dagster_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = postgres.url(name, "psycopg2")
    (tmp_path / "dagster.yaml").write_text(f"storage: {{postgres: {{postgres_url: '{url}'}}}}")
    try:
        with DagsterInstance.from_config(str(tmp_path)) as instance:
            yield instance
    finally:
        with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_run_writes_its_events_through_few_connections(instance: DagsterInstance) -> None:
    opened: list[object] = []

    def count(connection: object, _: object) -> None:
        opened.append(connection)

    event.listen(Pool, "connect", count)
    try:
        assert talking.execute_in_process(instance=instance).success
    finally:
        event.remove(Pool, "connect", count)
    assert len(opened) < LINES
