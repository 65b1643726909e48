"""The event log in memory does what an event log has to."""

from __future__ import annotations

import pytest

from media_assets.eventlog.log import EventLog
from media_assets.eventlog.memory import MemoryEventStore
from tests.contract.eventlog.contract import EventLogContract


class TestMemoryEventStore(EventLogContract):
    @pytest.fixture
    def log(self) -> EventLog:
        return MemoryEventStore()
