"""The embedded Postgres starts from whatever a crash left, and is reachable through its socket only."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import create_engine, text

from media_assets.local.postgres import DAGSTER_DATABASE, MEDIA_DATABASE, EmbeddedPostgres
from media_assets.local.processes import ProcessDiedError, marked


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "postgres", tmp_path / "postgres.log")
    yield server
    server.stop()


def write_row(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.dsn(MEDIA_DATABASE)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")


def read_row(postgres: EmbeddedPostgres) -> int:
    with psycopg.connect(postgres.dsn(MEDIA_DATABASE)) as connection:
        return connection.execute("SELECT one FROM kept").fetchall()[0][0]


def test_both_databases_are_there_with_vectors_in_one(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    with create_engine(postgres.url(MEDIA_DATABASE, "psycopg")).connect() as connection:
        assert connection.execute(text("SELECT '[1,2]'::vector <-> '[1,2]'")).scalar() == 0
    with create_engine(postgres.url(DAGSTER_DATABASE, "psycopg2")).connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1


def test_starting_twice_gives_the_same_server(postgres: EmbeddedPostgres) -> None:
    first = postgres.start()
    assert EmbeddedPostgres(postgres.data.parent, postgres.log).start() == first


def test_it_listens_on_no_network_address(postgres: EmbeddedPostgres) -> None:
    server = psutil.Process(postgres.start().pid)
    assert [connection for connection in server.net_connections("inet") if connection.status == "LISTEN"] == []
    assert postgres.sockets.stat().st_mode & 0o077 == 0


def test_stop_leaves_no_process_and_keeps_the_data(postgres: EmbeddedPostgres) -> None:
    record = postgres.start()
    write_row(postgres)
    postgres.stop()
    assert not record.is_alive
    assert not postgres.is_running
    assert marked(f"postgres:{postgres.data.parent}") == []
    postgres.start()
    assert read_row(postgres) == 1


def test_it_starts_again_after_sigkill(postgres: EmbeddedPostgres) -> None:
    record = postgres.start()
    write_row(postgres)
    with psycopg.connect(postgres.dsn(MEDIA_DATABASE)):  # its server process outlives the postmaster for a moment
        os.kill(record.pid, signal.SIGKILL)
        assert postgres.start() != record
    assert read_row(postgres) == 1


def test_a_stale_pid_file_with_a_living_stranger_s_number_is_no_obstacle(postgres: EmbeddedPostgres) -> None:
    record = postgres.start()
    os.kill(record.pid, signal.SIGKILL)
    (postgres.data / "postmaster.pid").write_text(f"{os.getpid()}\n{postgres.data}\n1\n5432\n{postgres.sockets}\n\n")
    assert not postgres.is_running
    postgres.start()
    assert postgres.is_running


def test_a_cluster_whose_making_was_interrupted_is_made_again(postgres: EmbeddedPostgres) -> None:
    unfinished = postgres.data.with_name("data.unfinished")
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    postgres.start()
    assert not unfinished.exists()


def test_a_folder_too_deep_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("a folder with a long name" * 4)
    deep.mkdir()
    postgres = EmbeddedPostgres(deep / "postgres", tmp_path / "log")
    try:
        postgres.start()
        assert not postgres.sockets.is_relative_to(deep)
        assert postgres.sockets.stat().st_mode & 0o077 == 0
    finally:
        postgres.stop()


def test_a_server_whose_folder_was_deleted_is_ended(postgres: EmbeddedPostgres) -> None:
    record = postgres.start()
    postgres.data.rename(postgres.data.with_name("gone"))
    postgres.stop()
    assert not record.is_alive


def test_a_failure_shows_the_end_of_the_log(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    postgres.stop()
    (postgres.data / "postgresql.conf").write_text("max_connections = many\n")
    with pytest.raises(ProcessDiedError, match="max_connections"):
        postgres.start()
