"""What a drain records of its costs: every outcome its own, and nothing lost of batches that died, lied or were put off."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from dagster import DagsterExecutionInterruptedError
from sqlalchemy import text

from lambdas.runtime.contract import ErrorCode, Manifest, StepRequest
from media_assets.dispatch.errors import BatchDiedError, ManifestError, TargetUnavailableError
from media_assets.eventlog.events import Event
from media_assets.eventlog.store import EventStore
from media_assets.steps.claims import Claims
from media_assets.steps.prices import lambda_invocation
from tests.conftest import Database
from tests.unit.dispatch.draining import HOUR, Target, counts, let_time_pass, run, settings, upload
from tests.unit.dispatch.works import PROBE, answer_to, error, ok
from tests.unit.eventlog.lives import Life, rows


def lasting(milliseconds: int, outcomes: Callable[[StepRequest], Manifest] = answer_to) -> Callable[[StepRequest], Manifest]:
    """A target whose invocations are billed for so long."""
    return lambda request: outcomes(request).model_copy(update={"billed_milliseconds": milliseconds})


def outcomes(store: EventStore) -> list[Event]:
    return [event for event in store.all() if event.step is not None]


def booked(store: EventStore) -> int:
    """Everything that the log says was spent."""
    return sum(event.micro_dollars for event in store.all())


def owed(store: EventStore) -> dict[str, int]:
    """What items owe, by key."""
    found = rows(store, "SELECT i.key, c.owed_micro_dollars FROM claims c JOIN items i USING (item_id)")
    return {row["key"]: row["owed_micro_dollars"] for row in found}


def bill(milliseconds: int) -> int:
    return lambda_invocation(settings(), milliseconds=milliseconds, memory_mb=PROBE.memory_mb)


def test_every_outcome_says_what_it_took_and_cost(store: EventStore) -> None:
    keys = upload(store, *"abcd")
    fate = {keys[1]: ErrorCode.STEP_ERROR, keys[2]: ErrorCode.CORRUPT, keys[3]: ErrorCode.SOURCE_GONE}

    def mixed(request: StepRequest) -> Manifest:
        each = [error(item.item_id, fate[item.key]) if item.key in fate else ok(item.item_id) for item in request.items]
        return answer_to(request, [outcome.model_copy(update={"metrics": ok("x").metrics}) for outcome in each])

    tally = run(store, lasting(10_000, mixed), dispatch_threads=1)[HOUR]
    found = {event.payload.type: event for event in outcomes(store)}
    assert found.keys() == {"MediaProbed", "StepFailed", "UploadRejected", "UploadRemoved"}
    for event in found.values():
        assert (event.target, event.run_id, event.step) == ("lambda", "run-1", "probe")
        assert (event.milliseconds, event.memory_mb, event.tokens_in, event.tokens_out) == (12, PROBE.memory_mb, 3, 4)
        assert event.attempt_id is not None
        assert event.micro_dollars in {41, 42}
    assert tally.micro_dollars == booked(store) == bill(10_000) == 4 * 42 - 1
    [costs] = rows(store, "SELECT step, target, outcomes, failures, milliseconds, micro_dollars FROM costs")
    assert costs == {
        "step": "probe",
        "target": "lambda",
        "outcomes": 3,
        "failures": 1,
        "milliseconds": 4 * 12,
        "micro_dollars": tally.micro_dollars,
    }


def test_giving_up_costs_nothing_more(store: EventStore) -> None:
    upload(store, "a")
    run(store, lasting(10_000, lambda r: answer_to(r, [error(r.items[0].item_id, ErrorCode.STEP_ERROR, retryable=False)])))
    assert [(event.payload.type, event.micro_dollars) for event in outcomes(store)] == [
        ("StepFailed", bill(10_000)),
        ("StepAbandoned", 0),
    ]


@pytest.mark.parametrize("code", [ErrorCode.TIMEOUT, ErrorCode.CRASHED])
def test_a_batch_that_dies_is_paid_by_its_items_next_outcomes(store: EventStore, code: ErrorCode) -> None:
    keys = upload(store, *"abcd")
    seconds: list[float] = []

    def dying(request: StepRequest) -> Manifest:
        if keys[0] not in {item.key for item in request.items}:
            return lasting(0)(request)
        began = time.monotonic()
        time.sleep(0.3)
        seconds.append(time.monotonic() - began)
        raise BatchDiedError(code, "killed")

    run(store, dying, dispatch_threads=1)
    assert len(seconds) == 3  # of four, of two, alone
    by_key = {Life(key).stream_id: key for key in keys}
    cost = {by_key[event.stream_id]: event.micro_dollars for event in outcomes(store)}
    least = [bill(round(each * 1000)) for each in seconds]
    assert sum(least) <= booked(store) <= sum(least) + 3 * 3 + 2  # and the invocations of the two halves that lived
    assert cost[keys[0]] >= least[0] // 4 + least[1] // 2 + least[2]
    assert cost[keys[3]] >= least[0] // 4
    failure = next(event for event in outcomes(store) if event.payload.type == "StepFailed")
    assert failure.milliseconds >= 300
    assert failure.memory_mb == PROBE.memory_mb
    assert owed(store) == {}


def test_no_longer_is_billed_than_a_function_may_run(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(PROBE), "timeout_seconds", 0.2)
    upload(store, "a")

    def slow_to_say_so(request: StepRequest) -> Manifest:
        time.sleep(0.6)
        raise BatchDiedError(ErrorCode.TIMEOUT, "killed")

    run(store, slow_to_say_so)
    [failure] = outcomes(store)
    assert (failure.milliseconds, failure.micro_dollars) == (200, bill(200))


def test_what_was_put_off_owes_its_part_and_pays_it_later(store: EventStore) -> None:
    keys = upload(store, "a", "b")

    def unstored(request: StepRequest) -> Manifest:
        done, put_off = request.items
        return answer_to(
            request,
            [
                ok(done.item_id),
                error(put_off.item_id, ErrorCode.STORAGE_UNAVAILABLE).model_copy(update={"metrics": ok("x").metrics}),
            ],
        )

    with pytest.raises(TargetUnavailableError):
        run(store, lasting(10_000, unstored), dispatch_threads=1)
    half = bill(10_000) // 2
    assert booked(store) == half
    assert owed(store) == {keys[1]: bill(10_000) - half}

    let_time_pass(store)
    run(store, lasting(0))
    assert booked(store) == bill(10_000) + bill(0)
    assert owed(store) == {}


def test_debts_add_up_over_attempts_and_runs(store: EventStore) -> None:
    keys = upload(store, "a")

    def unstored(request: StepRequest) -> Manifest:
        return answer_to(request, [error(request.items[0].item_id, ErrorCode.STORAGE_UNAVAILABLE)])

    for times in (1, 2, 3):
        with pytest.raises(TargetUnavailableError):
            run(store, lasting(10_000, unstored))
        assert owed(store) == {keys[0]: times * bill(10_000)}
        let_time_pass(store)
    run(store, lasting(0))
    assert booked(store) == 3 * bill(10_000) + bill(0)


def test_what_wasnt_started_in_a_batch_owes_nothing(store: EventStore) -> None:
    upload(store, *"abcd")

    def one_at_a_time(request: StepRequest) -> Manifest:
        first, *others = request.items
        return answer_to(request, [ok(first.item_id), *(error(i.item_id, ErrorCode.NOT_STARTED) for i in others)])

    target = Target(lasting(10_000, one_at_a_time))
    run(store, target, dispatch_threads=1)
    assert {event.micro_dollars for event in outcomes(store)} == {bill(10_000)}
    assert booked(store) == len(target.requests) * bill(10_000)


def test_a_lie_is_billed_by_the_clock(store: EventStore) -> None:
    upload(store, "a", "b")

    def lie(request: StepRequest) -> Manifest:
        time.sleep(0.2)
        raise ManifestError("answered without item")

    with pytest.raises(ManifestError):
        run(store, lie, dispatch_threads=1)
    assert sum(owed(store).values()) >= bill(200)
    assert booked(store) == 0


@pytest.mark.parametrize("ran", [True, False])
def test_a_function_that_failed_as_a_whole_is_billed_and_one_that_wasnt_reached_is_not(store: EventStore, ran: bool) -> None:
    upload(store, "a")

    def fails(request: StepRequest) -> Manifest:
        time.sleep(0.1)
        raise TargetUnavailableError("probe failed as a whole", ran=ran)

    with pytest.raises(TargetUnavailableError):
        run(store, fails)
    assert (sum(owed(store).values()) >= bill(100)) == ran
    assert (sum(owed(store).values()) == 0) != ran


def test_a_run_that_is_cancelled_leaves_the_bill_so_far(store: EventStore) -> None:
    upload(store, *map(str, range(8)))

    def interrupt(message: str) -> None:
        raise DagsterExecutionInterruptedError

    quick = {"first": True}

    def behave(request: StepRequest) -> Manifest:
        if quick.pop("first", False):
            time.sleep(0.1)
            return lasting(0)(request)
        time.sleep(1)
        return lasting(0)(request)

    with pytest.raises(DagsterExecutionInterruptedError):
        run(store, behave, on_batch=interrupt)
    assert len(owed(store)) == 4
    assert sum(owed(store).values()) >= bill(100)


def test_another_run_that_takes_over_pays_what_is_owed_once(store: EventStore) -> None:
    upload(store, "a")

    def overtaken(request: StepRequest) -> Manifest:
        with store.engine.begin() as connection:  # as if this process had been asleep
            connection.execute(text("UPDATE claims SET lease_expires_at = '-infinity', owed_micro_dollars = 100"))
        run(store, lasting(0))
        return lasting(0)(request)

    run(store, overtaken, dispatch_threads=1)
    assert booked(store) == 100 + bill(0)
    assert owed(store) == {}


# Items that are erased while they are computed


def erase(database: Database, key: str) -> None:
    """As the eraser does."""
    eraser = EventStore.connect(database.owner_url)
    eraser.erase([Life(key).erased()])
    eraser.engine.dispose()


@pytest.mark.parametrize("victims", [[0], [1, 3], [0, 1, 2, 3]])
def test_an_item_that_is_erased_while_it_is_computed_leaves_its_neighbours_alone(
    database: Database, victims: list[int]
) -> None:
    store = database.store
    keys = upload(store, *"abcd")
    messages: list[str] = []

    def meanwhile(request: StepRequest) -> Manifest:
        for victim in victims:
            erase(database, keys[victim])
        return lasting(10_000)(request)

    target = Target(meanwhile)
    tally = run(store, target, on_batch=messages.append, dispatch_threads=1)[HOUR]
    assert (tally.processed, tally.erased) == (4 - len(victims), len(victims))
    assert len(target.requests) == 1
    assert counts(store).done == 4 - len(victims)
    assert rows(store, "SELECT * FROM claims") == []
    ids = [str(Life(keys[victim]).item_id) for victim in victims]
    assert [any(item_id in message for message in messages) for item_id in ids] == [True] * len(victims)
    assert not any("uploads/" in message for message in messages)
    done = [event for event in store.all() if event.payload.type == "MediaProbed"]
    assert {event.micro_dollars for event in done} <= {41, 42}  # what the erased ones cost is in no event


def test_items_erased_one_after_the_other_while_the_outcome_is_appended(database: Database) -> None:
    store = database.store
    keys = upload(store, *"abcd")
    erased: list[str] = []

    class Slow(Claims):
        def owed(self, *arguments: object) -> dict[object, int]:  # type: ignore[override]
            if len(erased) < 2:
                erased.append(keys[len(erased)])
                erase(database, erased[-1])
            return super().owed(*arguments)  # type: ignore[arg-type, return-value]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("media_assets.dispatch.drain.Claims", Slow)
        tally = run(store, lasting(0), dispatch_threads=1)[HOUR]
    assert (tally.processed, tally.erased) == (2, 2)
