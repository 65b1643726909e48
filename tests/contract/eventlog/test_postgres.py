"""The event log on Postgres does what an event log has to: appending as the application's role, erasing as the eraser's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.log import EventLog
from media_assets.eventlog.memory import MemoryEventStore
from media_assets.eventlog.store import EventStore
from tests.conftest import Database
from tests.contract.eventlog.contract import EventLogContract
from tests.unit.eventlog.histories import histories, splits, tell
from tests.unit.eventlog.lives import StepFailedV1, begin_anew


@pytest.fixture
def eraser(database: Database) -> Iterator[EventStore]:
    eraser = EventStore.connect(database.owner_url.replace("//postgres@", "//media_assets_eraser@"))
    yield eraser
    eraser.engine.dispose()


class TestPostgresEventStore(EventLogContract):
    @pytest.fixture
    def log(self, store: EventStore) -> EventLog:
        return store

    @pytest.fixture
    def eraser(self, eraser: EventStore) -> EventLog:
        return eraser


def test_the_log_in_memory_has_the_same_events_down_to_their_hashes(database: Database, eraser: EventStore) -> None:
    """Upcasts aside, which it has none of: any history, told to both."""
    owner = create_engine(database.owner_url)

    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data(), histories())
    def check(data: st.DataObject, history: list[NewEvent]) -> None:
        with owner.connect() as connection:
            begin_anew(connection)
        now = [datetime.now(UTC)]
        memory = MemoryEventStore(clock=lambda: now[0])

        def append(events: list[NewEvent]) -> None:
            appended = database.store.append(events)
            now[0] = database.store.since(database.store.head() - 1)[0].recorded_at
            assert memory.append(events) == appended

        def erase(events: list[NewEvent]) -> None:
            erased = eraser.erase(events)
            now[0] = database.store.since(database.store.head() - 1)[0].recorded_at
            assert memory.erase(events).payloads == erased.payloads

        for events in data.draw(splits([event for event in history if not isinstance(event.payload, StepFailedV1)])):
            tell(events, append, erase)
        assert list(memory.all()) == list(database.store.all())

    check()
    owner.dispose()
