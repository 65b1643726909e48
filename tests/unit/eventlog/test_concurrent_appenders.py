"""Guarantees 2, 3 and 4 among threads and among processes: of one id, of one stream, of many streams at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest

from media_assets.eventlog.errors import ConcurrencyError
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.store import Appended, EventStore
from tests.conftest import Database
from tests.contract.eventlog.chained import assert_chained
from tests.contract.eventlog.odd_events import at_version
from tests.unit.eventlog.appender import FORKED
from tests.unit.eventlog.lives import Life

APPENDERS = 6
VERSIONS = 15
LIVES = 8

cat = Life()


@pytest.fixture(params=["threads", "processes"])
def pool(request: pytest.FixtureRequest) -> Iterator[Executor]:
    kinds: dict[str, Callable[[], Executor]] = {
        "threads": partial(ThreadPoolExecutor, APPENDERS),
        "processes": partial(ProcessPoolExecutor, APPENDERS, mp_context=FORKED),
    }
    with kinds[request.param]() as pool:
        yield pool


@contextmanager
def connected(database_url: str) -> Iterator[EventStore]:
    store = EventStore.connect(database_url)
    try:
        yield store
    finally:
        store.engine.dispose()


def batches(events: list[NewEvent], seed: int) -> Iterator[list[NewEvent]]:
    """The events in their order, some at a time."""
    luck = random.Random(seed)
    while events:
        size = luck.randint(1, 7)
        yield events[:size]
        events = events[size:]


def same_story() -> list[NewEvent]:
    return [event for number in range(LIVES) for event in Life(f"uploads/ada/{number}.jpg").done()]


def tell_the_same_story(database_url: str, seed: int) -> list[Appended]:
    with connected(database_url) as store:
        return [appended for batch in batches(same_story(), seed) for appended in store.append(batch)]


def test_what_all_tell_happened_once(database: Database, pool: Executor) -> None:
    answers = list(pool.map(tell_the_same_story, [database.application_url] * APPENDERS, range(APPENDERS)))
    positions = [[position for position, _ in answer] for answer in answers]
    assert positions == [positions[0]] * APPENDERS
    assert sorted(positions[0]) == list(range(1, LIVES * 6 + 1))
    assert sum(inserted for answer in answers for _, inserted in answer) == database.store.head() == LIVES * 6


def command_at_each_version(database_url: str, number: int) -> list[Appended | ConcurrencyError]:
    """What becomes of a command that is decided on version 0, 1, 2, … of one stream."""
    answers: list[Appended | ConcurrencyError] = []
    with connected(database_url) as store:
        for version in range(VERSIONS):
            try:
                answers += store.append([at_version(cat.failed("probe", attempt=f"{number}-{version}"), version)])
            except ConcurrencyError as error:
                answers.append(error)
    return answers


def test_at_each_version_of_a_stream_exactly_one_command_wins(database: Database, pool: Executor) -> None:
    told = pool.map(command_at_each_version, [database.application_url] * APPENDERS, range(APPENDERS))
    for version, answers in enumerate(zip(*told, strict=True)):
        assert [answer for answer in answers if isinstance(answer, Appended)] == [Appended(version + 1, inserted=True)]
        lost = [answer for answer in answers if isinstance(answer, ConcurrencyError)]
        assert {(error.stream_id, error.expected) for error in lost} == {(cat.stream_id, version)}
        assert all(error.actual > version for error in lost)
    assert [event.version for event in database.store.stream(cat.stream_id)] == list(range(1, VERSIONS + 1))


def own_story(number: int) -> list[NewEvent]:
    """Of several streams by turns."""
    lives = [Life(f"uploads/ada/{number}-{n}.jpg").done() for n in range(LIVES)]
    return [event for together in zip(*lives, strict=True) for event in together]


def tell_a_story_of_ones_own(database_url: str, number: int) -> list[list[Appended]]:
    with connected(database_url) as store:
        return [store.append(batch) for batch in batches(own_story(number), number)]


def test_many_streams_grow_beside_each_other_each_in_its_order(database: Database, pool: Executor) -> None:
    answers = list(pool.map(tell_a_story_of_ones_own, [database.application_url] * APPENDERS, range(APPENDERS)))
    log = list(database.store.all())
    assert [event.position for event in log] == list(range(1, APPENDERS * LIVES * 6 + 1))
    assert_chained(log)
    by_position = {event.position: event for event in log}
    for number, appends in enumerate(answers):
        assert all(inserted for append in appends for _, inserted in append)
        for append in appends:  # is whole: nobody comes between
            assert [position for position, _ in append] == list(range(append[0].position, append[0].position + len(append)))
        told = [by_position[position].event_id for append in appends for position, _ in append]
        assert told == [event.event_id for event in own_story(number)]
    for stream_id, version in database.store.versions({event.stream_id for event in log}).items():
        assert (
            [event.version for event in log if event.stream_id == stream_id]
            == list(range(1, version + 1))
            == [1, 2, 3, 4, 5, 6]
        )
