"""Breakers: 10 s, doubling to 2 min; several failures in one outage count once; success forgets, but opens nothing early."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from media_assets.dispatch.breakers import Breaker, open_breakers, reset, trip
from media_assets.eventlog.store import EventStore

SECONDS = 10.0


def fail(store: EventStore, target: str = "probe", reason: str = "no answer") -> None:
    trip(store.engine, target, reason, base_seconds=SECONDS, max_seconds=120)


def succeed(store: EventStore, target: str = "probe") -> None:
    with store.engine.begin() as connection:
        reset(connection, target)


def breaker(store: EventStore) -> Breaker | None:
    with store.engine.connect() as connection:
        return next(iter(open_breakers(connection)), None)


def open_seconds(store: EventStore) -> int:
    """How long the breaker stays open, to the second."""
    found = breaker(store)
    assert found is not None
    return round((found.open_until - datetime.now(UTC)).total_seconds())


def let_time_pass(store: EventStore) -> None:
    """Until every breaker has closed."""
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE breakers SET open_until = now() - make_interval(secs => 1)"))


def test_a_failure_opens_the_breaker_and_says_why(store: EventStore) -> None:
    fail(store, reason="probe: TooManyRequestsException")
    found = breaker(store)
    assert found is not None
    assert (found.target, found.failures, found.reason) == ("probe", 1, "probe: TooManyRequestsException")
    assert timedelta(0) < found.open_until - datetime.now(UTC) <= timedelta(seconds=SECONDS)


def test_it_opens_longer_each_time_in_a_row_up_to_a_limit(store: EventStore) -> None:
    seconds = []
    for _ in range(7):
        fail(store)
        seconds.append(open_seconds(store))
        let_time_pass(store)
    assert seconds == [10, 20, 40, 80, 120, 120, 120]


def test_an_outage_of_days_stays_at_the_limit(store: EventStore) -> None:
    fail(store)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE breakers SET failures = 100000, open_until = now()"))
    fail(store)
    assert open_seconds(store) == 120


def test_several_batches_failing_in_one_outage_count_once(store: EventStore) -> None:
    for _ in range(5):
        fail(store)
    found = breaker(store)
    assert found is not None
    assert (found.failures, open_seconds(store)) == (1, 10)


def test_it_closes_by_itself(store: EventStore) -> None:
    fail(store)
    let_time_pass(store)
    assert breaker(store) is None


def test_success_forgets_the_failures_before(store: EventStore) -> None:
    for _ in range(3):
        fail(store)
        let_time_pass(store)
    succeed(store)
    fail(store)
    assert open_seconds(store) == 10


def test_an_answer_to_a_batch_sent_before_the_outage_closes_nothing(store: EventStore) -> None:
    fail(store)
    succeed(store)
    assert breaker(store) is not None


def test_targets_have_breakers_of_their_own(store: EventStore) -> None:
    fail(store, "probe")
    let_time_pass(store)
    fail(store, "analyze")
    succeed(store, "probe")
    with store.engine.connect() as connection:
        assert [each.target for each in open_breakers(connection)] == ["analyze"]


def test_a_long_reason_is_cut(store: EventStore) -> None:
    fail(store, reason="x" * 5000)
    found = breaker(store)
    assert found is not None
    assert found.reason == "x" * 300
