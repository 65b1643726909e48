"""Draining a step against a real database: claims, batches side by side, poison, lies, outages, interruptions.

The target is a Python function here, so that it can be slow, lie and die at will; tests/contract/pipes has real ones.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dagster import DagsterExecutionInterruptedError
from sqlalchemy import text

from lambdas.runtime.contract import BatchItem, ErrorCode, ItemOutcome, Manifest, StepRequest
from media_assets.dispatch.breakers import open_breakers
from media_assets.dispatch.drain import Tally, drain
from media_assets.dispatch.errors import BatchDiedError, ManifestError, TargetUnavailableError
from media_assets.eventlog.events import hour_of
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.claims import Claims
from media_assets.steps.pending import StepCounts, due_hours, step_counts
from tests.conftest import received
from tests.unit.dispatch.works import PROBE, PROBED, answer_to, error, ok

HOUR = hour_of(datetime.now(UTC))


class Target:
    """A step's function. `behave` decides about each request; by default every item is done. Keeps what it was sent."""

    def __init__(self, behave: Callable[[StepRequest], Manifest] = answer_to) -> None:
        self._behave = behave
        self._lock = threading.Lock()
        self._running = 0
        self.most_at_once = 0
        self.requests: list[StepRequest] = []

    def __call__(self, request: StepRequest) -> Manifest:
        with self._lock:
            self.requests.append(request)
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        try:
            return self._behave(request)
        finally:
            with self._lock:
                self._running -= 1

    @property
    def times_sent(self) -> Counter[str]:
        """How often each item was sent, by key."""
        return Counter(item.key for request in self.requests for item in request.items)


def per_item(outcome_of: Callable[[BatchItem], ItemOutcome]) -> Callable[[StepRequest], Manifest]:
    return lambda request: answer_to(request, [outcome_of(item) for item in request.items])


def settings(**changes: Any) -> Settings:
    return Settings(**{"dispatch_threads": 2, "batch_max_items": 4, **changes})


def run(
    store: EventStore,
    target: Callable[[StepRequest], Manifest],
    hours: Sequence[datetime] = (HOUR,),
    on_batch: Callable[[str], None] = lambda message: None,
    **changes: Any,
) -> dict[datetime, Tally]:
    return drain(PROBE, hours, store=store, settings=settings(**changes), invoke=target, run_id="run-1", on_batch=on_batch)


def upload(store: EventStore, *names: str, at: datetime | None = None) -> list[str]:
    """Uploads that are due for probe; their keys."""
    keys = [f"uploads/ada/{name}.jpg" for name in names]
    store.append([received(key, at=at) for key in keys])
    return keys


def counts(store: EventStore) -> StepCounts:
    with store.engine.connect() as connection:
        return step_counts(connection)["probe"]


def is_due(store: EventStore) -> bool:
    """Whether the hour has work that a sensor would start now."""
    with store.engine.connect() as connection:
        return HOUR in due_hours(connection)


def breaker_is_open(store: EventStore) -> bool:
    with store.engine.connect() as connection:
        return [breaker.target for breaker in open_breakers(connection)] == ["probe"]


def let_time_pass(store: EventStore) -> None:
    """Until every breaker has closed."""
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE breakers SET open_until = now()"))


def claimed_now(store: EventStore) -> int:
    with store.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM claims WHERE lease_expires_at >= now()")).scalar_one())


def failures(store: EventStore) -> dict[str, tuple[int, str]]:
    """Failures so far and the last error's code, by key, of items that have any."""
    with store.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT i.key, s.failures, s.error_code FROM steps s JOIN items i USING (item_id) WHERE s.failures > 0")
        )
        return {key: (failures, code) for key, failures, code in rows}


def event_types(store: EventStore) -> Counter[str]:
    return Counter(event.payload.type for event in store.all())


# What a drain does when all is well


def test_everything_that_is_due_is_processed_once(store: EventStore) -> None:
    keys = upload(store, *map(str, range(30)))
    target = Target()
    tallies = run(store, target)
    assert target.times_sent == dict.fromkeys(keys, 1)
    assert counts(store) == StepCounts(done=30)
    tally = tallies[HOUR]
    assert (tally.processed, tally.failed, tally.rejected) == (30, 0, 0)
    assert (tally.bytes_read, tally.milliseconds) == (30 * 1000, 30 * 12)
    assert len(set(tally.sample)) == len(tally.sample) == 24
    assert {event.run_id for event in store.all() if event.payload.type == "MediaProbed"} == {"run-1"}
    assert claimed_now(store) == 0


def test_nothing_due_is_nothing_sent(store: EventStore) -> None:
    target = Target()
    assert run(store, target) == {}
    assert target.requests == []


def test_the_chosen_hours_only_each_with_its_own_figures(store: EventStore) -> None:
    earlier, earliest = HOUR - timedelta(hours=1), HOUR - timedelta(hours=2)
    upload(store, "a", "b")
    upload(store, "c", at=earlier)
    upload(store, "d", at=earliest)
    tallies = run(store, Target(), hours=[HOUR, earlier])
    assert {hour: tally.processed for hour, tally in tallies.items()} == {HOUR: 2, earlier: 1}
    assert counts(store) == StepCounts(pending=1, done=3)


