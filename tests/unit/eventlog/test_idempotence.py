"""Guarantee 3: telling the log a fact again changes nothing; what looks alike but is another fact is kept.

What a store answers is in tests/contract/eventlog; here is what the read models make of it.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from media_assets.eventlog.migrate import PROJECTIONS
from media_assets.eventlog.store import Appended, EventStore
from tests.conftest import Database
from tests.unit.eventlog.lives import Life, item, rows, step

cat = Life()


def read_models(store: EventStore) -> dict[str, list[dict[str, Any]]]:
    return {table: rows(store, f"SELECT * FROM {table} t ORDER BY t::text") for table in PROJECTIONS}


def test_a_repeat_changes_no_read_model(store: EventStore) -> None:
    store.append([cat.upload(), cat.probed(), cat.thumbnails(), cat.failed("analyze")])
    before = read_models(store)
    store.append([cat.failed("analyze"), cat.thumbnails(), cat.probed(width=7), cat.upload()])
    assert read_models(store) == before
    store.append([cat.upload(), cat.analysis(), cat.failed("analyze"), cat.analysis()])
    assert step(store, cat, "analyze")["failures"] == 1


def test_uploading_a_then_b_then_a_again_is_three_facts_and_ends_at_a(store: EventStore) -> None:
    """Equal bytes have equal etags; the version ids tell them apart."""
    uploads = [cat.upload("v1"), cat.upload("v2"), cat.upload("v3")]
    assert {event.payload.etag for event in uploads} == {"e"}  # type: ignore[attr-defined]

    assert [inserted for _, inserted in store.append(uploads)] == [True, True, True]
    assert item(store, cat)["version_id"] == "v3"


def test_two_attempts_are_two_failures_and_one_attempt_told_twice_is_one(store: EventStore) -> None:
    store.append([cat.upload(), cat.failed("probe", attempt="a1"), cat.failed("probe", attempt="a1")])
    assert step(store, cat, "probe")["failures"] == 1
    store.append([cat.failed("probe", attempt="a1"), cat.failed("probe", attempt="a2")])
    assert step(store, cat, "probe")["failures"] == 2


def test_a_result_and_a_rejection_of_one_computation_exclude_each_other(store: EventStore) -> None:
    """Two runs may compute one item when a lease ran out: the outcome that was stored first counts."""
    store.append([cat.upload(), cat.probed()])
    assert store.append([cat.rejected()]) == [Appended(2, inserted=False)]
    assert item(store, cat)["state"] == "processing"


SEQUENCERS = ["00", "0055AED6DCD90281E5", "0055AED6DCD90281E50", "0055AED6DCD90281E51", "0056", "1", "00F", "FF"]
"""As text after padding the shorter with zeros: the second and third are equal, `1` comes after `00F…`."""


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[tuple[str, str]]]:
    """Notifications (version, sequencer) of one key as a queue delivers them: any order, any number of times, in batches."""
    sequencers = draw(st.lists(st.sampled_from(SEQUENCERS), min_size=1, unique_by=lambda s: s.rstrip("0")))
    versions = [(f"version-{number}", sequencer) for number, sequencer in enumerate(sequencers)]
    delivered = draw(st.permutations(versions + draw(st.lists(st.sampled_from(versions), max_size=5))))
    cuts = sorted(draw(st.sets(st.integers(0, len(delivered)), max_size=3)))
    return [delivered[start:end] for start, end in zip([0, *cuts], [*cuts, len(delivered)], strict=True)]


def test_in_whichever_order_notifications_come_the_newest_version_counts(database: Database) -> None:
    numbers = count()

    @settings(max_examples=60, deadline=None, database=None)
    @given(deliveries())
    def check(batches: list[list[tuple[str, str]]]) -> None:
        life = Life(f"uploads/ada/{next(numbers)}.jpg")
        for batch in batches:
            database.store.append([life.upload(version, sequencer) for version, sequencer in batch])
        told = {delivery for batch in batches for delivery in batch}
        newest = max(told, key=lambda delivery: delivery[1].ljust(32, "0"))
        assert item(database.store, life)["version_id"] == newest[0]
        assert len(database.store.stream(life.stream_id)) == len(told)

    check()
