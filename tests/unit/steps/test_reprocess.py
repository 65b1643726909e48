"""Asking for results to be computed anew: once, however many ask at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from media_assets.eventlog.events import Event, NewEvent
from media_assets.eventlog.store import EventStore
from media_assets.steps.catalogue import STEPS
from media_assets.steps.claims import Claims
from media_assets.steps.reprocess import dead_items, request_reprocessing
from tests.unit.eventlog.lives import HOUR, Life, rows, step, steps

cat, dog = Life("uploads/ada/cat.jpg"), Life("uploads/ada/dog.jpg")


def ask(store: EventStore, life: Life, *names: str) -> int:
    return request_reprocessing(store, [life.item_id], names, reason="the colours were off")


def test_a_request_makes_the_step_pending_again_in_the_next_generation(store: EventStore) -> None:
    store.append(cat.done())
    assert ask(store, cat, "analyze", "embed") == 2
    assert steps(store, cat) == {"probe": "done", "thumbnail": "done", "analyze": "pending"}

    [work] = Claims(store.engine, run_id=None, lease_seconds=30).take(STEPS["analyze"], [HOUR], 10)
    assert (work.generation, work.failures, work.attempt) == (1, 0, 1)
    store.append([cat.analysis(generation=1), cat.embedding(generation=1)])
    assert set(steps(store, cat).values()) == {"done"}
    assert ask(store, cat, "analyze") == 1
    assert step(store, cat, "analyze")["generation"] == 2


def test_two_people_asking_at_once_ask_for_one_computation(store: EventStore) -> None:
    store.append([*cat.done(), *dog.done()])
    start = Barrier(6)

    def person(_: int) -> int:
        start.wait()
        return request_reprocessing(store, [cat.item_id, dog.item_id], ["thumbnail"], reason="me too")

    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(person, range(6)))
    # Whoever came after another one's request was stored asked for the generation after it; nobody doubled one.
    requested = rows(store, "SELECT item_id, generation FROM events WHERE type = 'ReprocessRequested'")
    assert sum(counts) == len(requested) == len({(row["item_id"], row["generation"]) for row in requested})


def test_the_reason_is_kept(store: EventStore) -> None:
    store.append(cat.done())
    ask(store, cat, "probe")
    assert store.stream(cat.stream_id)[-1].payload.model_dump() == {"reason": "the colours were off"}


def test_a_request_belongs_to_the_current_upload_and_follows_from_what_it_supersedes(store: EventStore) -> None:
    upload, probed, _, analysis, _ = store_and_return(store, cat.done())
    failure = cat.failed("embed", generation=1)
    ask(store, cat, "embed")
    (request,) = last(store, cat, 1)
    store.append([failure])

    ask(store, cat, "probe", "analyze", "embed")
    requests = last(store, cat, 3)
    assert {event.correlation_id for event in [request, *requests]} == {upload.event_id}
    assert request.causation_id == cat.embedding().event_id
    assert [event.causation_id for event in requests] == [probed.event_id, analysis.event_id, failure.event_id]

    ask(store, cat, "analyze")  # while the other is still open
    assert last(store, cat, 1)[0].causation_id == requests[1].event_id

    newer = cat.upload("v2")
    store.append([newer])
    ask(store, cat, "thumbnail")
    assert (last(store, cat, 1)[0].correlation_id, last(store, cat, 1)[0].causation_id) == (newer.event_id, newer.event_id)


def store_and_return(store: EventStore, events: list[NewEvent]) -> list[NewEvent]:
    store.append(events)
    return events


def last(store: EventStore, life: Life, number: int) -> list[Event]:
    return store.stream(life.stream_id)[-number:]


def test_unknown_and_removed_items_are_left_out(store: EventStore) -> None:
    store.append([cat.upload(), cat.removed()])
    assert ask(store, cat, "probe") == 0
    assert ask(store, dog, "probe") == 0
    assert request_reprocessing(store, [], ["probe"], reason="nothing") == 0


def test_many_requests_are_appended_in_parts(store: EventStore) -> None:
    many = [Life(f"uploads/ada/{number}.jpg") for number in range(400)]
    store.append([life.upload() for life in many])
    assert request_reprocessing(store, [life.item_id for life in many], ["probe", "thumbnail"], reason="all") == 800
    assert store.head() == 1200


def test_dead_items_are_found_by_step(store: EventStore) -> None:
    store.append([cat.upload(), cat.abandoned("probe"), dog.upload(), dog.probed(), dog.abandoned("thumbnail")])
    assert dead_items(store) == {"probe": [cat.item_id], "thumbnail": [dog.item_id]}
    assert dead_items(store, "thumbnail") == {"thumbnail": [dog.item_id]}
    assert dead_items(store, "embed") == {}

    ask(store, cat, "probe")
    assert dead_items(store) == {"thumbnail": [dog.item_id]}