def test_as_many_batches_are_under_way_as_there_are_threads(store: EventStore) -> None:
    upload(store, *map(str, range(24)))

    def slowly(request: StepRequest) -> Manifest:
        time.sleep(0.05)
        return answer_to(request)

    target = Target(slowly)
    run(store, target, dispatch_threads=3)
    assert target.most_at_once == 3


def test_a_request_carries_the_recipe_and_the_limits(store: EventStore) -> None:
    upload(store, "a")
    target = Target()
    run(store, target, max_pixels=77, max_upload_bytes=88)
    (request,) = target.requests
    (item,) = request.items
    assert request.recipe == PROBE.recipe(settings()).digest
    assert request.parameters == {"max_pixels": 77, "max_bytes": 88}
    assert (request.step, request.attempt) == ("probe", 1)
    assert item.output_prefix == f"derived/{item.item_id}/probe/{request.recipe}/v1/0/"
    assert len({item.item_id, request.batch_id, request.attempt_id}) == 3


def test_every_batch_is_committed_as_it_comes_back(store: EventStore) -> None:
    upload(store, *map(str, range(12)))
    done = []
    run(store, Target(), on_batch=lambda message: done.append(counts(store).done), dispatch_threads=1)
    assert done == [4, 8, 12]


def test_two_runs_of_one_hour_share_its_work(store: EventStore) -> None:
    keys = upload(store, *map(str, range(40)))
    target = Target()
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(run, store, target, batch_max_items=2) for _ in range(4)]:
            future.result()
    assert target.times_sent == dict.fromkeys(keys, 1)
    assert event_types(store) == {"UploadReceived": 40, "MediaProbed": 40}


# What is wrong with a file


def test_failures_of_a_file_are_counted_and_wait(store: EventStore) -> None:
    (bad,) = upload(store, "bad")
    target = Target(per_item(lambda item: error(item.item_id, ErrorCode.STEP_ERROR)))
    tallies = run(store, target)
    assert (tallies[HOUR].processed, tallies[HOUR].failed) == (0, 1)
    assert target.times_sent[bad] == 1  # not at once again
    assert failures(store) == {bad: (1, "step_error")}
    assert counts(store) == StepCounts(failed=1)
    assert not is_due(store)
    assert not breaker_is_open(store)


def test_a_file_that_fails_leaves_its_neighbours_alone(store: EventStore) -> None:
    keys = upload(store, *map(str, range(4)))
    fate = {keys[1]: ErrorCode.STEP_ERROR, keys[2]: ErrorCode.CORRUPT}
    target = Target(per_item(lambda item: error(item.item_id, fate[item.key]) if item.key in fate else ok(item.item_id)))
    tally = run(store, target)[HOUR]
    assert (tally.processed, tally.failed, tally.rejected) == (2, 1, 1)
    assert counts(store) == StepCounts(failed=1, done=2, rejected=1)


def test_a_file_that_fails_five_times_is_dead(store: EventStore) -> None:
    upload(store, "bad")
    target = Target(per_item(lambda item: error(item.item_id, ErrorCode.STEP_ERROR)))
    for _ in range(7):
        run(store, target, retry_base_seconds=0.001, retry_max_seconds=0.001)
        time.sleep(0.01)
    assert len(target.requests) == 5
    assert [request.attempt for request in target.requests] == [1, 2, 3, 4, 5]
    assert counts(store) == StepCounts(dead=1)
    assert event_types(store) == {"UploadReceived": 1, "StepFailed": 5, "StepAbandoned": 1}


def test_a_text_that_postgres_refuses_fails_nobody(store: EventStore) -> None:
    # A model may write a NUL into a text, or half a surrogate pair.
    keys = upload(store, *"abcd")
    texts = {keys[1]: "NUL \0", keys[2]: "half a pair \ud800"}

    def probed(item: BatchItem) -> ItemOutcome:
        return ok(item.item_id, {**PROBED, "exif": {"camera_make": texts.get(item.key, "Fujifilm")}})

    assert run(store, per_item(probed))[HOUR].processed == 4


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


def test_a_target_that_never_starts_anything_is_broken(store: EventStore) -> None:
    upload(store, "a", "b")

    def idle(request: StepRequest) -> Manifest:
        return answer_to(request, [error(item.item_id, ErrorCode.NOT_STARTED) for item in request.items])

    with pytest.raises(ManifestError, match="started none of 1 items, 6 times in a row"):
        run(store, idle)
    assert event_types(store) == {"UploadReceived": 2}


def test_reasons_are_counted_by_code(store: EventStore) -> None:
    upload(store, "a", "b", "c", "d")
    codes = iter([ErrorCode.EMPTY, ErrorCode.CORRUPT, ErrorCode.CORRUPT, ErrorCode.STEP_ERROR])

    def refuse(request: StepRequest) -> Manifest:
        return answer_to(request, [error(item.item_id, next(codes)) for item in request.items])

    tallies = run(store, refuse, dispatch_threads=1)
    assert tallies[HOUR].reasons == {"corrupt": 2, "empty": 1, "step_error": 1}


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


@pytest.fixture
def interrupts() -> Iterator[None]:
    """SIGUSR1 raises what Dagster raises in a run that is cancelled."""

    def interrupt(number: int, frame: object) -> None:
        raise DagsterExecutionInterruptedError

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield
    signal.signal(signal.SIGUSR1, before)


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
