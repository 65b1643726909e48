"""Guarantee 2: a command that was decided on an outdated stream is refused, and nothing of its append is written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.store import Appended, ConcurrencyError, EventStore
from tests.unit.eventlog.lives import Life, item

cat, dog = Life("uploads/ada/cat.jpg"), Life("uploads/ada/dog.jpg")


def at_version(event: NewEvent, expected: int) -> NewEvent:
    return event.model_copy(update={"expected_version": expected})


def test_a_stale_version_is_named_and_nothing_is_written(store: EventStore) -> None:
    store.append([cat.upload(), cat.probed()])

    with pytest.raises(ConcurrencyError) as refused:
        store.append([dog.upload(), at_version(cat.thumbnails(), 1), cat.failed("analyze")])

    assert (refused.value.stream_id, refused.value.expected, refused.value.actual) == (cat.stream_id, 1, 2)
    assert str(refused.value) == (f"stream {cat.stream_id} is at version 2, not at the expected 1: read it and decide again")
    assert store.head() == 2
    assert store.stream(dog.stream_id) == []
    assert [event.type for event in store.stream(cat.stream_id)] == ["UploadReceived", "MediaProbed"]


def test_a_version_ahead_of_the_stream_is_as_wrong_as_one_behind(store: EventStore) -> None:
    with pytest.raises(ConcurrencyError) as refused:
        store.append([at_version(cat.upload(), 3)])
    assert (refused.value.expected, refused.value.actual) == (3, 0)


def test_versions_count_within_an_append_and_each_stream_for_itself(store: EventStore) -> None:
    store.append([at_version(cat.upload(), 0), at_version(dog.upload(), 0), at_version(cat.probed(), 1), dog.probed()])
    store.append([at_version(dog.thumbnails(), 2), at_version(cat.thumbnails(), 2), at_version(cat.analysis(), 3)])

    assert store.versions([cat.stream_id, dog.stream_id, "item-unknown"]) == {cat.stream_id: 4, dog.stream_id: 3}
    with pytest.raises(ConcurrencyError) as refused:
        store.append([at_version(cat.embedding(), 4), at_version(cat.failed("probe"), 4)])
    assert (refused.value.expected, refused.value.actual) == (4, 5)
    assert store.versions([cat.stream_id]) == {cat.stream_id: 4}


def test_of_commands_decided_on_one_version_exactly_one_wins(store: EventStore) -> None:
    store.append([cat.upload()])
    start = Barrier(8)

    def command(number: int) -> Appended | ConcurrencyError:
        start.wait()
        try:
            [appended] = store.append([at_version(cat.failed("probe", attempt=f"a{number}"), 1)])
            return appended
        except ConcurrencyError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(command, range(8)))

    assert [answer for answer in answers if isinstance(answer, Appended)] == [Appended(2, inserted=True)]
    lost = [answer for answer in answers if isinstance(answer, ConcurrencyError)]
    assert {(error.expected, error.actual) for error in lost} == {(1, 2)}
    assert store.head() == 2
    assert item(store, cat)["state"] == "received"
