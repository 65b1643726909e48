"""An outbox on a database of its own, as the relay's role sees it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine

from media_assets.eventlog.outbox import Outbox
from media_assets.eventlog.store import EventStore
from tests.conftest import Database
from tests.unit.defs.owner import as_owner
from tests.unit.eventlog.lives import Life


@pytest.fixture
def relay_url(database: Database) -> str:
    return database.owner_url.replace("//postgres@", "//media_assets_relay@")


@pytest.fixture
def relay(relay_url: str) -> Iterator[Connection]:
    """The relay's own connection."""
    engine = create_engine(relay_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def reader(relay_url: str) -> Iterator[Connection]:
    """As the relay's role, too; every query is a transaction."""
    engine = create_engine(relay_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def outbox(relay: Connection) -> Outbox:
    """Waits 10 s after a first refusal, 120 s at most."""
    return Outbox(relay, retry_base_seconds=10, retry_max_seconds=120)


def let_time_pass(database: Database) -> None:
    """Whatever is held is due."""
    as_owner(database, "UPDATE outbox_held SET retry_at = retry_at - interval '1 hour'")


def erase(database: Database, *lives: Life) -> None:
    """As the eraser does."""
    eraser = EventStore.connect(database.owner_url.replace("//postgres@", "//media_assets_eraser@"))
    eraser.erase([life.erased() for life in lives])
    eraser.engine.dispose()
