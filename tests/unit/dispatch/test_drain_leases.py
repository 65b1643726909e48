"""Leases, interruptions, and versions that are superseded while their batch is under way."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable

import pytest
from dagster import DagsterExecutionInterruptedError
from sqlalchemy import text

from lambdas.runtime.contract import BatchItem, ErrorCode, ItemOutcome, Manifest, StepRequest
from media_assets.eventlog.store import EventStore
from media_assets.steps.claims import Claims
from media_assets.steps.pending import StepCounts
from tests.conftest import received
from tests.unit.dispatch.draining import HOUR, Target, claimed_now, counts, event_types, failures, is_due, run, upload
from tests.unit.dispatch.works import PROBE, answer_to, error, ok

# Leases


def test_a_slow_batch_keeps_its_claims(store: EventStore) -> None:
    upload(store, "a", "b")
    other = Claims(store.engine, run_id="run-2", lease_seconds=30)
    taken: list[int] = []

    def slowly(request: StepRequest) -> Manifest:
        for _ in range(5):
            time.sleep(0.5)  # 2.5 s under a lease of 1 s
            taken.append(len(other.take(PROBE, [HOUR], 10)))
        return answer_to(request)

    run(store, slowly, lease_seconds=1, dispatch_threads=1)
    assert taken == [0, 0, 0, 0, 0]
    assert counts(store) == StepCounts(done=2)


def test_renewing_the_lease_leaves_what_was_given_back_alone(store: EventStore) -> None:
    # Of two batches side by side one is given back unstarted, and the lease is renewed while the other takes its time.
    upload(store, *map(str, range(8)))
    first = threading.Event()

    def behave(request: StepRequest) -> Manifest:
        if not first.is_set():
            first.set()
            return answer_to(request, [error(item.item_id, ErrorCode.NOT_STARTED) for item in request.items])
        time.sleep(1)
        return answer_to(request)

    run(store, behave, lease_seconds=1)
    assert counts(store) == StepCounts(done=8)


def test_claims_that_nobody_renews_are_free_after_their_lease(store: EventStore) -> None:
    upload(store, "a")
    dead = Claims(store.engine, run_id="killed", lease_seconds=1)
    assert len(dead.take(PROBE, [HOUR], 10)) == 1
    target = Target()
    run(store, target)
    assert target.requests == []
    time.sleep(1.1)
    run(store, target)
    (request,) = target.requests
    assert request.attempt == 2  # the first one never reported back
    assert counts(store) == StepCounts(done=1)


def test_a_run_that_lost_its_lease_and_answers_late_is_no_second_result(store: EventStore) -> None:
    upload(store, "a")

    def overtaken(request: StepRequest) -> Manifest:
        with store.engine.begin() as connection:  # as if this process had been asleep
            connection.execute(text("UPDATE claims SET lease_expires_at = '-infinity'"))
        run(store, Target())
        return answer_to(request)

    run(store, overtaken, dispatch_threads=1)
    assert event_types(store) == {"UploadReceived": 1, "MediaProbed": 1}
    assert counts(store) == StepCounts(done=1)


# Interruptions


@pytest.mark.usefixtures("interrupts")
def test_a_cancelled_run_sends_nothing_more_and_gives_its_claims_back(store: EventStore) -> None:
    upload(store, *map(str, range(40)))
    release = threading.Event()

    def hangs(request: StepRequest) -> Manifest:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        release.wait(20)
        return answer_to(request)

    target = Target(hangs)
    began = time.monotonic()
    with pytest.raises(DagsterExecutionInterruptedError):
        run(store, target, dispatch_threads=1)
    assert time.monotonic() - began < 5  # it doesn't wait for what is under way
    assert claimed_now(store) == 0
    release.set()
    time.sleep(0.2)
    assert len(target.requests) == 1
    assert counts(store) == StepCounts(pending=40)
    run(store, Target())
    assert counts(store) == StepCounts(done=40)


@pytest.mark.parametrize("interruption", [DagsterExecutionInterruptedError, KeyboardInterrupt, RuntimeError])
def test_a_drain_that_ends_by_an_exception_keeps_what_was_committed(
    store: EventStore, interruption: type[BaseException]
) -> None:
    upload(store, *map(str, range(40)))

    def interrupt(message: str) -> None:
        raise interruption

    target = Target()
    with pytest.raises(interruption):
        run(store, target, on_batch=interrupt, dispatch_threads=1)
    time.sleep(0.1)
    assert len(target.requests) == 1
    assert counts(store) == StepCounts(pending=36, done=4)
    assert is_due(store)


def test_an_error_nobody_thought_of_ends_the_drain_and_frees_its_items(store: EventStore) -> None:
    upload(store, *map(str, range(4)))

    def broken(request: StepRequest) -> Manifest:
        raise RuntimeError("a bug of ours")

    with pytest.raises(RuntimeError, match="a bug of ours"):
        run(store, broken)
    assert failures(store) == {}
    assert is_due(store)


# Versions that are superseded while their batch is under way


def outrun(store: EventStore, outcome_of: Callable[[BatchItem], ItemOutcome]) -> None:
    """Version 2 of a key arrives while version 1 is under way; then version 1's outcome comes back."""
    store.append([received(version="v1", sequencer="01")])

    def behave(request: StepRequest) -> Manifest:
        (item,) = request.items
        if item.version_id == "v1":
            store.append([received(version="v2", sequencer="02")])
            return answer_to(request, [outcome_of(item)])
        return answer_to(request)

    target = Target(behave)
    run(store, target)
    assert [item.version_id for request in target.requests for item in request.items] == ["v1", "v2"]


@pytest.mark.parametrize(
    "outcome_of",
    [
        lambda item: ok(item.item_id),
        lambda item: error(item.item_id, ErrorCode.CORRUPT),
        lambda item: error(item.item_id, ErrorCode.SOURCE_GONE),
        lambda item: error(item.item_id, ErrorCode.STEP_ERROR),
        lambda item: error(item.item_id, ErrorCode.STEP_ERROR, retryable=False),
        lambda item: error(item.item_id, ErrorCode.NOT_STARTED),
    ],
    ids=["result", "rejection", "gone", "failure", "last failure", "not started"],
)
def test_the_outcome_of_a_superseded_version_says_nothing_of_the_new_one(
    store: EventStore, outcome_of: Callable[[BatchItem], ItemOutcome]
) -> None:
    outrun(store, outcome_of)
    assert counts(store) == StepCounts(done=1)
    with store.engine.connect() as connection:
        item = connection.execute(text("SELECT version_id, state, rejection_code FROM items")).one()
    assert (item.version_id, item.rejection_code) == ("v2", None)


def test_an_upload_of_the_same_item_id_never_shares_a_batch(store: EventStore) -> None:
    store.append([received(version="v1", sequencer="01"), received(version="v2", sequencer="02")])
    target = Target()
    run(store, target)
    assert [[uuid.UUID(item.item_id) for item in request.items] for request in target.requests] == [[received().item_id]]
