"""Nothing is lost, turned around within a stream, or sent again without need, whatever the bus and the relay run into."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from media_assets.eventlog.outbox import Outbox, held_entries, outbox_lag
from media_assets.eventlog.published import Entry
from media_assets.eventlog.store import EventStore
from media_assets.relay.event_bridge import BusUnavailableError
from media_assets.relay.publisher import Publisher
from tests.conftest import Database
from tests.unit.defs.owner import as_owner
from tests.unit.eventlog.lives import Life
from tests.unit.relay.bus import Bus, KilledError, Mishap
from tests.unit.relay.conftest import let_time_pass

CAT, DOG, EMU = Life("cat.jpg"), Life("dog.jpg"), Life("emu.jpg")


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def publisher(outbox: Outbox, bus: Bus) -> Publisher:
    return Publisher(outbox, bus.put, lambda message: None, Counter())


def drain(publisher: Publisher) -> None:
    while publisher.cycle():
        pass


def test_what_is_new_is_sent_once_and_then_there_is_nothing_to_do(store: EventStore, publisher: Publisher, bus: Bus) -> None:
    store.append([*CAT.done(), *DOG.done(), EMU.upload()])
    assert publisher.cycle()
    assert not publisher.cycle()
    assert bus.calls == [[3], [4], [5], [6, 9], [10], [11], [12]]
    store.append([EMU.thumbnails()])
    drain(publisher)
    assert bus.calls[-1] == [14]


def test_it_says_what_it_published_and_what_was_refused(store: EventStore, outbox: Outbox) -> None:
    said: list[str] = []
    published: Counter[str] = Counter()
    store.append([CAT.thumbnails(), DOG.thumbnails(), DOG.analysis()])
    Publisher(outbox, Bus([Mishap(refused=[0])]).put, said.append, published).cycle()
    assert published == {"ImageProcessed": 1, "AnalysisComplete": 1}
    assert said == [f"ImageProcessed at position 1 holds back {CAT.stream_id}: MalformedDetail: no"]


def test_a_refused_entry_holds_back_its_stream_and_no_other(
    database: Database, publisher: Publisher, bus: Bus, reader: Connection
) -> None:
    bus.mishaps = [Mishap(refused=[0])]
    database.store.append([CAT.thumbnails(), DOG.thumbnails(), CAT.analysis(), DOG.analysis(), CAT.embedding()])
    drain(publisher)
    assert [entry.position for entry in bus.taken] == [2, 4]
    assert outbox_lag(reader).held == 3

    let_time_pass(database)
    bus.mishaps = [Mishap(refused=[0])]
    drain(publisher)
    assert held_entries(reader, 10)[0].attempts == 2

    let_time_pass(database)
    drain(publisher)
    assert [entry.position for entry in bus.taken] == [2, 4, 1, 3, 5]
    assert outbox_lag(reader) == (0, 0.0, 0)


@pytest.mark.parametrize("lost", [Mishap(before=True), Mishap(answer_lost=True)])
def test_a_call_without_an_answer_is_made_again(store: EventStore, publisher: Publisher, bus: Bus, lost: Mishap) -> None:
    store.append([*CAT.done(), DOG.upload()])
    bus.mishaps = [Mishap(), lost]
    with pytest.raises(BusUnavailableError):
        publisher.cycle()
    drain(publisher)
    assert bus.calls == [[3], [4], [4], [5], [6]]


def test_it_stops_between_calls_when_asked_to(store: EventStore, publisher: Publisher, bus: Bus) -> None:
    store.append(CAT.done())
    publisher.cycle(lambda: False)
    assert bus.calls == [[3]]
    drain(publisher)
    assert bus.calls == [[3], [4], [5], [6]]


def test_a_cursor_that_a_person_sets_back_publishes_again(database: Database, publisher: Publisher, bus: Bus) -> None:
    database.store.append(CAT.done())
    drain(publisher)
    as_owner(database, "UPDATE subscribers SET position = 4")
    drain(publisher)
    assert bus.calls == [[3], [4], [5], [6], [5], [6]]


def test_a_cursor_that_is_set_back_in_mid_page_is_obeyed(database: Database, outbox: Outbox, bus: Bus) -> None:
    def put(entries: Sequence[Entry]) -> dict[int, str]:
        if len(bus.calls) == 1:
            as_owner(database, "UPDATE subscribers SET position = 0")
        return bus.put(entries)

    said: list[str] = []
    database.store.append(CAT.done())
    publisher = Publisher(outbox, put, said.append, Counter())
    drain(publisher)
    assert bus.calls == [[3], [4], [3], [4], [5], [6]]
    assert said == ["the outbox's cursor is no longer at 3: read it again"]


STREAMS = 4
mishaps = st.one_of(
    st.just(Mishap()),
    st.just(Mishap()),
    st.builds(Mishap, refused=st.sets(st.integers(0, STREAMS - 1), min_size=1)),
    st.builds(Mishap, refused=st.sets(st.integers(0, STREAMS - 1)), answer_lost=st.just(True)),
    st.builds(Mishap, refused=st.sets(st.integers(0, STREAMS - 1)), killed=st.just(True)),
    st.just(Mishap(before=True)),
)
appends = st.lists(st.tuples(st.integers(0, STREAMS - 1), st.booleans()), min_size=1, max_size=8)
"""Events of a stream, published or not."""


def test_random_failures_lose_nothing_double_nothing_and_keep_every_streams_order(
    database: Database, relay: Connection
) -> None:
    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(appends, min_size=1, max_size=5), st.lists(mishaps, max_size=25))
    def check(history: list[list[tuple[int, bool]]], plan: list[Mishap]) -> None:
        name = uuid.uuid4().hex
        lives = [Life(f"{name}-{number}") for number in range(STREAMS)]
        as_owner(
            database, "INSERT INTO subscribers SELECT :name, coalesce(max(position), 0) FROM events", name=name
        )  # as one that has published all of the examples before
        outbox = Outbox(relay, retry_base_seconds=0, retry_max_seconds=0, subscriber=name)
        bus, generation = Bus(list(plan)), 0
        expected: dict[str, list[uuid.UUID]] = {life.stream_id: [] for life in lives}

        for events in [*history, []]:
            told = []
            for stream, is_published in events:
                generation += 1
                life = lives[stream]
                told.append(life.thumbnails(generation=generation) if is_published else life.reprocess("probe", generation))
                if is_published:
                    expected[life.stream_id].append(told[-1].event_id)
            database.store.append(told)
            publisher = Publisher(outbox, bus.put, lambda message: None, Counter())
            for _ in range(3) if events else iter(int, 1):  # in the end for as long as it takes
                try:
                    if not publisher.cycle():
                        break
                except (BusUnavailableError, KilledError):
                    publisher = Publisher(outbox, bus.put, lambda message: None, Counter())

        taken = [(entry.stream_id, entry.event_id) for entry in bus.taken]
        first_times = list(dict.fromkeys(taken))
        assert {stream: [e for s, e in first_times if s == stream] for stream in expected} == expected
        again = Counter(event for _, event in taken) - Counter(event for _, event in first_times)
        assert again <= Counter(entry.event_id for entry in bus.doubtful)
        assert outbox.held_streams() == set()
        assert outbox.page().entries == []

    check()
