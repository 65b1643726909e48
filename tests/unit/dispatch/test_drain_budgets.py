"""Budgets while drains work: never overshot by runs side by side, threads or processes; stopped once; nothing lost."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from lambdas.runtime.contract import ErrorCode, Manifest, StepRequest
from media_assets.dispatch.errors import BatchDiedError
from media_assets.eventlog.catalogue import SpendingResumed, SpendingStopped
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.budgets import Account, accounts, resume_spending
from media_assets.steps.catalogue import STEPS
from media_assets.steps.claims import Claims
from media_assets.steps.pending import StepCounts, due_work, step_counts
from media_assets.steps.step import Step
from tests.conftest import Database
from tests.unit.dispatch.draining import Target
from tests.unit.dispatch.paying import (
    ANALYZE,
    COSTLIEST,
    FREE,
    MOST,
    THIS_HOUR,
    TODAY,
    YESTERDAY,
    account,
    analysed,
    analyze,
    budget,
    due,
    of,
    paid,
    spent_today,
)
from tests.unit.dispatch.works import answer_to, error
from tests.unit.eventlog.appender import FORKED
from tests.unit.eventlog.lives import Life, spending_stopped


def counts(store: EventStore) -> StepCounts:
    with store.engine.connect() as connection:
        return step_counts(connection)["analyze"]


class Auditor:
    """Looks at a user's account over and over while others spend from it. `worst` is the fullest it has seen it."""

    def __init__(self, store: EventStore, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.worst: Account | None = None

    def _look(self) -> None:
        while not self._done.wait(0.01) or self.worst is None:
            with self._store.engine.connect() as connection:
                seen = accounts(connection, self._settings, ["ada"], TODAY)["ada"]
            if self.worst is None or seen.spent + seen.reserved > self.worst.spent + self.worst.reserved:
                self.worst = seen

    def __enter__(self) -> Auditor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def assert_within_budget(auditor: Auditor) -> None:
    assert auditor.worst is not None
    assert auditor.worst.spent + auditor.worst.reserved <= auditor.worst.limit


# Side by side


def test_drains_side_by_side_spend_a_budget_to_the_last_and_not_beyond(store: EventStore) -> None:
    """Every analysis costs all that it may: one more would be too much."""
    due(store, *map(str, range(60)))
    settings = paid(daily_budget_dollars=budget(20))
    target = Target(COSTLIEST)
    with Auditor(store, settings) as auditor, ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda n: analyze(store, target, settings, f"run-{n}"), range(4)))
    assert sum(done) == len(target.requests) == 20
    assert spent_today(store) == 20 * MOST
    assert account(store) == [
        SpendingStopped(day=TODAY, limit_micro_dollars=20 * MOST, spent_micro_dollars=20 * MOST, step="analyze")
    ]
    assert counts(store) == StepCounts(pending=40, done=20, over_budget=40)
    assert_within_budget(auditor)


def test_drains_whose_analyses_cost_less_use_what_is_left_over(store: EventStore) -> None:
    due(store, *map(str, range(60)))
    settings = paid(daily_budget_dollars=budget(5))
    chance = random.Random(7)

    def somehow(request: StepRequest) -> Manifest:
        time.sleep(chance.random() / 200)
        if chance.random() < 0.1:
            return answer_to(request, [error(item.item_id, ErrorCode.MODEL_REFUSED, retryable=False) for item in request.items])
        return analysed(chance.randrange(32_000), chance.randrange(8192), chance.randrange(300_000))(request)

    target = Target(somehow)
    with Auditor(store, settings) as auditor, ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: analyze(store, target, settings, f"run-{n}"), range(3)))
    assert len(target.requests) > 5
    assert spent_today(store) <= 5 * MOST < spent_today(store) + MOST
    assert [payload.type for payload in account(store)] == ["SpendingStopped"]
    assert counts(store).over_budget == counts(store).pending == 60 - len(target.requests)
    assert_within_budget(auditor)


def _drain_in_a_process(database_url: str, limit: float, run_id: str, hour: datetime) -> None:
    store = EventStore.connect(database_url)
    analyze(store, COSTLIEST, paid(daily_budget_dollars=budget(limit)), run_id, hour)
    store.engine.dispose()


def test_processes_side_by_side_dont_overshoot_either(database: Database) -> None:
    store = database.store
    due(store, *map(str, range(60)))
    processes = [
        FORKED.Process(target=_drain_in_a_process, args=(database.application_url, 20, f"run-{number}", THIS_HOUR))
        for number in range(4)
    ]
    for process in processes:
        process.start()
    with Auditor(store, paid(daily_budget_dollars=budget(20))) as auditor:
        for process in processes:
            process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert spent_today(store) == 20 * MOST
    assert len(account(store)) == 1
    assert counts(store) == StepCounts(pending=40, done=20, over_budget=40)
    assert len({event.run_id for event in store.all() if event.payload.type == "AnalysisCompleted" and event.run_id}) > 1
    assert_within_budget(auditor)


def test_claims_of_two_steps_at_once_dont_reserve_the_same_money(store: EventStore) -> None:
    due(store, *map(str, range(5)))
    store.append([life.analysis() for life in due(store, *"abcdefghij")])
    settings = paid(daily_budget_dollars=budget(1))
    start = threading.Barrier(2)

    def take(step: Step) -> Claims:
        claims = Claims(store.engine, run_id=None, lease_seconds=30, settings=settings)
        start.wait()
        claims.take(step, [THIS_HOUR], 10)
        return claims

    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            both = list(pool.map(take, (ANALYZE, STEPS["embed"])))
            with store.engine.connect() as connection:
                ada = accounts(connection, settings, ["ada"], TODAY)["ada"]
            assert 0 < ada.reserved <= ada.limit
            for claims in both:
                claims.release_all()


