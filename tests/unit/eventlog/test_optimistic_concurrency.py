"""Guarantee 2: of a command that was decided on an outdated stream nothing is written, in no read model either.

What a store answers is in tests/contract/eventlog; commands of many processes are in test_concurrent_appenders.py.
"""

from __future__ import annotations

import pytest

from media_assets.eventlog.migrate import PROJECTIONS
from media_assets.eventlog.store import ConcurrencyError, EventStore
from tests.contract.eventlog.odd_events import at_version
from tests.unit.eventlog.lives import Life, item, rows, spending_resumed, spending_stopped

cat, dog = Life("uploads/ada/cat.jpg"), Life("uploads/ada/dog.jpg")


def test_a_refused_append_leaves_every_read_model_as_it_was(store: EventStore) -> None:
    store.append([cat.upload(), cat.probed(), spending_stopped()])
    before = {table: rows(store, f"SELECT * FROM {table} t ORDER BY t::text") for table in PROJECTIONS}
    with pytest.raises(ConcurrencyError):
        store.append([dog.upload(), cat.failed("thumbnail"), at_version(cat.thumbnails(), 2), spending_resumed(1)])
    assert {table: rows(store, f"SELECT * FROM {table} t ORDER BY t::text") for table in PROJECTIONS} == before


def test_a_command_that_is_decided_again_succeeds(store: EventStore) -> None:
    store.append([cat.upload(), cat.probed()])
    with pytest.raises(ConcurrencyError) as refused:
        store.append([at_version(cat.rejected(step="thumbnail"), 1)])
    store.append([at_version(cat.rejected(step="thumbnail"), refused.value.actual)])
    assert item(store, cat)["state"] == "rejected"
