"""Batches that die, targets that lie or are down: the file that kills its batch fails alone, an outage is nobody's failure."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import text

from lambdas.runtime.contract import BatchItem, ErrorCode, ItemOutcome, Manifest, StepRequest
from media_assets.dispatch.breakers import open_breakers
from media_assets.dispatch.errors import BatchDiedError, ManifestError, TargetUnavailableError
from media_assets.eventlog.store import EventStore
from media_assets.steps.pending import StepCounts
from tests.unit.dispatch.draining import (
    HOUR,
    Target,
    breaker_is_open,
    claimed_now,
    counts,
    event_types,
    failures,
    is_due,
    let_time_pass,
    per_item,
    run,
    upload,
)
from tests.unit.dispatch.works import answer_to, error, ok

# A batch that dies


@pytest.mark.parametrize("code", [ErrorCode.TIMEOUT, ErrorCode.CRASHED])
def test_a_batch_that_dies_is_halved_until_the_poison_is_alone(store: EventStore, code: ErrorCode) -> None:
    keys = upload(store, *map(str, range(16)))
    poison = keys[5]

    def behave(request: StepRequest) -> Manifest:
        if poison in {item.key for item in request.items}:
            raise BatchDiedError(code, "killed")
        return answer_to(request)

    target = Target(behave)
    tallies = run(store, target, batch_max_items=16, dispatch_threads=1)
    assert (tallies[HOUR].processed, tallies[HOUR].failed) == (15, 1)
    assert failures(store) == {poison: (1, code)}
    sizes = [len(request.items) for request in target.requests if poison in {item.key for item in request.items}]
    assert sizes == [16, 8, 4, 2, 1]
    assert len(target.requests) == 9
    assert len({request.attempt_id for request in target.requests}) == 9


def test_halves_are_later_attempts(store: EventStore) -> None:
    # A later attempt looks for the result that an earlier one may have stored before it was killed.
    upload(store, *map(str, range(4)))
    attempts: list[int] = []

    def dying_at_first(request: StepRequest) -> Manifest:
        attempts.append(request.attempt)
        if len(request.items) > 1:
            raise BatchDiedError(ErrorCode.CRASHED, "killed")
        return answer_to(request)

    run(store, dying_at_first, dispatch_threads=1)
    assert sorted(attempts) == [1, 2, 2, 3, 3, 3, 3]


def test_two_poisons_in_one_batch(store: EventStore) -> None:
    keys = upload(store, *map(str, range(8)))
    poison = {keys[0], keys[6]}

    def behave(request: StepRequest) -> Manifest:
        if poison & {item.key for item in request.items}:
            raise BatchDiedError(ErrorCode.CRASHED, "killed")
        return answer_to(request)

    run(store, behave, batch_max_items=8)
    assert failures(store).keys() == poison
    assert counts(store) == StepCounts(done=6, failed=2)


# Lies and outages


def test_a_lie_appends_nothing_of_its_batch_and_opens_the_breaker(store: EventStore) -> None:
    upload(store, *map(str, range(4)))

    def lie(request: StepRequest) -> Manifest:
        raise ManifestError("answered without item")

    with pytest.raises(ManifestError):
        run(store, lie)
    assert event_types(store) == {"UploadReceived": 4}
    with store.engine.connect() as connection:
        assert [(each.target, each.reason) for each in open_breakers(connection)] == [("probe", "answered without item")]
    assert counts(store) == StepCounts(pending=4)
    assert not is_due(store)
    let_time_pass(store)
    assert is_due(store)


def test_a_result_that_is_none_is_a_lie_too(store: EventStore) -> None:
    upload(store, "a")
    with pytest.raises(ManifestError, match="a result that is not one"):
        run(store, per_item(lambda item: ok(item.item_id, {"kind": "image"})))
    assert event_types(store) == {"UploadReceived": 1}


def test_what_is_under_way_beside_a_lie_is_committed_and_nothing_more_sent(store: EventStore) -> None:
    keys = upload(store, *map(str, range(40)))
    lied = threading.Event()

    def behave(request: StepRequest) -> Manifest:
        if request.items[0].key == keys[0]:
            lied.set()
            raise ManifestError("a lie")
        assert lied.wait(5)
        time.sleep(0.2)
        return answer_to(request)

    target = Target(behave)
    with pytest.raises(ManifestError, match="a lie"):
        run(store, target)
    assert len(target.requests) == 2
    assert counts(store) == StepCounts(pending=36, done=4)
    assert claimed_now(store) == 0
    assert breaker_is_open(store)  # its neighbour's success didn't close it


def test_an_unreachable_target_costs_nobody_an_attempt(store: EventStore) -> None:
    keys = upload(store, *map(str, range(8)))

    def unreachable(request: StepRequest) -> Manifest:
        raise TargetUnavailableError("probe: EndpointConnectionError")

    for _ in range(7):  # more often than a file may fail
        with pytest.raises(TargetUnavailableError):
            run(store, unreachable)
        assert not is_due(store)
        let_time_pass(store)
        assert is_due(store)
    assert failures(store) == {}
    target = Target()
    run(store, target)
    assert target.times_sent == dict.fromkeys(keys, 1)
    assert counts(store) == StepCounts(done=8)


def test_an_open_breaker_fails_a_run_before_anything_is_sent(store: EventStore) -> None:
    upload(store, "a")

    def unreachable(request: StepRequest) -> Manifest:
        raise TargetUnavailableError("no answer")

    with pytest.raises(TargetUnavailableError):
        run(store, unreachable)
    target = Target()
    with pytest.raises(TargetUnavailableError, match=r"probe is paused until \d\d:\d\d:\d\d UTC: no answer"):
        run(store, target)
    assert target.requests == []
    assert claimed_now(store) == 0


def test_another_steps_breaker_is_no_reason_to_stop(store: EventStore) -> None:
    upload(store, "a")
    with store.engine.begin() as connection:
        connection.execute(text("INSERT INTO breakers VALUES ('analyze', 1, now() + make_interval(secs => 60), 'model down')"))
    run(store, Target())
    assert counts(store) == StepCounts(done=1)


def test_an_outage_inside_a_batch_keeps_what_was_done(store: EventStore) -> None:
    keys = upload(store, *map(str, range(4)))

    def outcome(item: BatchItem) -> ItemOutcome:
        return ok(item.item_id) if item.key in keys[:2] else error(item.item_id, ErrorCode.STORAGE_UNAVAILABLE)

    with pytest.raises(TargetUnavailableError, match="storage_unavailable"):
        run(store, per_item(outcome), dispatch_threads=1)
    assert failures(store) == {}
    assert counts(store) == StepCounts(pending=2, done=2)
    assert breaker_is_open(store)


def test_what_wasnt_started_goes_out_again_in_the_same_drain(store: EventStore) -> None:
    keys = upload(store, *map(str, range(8)))
    target = Target(
        lambda request: answer_to(
            request,
            [ok(request.items[0].item_id), *(error(i.item_id, ErrorCode.NOT_STARTED) for i in request.items[1:])],
        )
    )
    tallies = run(store, target, dispatch_threads=1)
    assert tallies[HOUR].processed == 8
    assert failures(store) == {}
    assert counts(store) == StepCounts(done=8)
    assert set(target.times_sent) == set(keys)
    assert event_types(store) == {"UploadReceived": 8, "MediaProbed": 8}


def test_a_target_that_never_starts_anything_is_broken(store: EventStore) -> None:
    upload(store, "a", "b")

    def idle(request: StepRequest) -> Manifest:
        return answer_to(request, [error(item.item_id, ErrorCode.NOT_STARTED) for item in request.items])

    with pytest.raises(ManifestError, match="started none of 1 items, 6 times in a row"):
        run(store, idle)
    assert event_types(store) == {"UploadReceived": 2}