def test_other_users_and_other_steps_go_on_unharmed(store: EventStore) -> None:
    due(store, *map(str, range(40)))
    due(store, *map(str, range(10)), user="grace")
    store.append([Life("uploads/ada/new.jpg").upload(at=THIS_HOUR)])
    settings = paid(daily_budget_dollars=budget(3), user_daily_budgets_dollars={"grace": None})
    assert analyze(store, COSTLIEST, settings) == 13
    assert (spent_today(store), spent_today(store, "grace")) == (3 * MOST, 10 * MOST)
    with store.engine.connect() as connection:
        assert [due.hour for due in due_work(connection, settings)] == [
            THIS_HOUR
        ]  # of the new upload's probe, and grace's embeddings
    assert len(Claims(store.engine, run_id=None, lease_seconds=30).take(STEPS["probe"], [THIS_HOUR], 10)) == 1
    assert account(store, "grace") == []


# Going on


def test_what_waited_is_done_when_the_budget_is_raised(store: EventStore) -> None:
    due(store, *map(str, range(10)))
    assert analyze(store, COSTLIEST, paid(daily_budget_dollars=budget(4))) == 4
    assert analyze(store, COSTLIEST, paid(daily_budget_dollars=budget(4))) == 0
    raised = paid(daily_budget_dollars=budget(100))
    assert resume_spending(store, raised) == ["ada"]
    assert analyze(store, COSTLIEST, raised) == 6
    assert counts(store) == StepCounts(done=10)
    assert [payload.type for payload in account(store)] == ["SpendingStopped", "SpendingResumed"]


def test_a_run_goes_on_by_itself_when_another_day_has_begun(store: EventStore) -> None:
    """Also where no sensor runs: a person materializes the hour."""
    due(store, *"abc")
    [old] = due(store, "old")
    store.append([of("ada", old.analysis()).model_copy(update={"micro_dollars": 3 * MOST, "occurred_at": YESTERDAY})])
    store.append([spending_stopped(day=YESTERDAY.date())])
    assert analyze(store, COSTLIEST, paid(daily_budget_dollars=budget(3))) == 3
    assert account(store)[1] == SpendingResumed(reason="day")
    assert spent_today(store) == 3 * MOST


def test_a_killed_runs_reservation_ends_with_its_lease(store: EventStore) -> None:
    due(store, *"ab")
    settings = paid(daily_budget_dollars=budget(1.5))
    killed = Claims(store.engine, run_id="killed", lease_seconds=1, settings=settings)
    assert len(killed.take(ANALYZE, [THIS_HOUR], 10)) == 1
    assert analyze(store, FREE, settings) == 0
    assert account(store) == []
    time.sleep(1.1)
    assert analyze(store, FREE, settings) == 2
    assert account(store) == []


# What an attempt without an outcome cost


def test_what_a_batch_that_died_cost_counts_before_its_halves_are_sent(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four items fit the budget as long as nothing is lost; the bill of the batch that died leaves money for fewer."""
    monkeypatch.setattr(
        "media_assets.dispatch.settlement.unanswered", lambda works, *_: {work.item_id: MOST // len(works) for work in works}
    )
    due(store, *"abcd")
    settings = paid(daily_budget_dollars=budget(4), batch_max_model_calls=4, dispatch_threads=1)
    sizes: list[int] = []

    def dying_at_first(request: StepRequest) -> Manifest:
        sizes.append(len(request.items))
        if len(sizes) == 1:
            raise BatchDiedError(ErrorCode.TIMEOUT, "killed")
        return FREE(request)

    with Auditor(store, settings) as auditor:
        assert analyze(store, dying_at_first, settings) == 4
    assert sizes == [4, 3, 1]
    assert MOST <= spent_today(store) <= MOST + 2
    assert_within_budget(auditor)


def test_halves_are_sent_at_once_when_there_is_money_for_them(store: EventStore) -> None:
    due(store, *"abcd")
    settings = paid(daily_budget_dollars=budget(9), batch_max_model_calls=4, dispatch_threads=1)
    sizes: list[int] = []

    def dying_at_first(request: StepRequest) -> Manifest:
        sizes.append(len(request.items))
        if len(request.items) == 4:
            raise BatchDiedError(ErrorCode.TIMEOUT, "killed")
        return FREE(request)

    assert analyze(store, dying_at_first, settings) == 4
    assert sizes == [4, 2, 2]


def test_a_file_that_kills_every_batch_ends_alone_within_the_budget(store: EventStore) -> None:
    poison = due(store, *"abcd")[2]
    settings = paid(daily_budget_dollars=budget(4.5), batch_max_model_calls=4, dispatch_threads=1)

    def deadly(request: StepRequest) -> Manifest:
        if str(poison.item_id) in {item.item_id for item in request.items}:
            time.sleep(0.05)
            raise BatchDiedError(ErrorCode.CRASHED, "killed")
        return FREE(request)

    with Auditor(store, settings) as auditor:
        analyze(store, deadly, settings)
    assert counts(store) == StepCounts(done=3, failed=1)
    assert_within_budget(auditor)
