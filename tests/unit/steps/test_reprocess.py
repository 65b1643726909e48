"""Asking for results to be computed anew: once, however many ask at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

from media_assets.eventlog.events import Event, NewEvent
from media_assets.eventlog.store import EventStore
from media_assets.steps.catalogue import STEPS
from media_assets.steps.claims import Claims
from media_assets.steps.reprocess import request_reprocessing, would_request
from tests.unit.eventlog.films import Film, frame_done
from tests.unit.eventlog.lives import HOUR, NOON, Life, rows, step, steps

cat, dog = Life("uploads/ada/cat.jpg"), Life("uploads/ada/dog.jpg")


def ask(store: EventStore, life: Life, *names: str) -> int:
    return request_reprocessing(store, [life.item_id], names, reason="the colours were off")


def test_a_request_makes_the_step_pending_again_in_the_next_generation(store: EventStore) -> None:
    store.append(cat.done())
    assert ask(store, cat, "analyze", "embed") == 2
    assert steps(store, cat) == {"probe": "done", "thumbnail": "done", "analyze": "pending", "detect": "done"}

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
    requested = rows(store, "SELECT item_id, generation FROM events WHERE type = 'ReprocessRequested'")
    assert sum(counts) == len(requested) == 2
    assert {row["generation"] for row in requested} == {1}


def test_an_open_request_is_answered_not_repeated(store: EventStore) -> None:
    store.append(cat.done())
    assert ask(store, cat, "analyze", "embed") == 2
    assert ask(store, cat, "analyze", "embed") == 0
    assert ask(store, cat, "thumbnail", "analyze", "embed") == 3  # what waits would be of the thumbnail before
    Claims(store.engine, run_id=None, lease_seconds=30).take(STEPS["thumbnail"], [HOUR], 10)
    assert ask(store, cat, "thumbnail", "analyze", "embed") == 0

    store.append([cat.thumbnails(generation=1), cat.analysis(generation=2)])
    assert ask(store, cat, "embed") == 0
    assert ask(store, cat, "analyze", "embed") == 2  # the embedding under way reads the older analysis


def test_what_came_since_the_asking_began_is_an_answer(store: EventStore) -> None:
    """Another one who chose the same items was quicker, and its results are there."""
    store.append([*cat.done(), *dog.done()])
    ask(store, cat, "embed")
    store.append([cat.embedding(generation=1).model_copy(update={"occurred_at": NOON + timedelta(hours=2)})])
    ids = [cat.item_id, dog.item_id]
    assert request_reprocessing(store, ids, ["embed"], reason="me too", before=NOON + timedelta(hours=1)) == 1
    assert (step(store, cat, "embed")["generation"], step(store, dog, "embed")["generation"]) == (1, 1)


def test_what_was_never_computed_is_coming_anyway(store: EventStore) -> None:
    store.append([cat.upload(), cat.probed()])
    assert ask(store, cat, "thumbnail", "analyze") == 0
    store.append([cat.failed("thumbnail")])
    assert ask(store, cat, "thumbnail") == 1  # its attempts start over, now
    store.append([cat.abandoned("thumbnail", generation=1)])
    assert ask(store, cat, "thumbnail") == 1


def test_what_would_be_asked_for_is_what_is(store: EventStore) -> None:
    store.append([*cat.done(), dog.upload(), dog.probed(), dog.rejected(step="thumbnail")])
    ask(store, cat, "embed")
    names, both = ["thumbnail", "embed"], [cat.item_id, dog.item_id]
    head = store.head()
    with store.engine.connect() as connection:
        expected = would_request(connection, both, names)
    assert expected == {"thumbnail": 2}
    assert store.head() == head
    assert request_reprocessing(store, both, names, reason="why not") == expected.total()


def test_the_reason_is_kept(store: EventStore) -> None:
    store.append(cat.done())
    ask(store, cat, "probe")
    assert store.stream(cat.stream_id)[-1].payload.model_dump() == {"reason": "the colours were off"}


def test_a_request_belongs_to_the_current_upload_and_follows_from_what_it_supersedes(store: EventStore) -> None:
    upload, probed, _, analysis, *_ = store_and_return(store, cat.done())
    failure = cat.failed("embed", generation=1)
    ask(store, cat, "embed")
    (request,) = last(store, cat, 1)
    store.append([failure])

    ask(store, cat, "probe", "analyze", "embed")
    requests = last(store, cat, 3)
    assert {event.correlation_id for event in [request, *requests]} == {upload.event_id}
    assert request.causation_id == cat.embedding().event_id
    assert [event.causation_id for event in requests] == [probed.event_id, analysis.event_id, failure.event_id]

    ask(store, cat, "probe", "thumbnail", "analyze")
    assert [event.step for event in last(store, cat, 2)] == ["thumbnail", "analyze"]  # the probe's is still open
    *_, superseded = last(store, cat, 1)
    assert superseded.causation_id == requests[1].event_id
    store.append([cat.probed(generation=1)])
    ask(store, cat, "probe", "analyze")  # the analysis isn't computed from the probe's result
    assert last(store, cat, 1)[0].step == "probe"

    newer, anew, older = cat.upload("v2"), cat.thumbnails("v2", generation=1), cat.probed("v2", generation=2)
    store.append([newer, older, anew])
    ask(store, cat, "thumbnail", "analyze")
    *_, thumbnail, analysis = last(store, cat, 2)
    assert {thumbnail.correlation_id, analysis.correlation_id} == {newer.event_id}
    assert thumbnail.causation_id == anew.event_id
    assert analysis.causation_id == superseded.event_id


def store_and_return(store: EventStore, events: list[NewEvent]) -> list[NewEvent]:
    store.append(events)
    return events


def last(store: EventStore, life: Life, number: int) -> list[Event]:
    return store.stream(life.stream_id)[-number:]


def test_of_each_kind_of_item_only_its_own_steps_are_asked_for(store: EventStore) -> None:
    film = Film()
    frame = film.frame(480)
    store.append([*cat.done(), *film.done(), *frame_done(frame)])
    with store.engine.connect() as connection:
        wanted = would_request(connection, [film.item_id, frame.item_id, cat.item_id], list(STEPS))
    assert wanted == {"probe": 2, "frames": 1, "segment": 1, **dict.fromkeys(("thumbnail", "detect", "analyze", "embed"), 2)}
    assert ask(store, frame, "probe", "thumbnail", "segment") == 1
    [request] = rows(store, "SELECT * FROM events WHERE type = 'ReprocessRequested'")
    assert (request["item_id"], request["step"]) == (frame.item_id, "thumbnail")
    assert request["correlation_id"] == film.upload().event_id


def test_unknown_and_removed_items_are_left_out(store: EventStore) -> None:
    store.append([cat.upload(), cat.removed()])
    assert ask(store, cat, "probe") == 0
    assert ask(store, dog, "probe") == 0
    assert request_reprocessing(store, [], ["probe"], reason="nothing") == 0


def test_many_requests_are_appended_in_parts(store: EventStore) -> None:
    many = [Life(f"uploads/ada/{number}.jpg") for number in range(400)]
    store.append([event for life in many for event in (life.upload(), life.probed())])
    told: list[int] = []
    ids = [life.item_id for life in many]
    assert request_reprocessing(store, ids, ["probe", "thumbnail"], reason="all", on_progress=told.append) == 800
    assert store.head() == 1600
    assert told == [250, 150]
