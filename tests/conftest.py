"""What many tests stand on: a real Postgres with fresh migrated databases, and a real AWS emulator with fresh buckets."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from media_assets.eventlog.catalogue import UploadReceived
from media_assets.eventlog.events import NewEvent, hour_of, upload_received
from media_assets.eventlog.migrate import upgrade
from media_assets.eventlog.store import EventStore
from media_assets.local.emulator import CREDENTIALS, REGION, Emulator
from media_assets.local.ports import free_port
from media_assets.local.postgres import EmbeddedPostgres
from media_assets.settings import get_settings
from tests.unit.videos import Videos

APPLICATION_ROLE = "media_assets_app"
ARRIVAL = datetime.now(UTC)
"""When this session's uploads arrived, unless they say otherwise: in one hour, also when a test sees the next one begin."""


def pytest_configure() -> None:
    """Tables are as wide as in a pipe, whatever the shell or pytest-xdist says of the terminal."""
    os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server of its own, with a migrated database `template_media` to copy. It has nothing to keep, so it never syncs.

    Not in pytest's folder: as root the server runs as an account of its own, which a second pytest would lock out of there.
    """
    folder = Path(tempfile.mkdtemp(prefix="media-assets-postgres-"))
    server = EmbeddedPostgres(folder, folder / "postgres.log")
    server.start()
    try:
        _administer(
            server,
            *(f"ALTER SYSTEM SET {setting} = off" for setting in ("fsync", "full_page_writes", "synchronous_commit")),
            "SELECT pg_reload_conf()",
            "CREATE DATABASE template_media",
        )
        upgrade(server.url("template_media", "psycopg"))
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Database:
    """A database of one test. `store` appends and reads as the application's role; `owner_url` may do anything."""

    owner_url: str
    application_url: str
    store: EventStore


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """An empty, migrated database."""
    name = f"test_{uuid.uuid4().hex}"
    _administer(postgres, f"CREATE DATABASE {name} TEMPLATE template_media")
    owner_url = postgres.url(name, "psycopg")
    application_url = owner_url.replace("//postgres@", f"//{APPLICATION_ROLE}@")
    store = EventStore.connect(application_url)
    try:
        yield Database(owner_url, application_url, store)
    finally:
        store.engine.dispose()
        _administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def store(database: Database) -> EventStore:
    return database.store


@pytest.fixture(scope="session")
def aws_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an AWS emulator on a free port of the loopback interface."""
    folder = tmp_path_factory.mktemp("aws")
    emulator = Emulator(folder, folder / "emulator.log")
    port = free_port()
    emulator.start(port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        emulator.stop()


@pytest.fixture
def aws(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The emulator as what boto3 finds by itself; its address."""
    for name, value in {**CREDENTIALS, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": aws_endpoint}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return aws_endpoint


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    """Videos by name, in a folder that pytest-xdist's workers share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "videos"
    folder.mkdir(exist_ok=True)
    return Videos(folder)


@pytest.fixture(autouse=True)
def _settings_of_this_test() -> Iterator[None]:
    """Settings are read once a process; a test that changes the environment gets its own."""
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def received(
    key: str = "uploads/ada/cat.jpg",
    version: str = "v1",
    *,
    sequencer: str = "01",
    at: datetime | None = None,
    size: int = 1000,
) -> NewEvent:
    """UploadReceived for a version of a key in bucket `photos`, by default of ARRIVAL."""
    at = at or ARRIVAL
    payload = UploadReceived(
        bucket="photos", key=key, version_id=version, etag="e", size_bytes=size, sequencer=sequencer, hour=hour_of(at)
    )
    return upload_received(payload, user_id="ada", occurred_at=at)


def _administer(server: EmbeddedPostgres, *statements: str) -> None:
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
