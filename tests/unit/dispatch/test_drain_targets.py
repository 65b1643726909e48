"""A step with two targets, batches that are taken away, recomputations that make way, and what an interruption stops."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime

import pytest
from dagster import DagsterExecutionInterruptedError
from sqlalchemy import text

from lambdas.runtime.contract import ErrorCode, Manifest, StepRequest
from media_assets.dispatch.drain import drain
from media_assets.dispatch.errors import BatchInterruptedError, TargetUnavailableError
from media_assets.dispatch.tally import Tally
from media_assets.eventlog.store import EventStore
from media_assets.steps.catalogue import STEPS
from media_assets.steps.pending import StepCounts
from media_assets.steps.reprocess import request_reprocessing
from media_assets.steps.step import TaskSize
from tests.unit.dispatch.draining import (
    HOUR,
    Target,
    breaker_is_open,
    claimed_now,
    counts,
    failures,
    let_time_pass,
    run,
    settings,
    upload,
)
from tests.unit.dispatch.works import PROBE, FunctionTarget, answer_to, error


class ProbeAnywhere(type(PROBE)):  # type: ignore[misc]
    """`probe`, which needs nothing to be done before it, as a step with two targets."""

    targets = ("ecs", "lambda")
    gathers = True
    task = TaskSize(vcpus=STEPS["detect"].task.vcpus, memory_mb=4096, timeout_seconds=900)  # type: ignore[union-attr]


def run_anywhere(
    store: EventStore, functions: Callable[[StepRequest], Manifest], tasks: Callable[[StepRequest], Manifest]
) -> dict[datetime, Tally]:
    return drain(
        ProbeAnywhere(),
        [HOUR],
        store=store,
        settings=settings(ecs_min_items=10),
        targets={"lambda": FunctionTarget(functions), "ecs": FunctionTarget(tasks)},
        run_id="run-1",
    )


def routes(store: EventStore) -> Counter[tuple[str | None, str | None]]:
    return Counter((event.target, event.target_reason) for event in store.all() if event.target is not None)


def names(count: int) -> list[str]:
    return list(map(str, range(count)))


def test_few_items_start_no_task(store: EventStore) -> None:
    upload(store, *names(9))
    functions, tasks = Target(), Target()
    tallies = run_anywhere(store, functions, tasks)
    assert tasks.requests == []
    assert routes(store) == {("lambda", "few_items"): 9}
    assert tallies[HOUR].targets == {"lambda": 9}


def test_many_items_start_few_tasks(store: EventStore) -> None:
    upload(store, *names(30))
    functions, tasks = Target(), Target()
    tallies = run_anywhere(store, functions, tasks)
    assert functions.requests == []
    assert [len(request.items) for request in tasks.requests] == [15, 15]
    assert routes(store) == {("ecs", "many_items"): 30}
    assert tallies[HOUR].targets == {"ecs": 30}


def test_a_task_is_paid_by_its_minute_and_its_size(store: EventStore) -> None:
    upload(store, *names(10))

    def quick(request: StepRequest) -> Manifest:
        return answer_to(request).model_copy(update={"billed_milliseconds": 2_000})

    tallies = run_anywhere(store, Target(), quick)
    # A minute of 1 vCPU at $0.04048 an hour and of 4 GB at $0.004445.
    assert tallies[HOUR].micro_dollars == 971


def test_what_no_task_can_do_now_functions_do(store: EventStore) -> None:
    upload(store, *names(20))

    def down(request: StepRequest) -> Manifest:
        raise TargetUnavailableError("probe: RunTask: Capacity is unavailable at this time.")

    with pytest.raises(TargetUnavailableError, match="Capacity"):
        run_anywhere(store, Target(), down)
    with store.engine.connect() as connection:
        assert list(connection.execute(text("SELECT target FROM breakers")).scalars()) == ["probe@ecs"]
    run_anywhere(store, Target(), down)
    assert routes(store) == {("lambda", "ecs_paused"): 20}
    assert failures(store) == {}


def test_an_answer_of_one_target_leaves_the_others_breaker_alone(store: EventStore) -> None:
    upload(store, *names(2))
    with store.engine.begin() as connection:
        connection.execute(text("INSERT INTO breakers VALUES ('probe@ecs', 3, now() - interval '1 s', 'down')"))
    run_anywhere(store, Target(), Target())
    with store.engine.connect() as connection:
        assert list(connection.execute(text("SELECT failures FROM breakers")).scalars()) == [3]


# Batches that are taken away


def test_a_batch_whose_worker_was_taken_away_is_sent_again_as_it_was(store: EventStore) -> None:
    keys = upload(store, *names(4))
    sent: list[StepRequest] = []

    def behave(request: StepRequest) -> Manifest:
        sent.append(request)
        if len(sent) == 1:
            raise BatchInterruptedError("SpotInterruption")
        return answer_to(request)

    run(store, behave, dispatch_threads=1)
    assert [sorted(item.key for item in request.items) for request in sent] == [keys, keys]
    assert [request.attempt for request in sent] == [1, 2]
    assert sent[0].attempt_id != sent[1].attempt_id
    assert failures(store) == {}
    assert counts(store) == StepCounts(done=4)


def test_workers_that_are_always_taken_away_are_an_outage_and_nobodys_failure(store: EventStore) -> None:
    upload(store, *names(4))

    def behave(request: StepRequest) -> Manifest:
        raise BatchInterruptedError("SpotInterruption")

    target = Target(behave)
    with pytest.raises(TargetUnavailableError, match="SpotInterruption"):
        run(store, target, dispatch_threads=1, max_attempts=3)
    assert len(target.requests) == 4
    assert failures(store) == {}
    assert breaker_is_open(store)
    assert claimed_now(store) == 0

    let_time_pass(store)
    taken = Target(lambda request: behave(request) if len(taken.requests) <= 3 else answer_to(request))
    run(store, taken, dispatch_threads=1, max_attempts=3)  # counted anew, however often the items were sent before
    assert counts(store) == StepCounts(done=4)


# Recomputations


def rejecting(request: StepRequest) -> Manifest:
    """Nothing further is due then."""
    return answer_to(request, [error(item.item_id, ErrorCode.CORRUPT, retryable=False) for item in request.items])


def recompute_everything(store: EventStore) -> None:
    with store.engine.connect() as connection:
        items = list(connection.execute(text("SELECT item_id FROM items")).scalars())
    assert request_reprocessing(store, items, ["probe"], reason="a test") == len(items)


@pytest.fixture
def recomputations(store: EventStore) -> Target:
    """Eight recomputations are due, and the target that they go to keeps a batch for a moment."""
    upload(store, *names(8))
    run(store, rejecting)
    recompute_everything(store)

    def behave(request: StepRequest) -> Manifest:
        threading.Event().wait(0.1)
        return rejecting(request)

    return Target(behave)


def test_recomputations_use_every_thread_when_nothing_else_is_to_be_done(store: EventStore, recomputations: Target) -> None:
    run(store, recomputations, dispatch_threads=4, batch_max_items=1)
    assert recomputations.most_at_once == 4


def test_recomputations_go_one_batch_at_a_time_while_an_upload_waits(store: EventStore, recomputations: Target) -> None:
    upload(store, "new", at=HOUR.replace(year=HOUR.year - 1))
    run(store, recomputations, dispatch_threads=4, batch_max_items=1)
    assert len(recomputations.requests) == 8
    assert recomputations.most_at_once == 1


def test_a_run_for_uploads_leaves_recomputations_alone(store: EventStore) -> None:
    old = upload(store, *names(3))
    run(store, Target())
    recompute_everything(store)
    (new,) = upload(store, "new")
    target = FunctionTarget(Target())
    drain(PROBE, [HOUR], store=store, settings=settings(), targets={"lambda": target}, run_id="run-2", new_only=True)
    assert isinstance(target.answer, Target)
    assert target.answer.times_sent == {new: 1}
    assert counts(store).pending == len(old)


# Interruption


@pytest.mark.usefixtures("interrupts")
def test_an_interrupted_run_tells_its_targets_and_puts_down_what_was_under_way(store: EventStore) -> None:
    upload(store, *names(4))

    def behave(request: StepRequest) -> Manifest:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        threading.Event().wait(60)  # nobody waits for this thread
        return answer_to(request)

    target = FunctionTarget(behave)
    with pytest.raises(DagsterExecutionInterruptedError):
        drain(PROBE, [HOUR], store=store, settings=settings(dispatch_threads=1), targets={"lambda": target}, run_id="run-1")
    assert target.cancelled
    assert claimed_now(store) == 0
    with store.engine.connect() as connection:
        assert connection.execute(text("SELECT sum(owed_micro_dollars) FROM claims")).scalar_one() > 0
