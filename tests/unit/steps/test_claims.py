"""Claims: any number of runs may want the same work, and each item is worked on by one of them."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event

from sqlalchemy import text

from media_assets.eventlog.events import Trace
from media_assets.eventlog.store import EventStore
from media_assets.steps.catalogue import STEPS
from media_assets.steps.claims import Claims
from media_assets.steps.step import Work
from tests.unit.eventlog.lives import HOUR, NOON, Life, rows

PROBE = STEPS["probe"]


def claims(store: EventStore, lease_seconds: int = 30) -> Claims:
    """Those of a new run."""
    return Claims(store.engine, run_id=str(uuid.uuid4()), lease_seconds=lease_seconds)


def lives(number: int) -> list[Life]:
    return [Life(f"uploads/ada/{n:04}.jpg") for n in range(number)]


def keys(works: list[Work]) -> list[str]:
    return [work.key for work in works]


def expire(store: EventStore) -> None:
    """As if every lease had run out a moment ago."""
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE claims SET lease_expires_at = now() - interval '1 millisecond'"))


def test_a_claim_carries_the_facts_that_a_step_reads(store: EventStore) -> None:
    cat = Life()
    upload, failure = cat.upload(), cat.failed("probe")
    store.append([upload, failure])
    assert claims(store).take(PROBE, [HOUR], 10) == [
        Work(
            item_id=cat.item_id,
            user_id="ada",
            bucket="photos",
            key=cat.key,
            version_id="v1",
            size_bytes=1000,
            pixels=0,
            hour=HOUR,
            step="probe",
            generation=0,
            failures=1,
            attempt=2,
            trace=Trace(correlation_id=upload.event_id, causation_id=failure.event_id),
            input={},
        )
    ]


def test_runs_that_claim_at_once_take_different_items_and_each_as_many_as_it_wants(store: EventStore) -> None:
    """One that came back with nothing, because it wanted what another one was taking, would end its drain too early."""
    store.append([life.upload() for life in lives(200)])
    start = Barrier(5)

    def run(_: int) -> list[list[str]]:
        mine = claims(store)
        start.wait()
        return [keys(mine.take(PROBE, [HOUR], 10)) for _ in range(4)]

    with ThreadPoolExecutor(5) as pool:
        taken = [batch for one in pool.map(run, range(5)) for batch in one]
    assert {len(batch) for batch in taken} == {10}
    assert sorted(key for batch in taken for key in batch) == [life.key for life in lives(200)]


def test_what_is_claimed_is_not_due_until_its_lease_expires(store: EventStore) -> None:
    store.append([life.upload() for life in lives(3)])
    assert len(claims(store, lease_seconds=30).take(PROBE, [HOUR], 10)) == 3
    assert claims(store).take(PROBE, [HOUR], 10) == []

    expire(store)
    again = claims(store).take(PROBE, [HOUR], 10)
    assert [work.attempt for work in again] == [2, 2, 2]  # the first attempt may have paid: it counts


def test_who_wants_new_work_alone_gets_no_recomputation(store: EventStore) -> None:
    again, new = Life("uploads/ada/again.jpg"), Life("uploads/ada/new.jpg")
    store.append([*again.done(), again.reprocess("probe"), new.upload()])
    [work] = claims(store).take(PROBE, [HOUR], 10, new_only=True)
    assert (work.key, work.recomputation) == (new.key, False)
    assert claims(store).take(PROBE, [HOUR], 10, new_only=True) == []
    [work] = claims(store).take(PROBE, [HOUR], 10)
    assert (work.key, work.recomputation) == (again.key, True)


def test_a_lease_that_is_renewed_lasts_as_long_as_a_new_one(store: EventStore) -> None:
    store.append([life.upload() for life in lives(2)])
    mine = claims(store, lease_seconds=60)
    mine.take(PROBE, [HOUR], 10)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE claims SET lease_expires_at = now() + interval '1 second'"))
    mine.renew()
    left = rows(store, "SELECT lease_expires_at > now() + interval '50 s' AS enough FROM claims")
    assert left == [{"enough": True}] * 2
    assert claims(store).take(PROBE, [HOUR], 10) == []


def test_what_was_given_back_is_not_renewed(store: EventStore) -> None:
    store.append([life.upload() for life in lives(2)])
    mine = claims(store)
    works = mine.take(PROBE, [HOUR], 2)
    with store.engine.begin() as connection:
        mine.release(connection, works[:1])
    mine.renew()
    assert keys(claims(store).take(PROBE, [HOUR], 10)) == keys(works[:1])


def test_renewing_extends_no_one_elses_lease(store: EventStore) -> None:
    store.append([life.upload() for life in lives(2)])
    first, second = claims(store), claims(store)
    first.take(PROBE, [HOUR], 1)
    second.take(PROBE, [HOUR], 1)
    expire(store)
    second.renew()
    assert keys(claims(store).take(PROBE, [HOUR], 10)) == ["uploads/ada/0000.jpg"]


def test_whoever_lost_a_claim_settles_and_releases_nothing_of_the_new_holder(store: EventStore) -> None:
    store.append([Life().upload()])
    slow, quick = claims(store), claims(store)
    works = slow.take(PROBE, [HOUR], 1)
    expire(store)
    assert len(quick.take(PROBE, [HOUR], 1)) == 1

    slow.renew()
    with store.engine.begin() as connection:
        slow.settle(connection, works)
        slow.release(connection, works)
    slow.release_all()
    assert claims(store).take(PROBE, [HOUR], 1) == []


def test_settling_forgets_a_claim_with_the_outcome_that_the_same_transaction_records(store: EventStore) -> None:
    cat, dog = Life("uploads/ada/cat.jpg"), Life("uploads/ada/dog.jpg")
    store.append([cat.upload(), dog.upload()])
    mine = claims(store)
    works = {work.key: work for work in mine.take(PROBE, [HOUR], 2)}

    with store.engine.begin() as connection:
        store.append([cat.probed()], connection)
        mine.settle(connection, [works[cat.key]])
    assert [row["item_id"] for row in rows(store, "SELECT item_id FROM claims")] == [dog.item_id]

    with store.engine.connect() as connection, connection.begin() as transaction:
        store.append([dog.probed()], connection)
        mine.settle(connection, [works[dog.key]])
        transaction.rollback()
    assert [row["item_id"] for row in rows(store, "SELECT item_id FROM claims")] == [dog.item_id]


def test_a_settled_failure_counts_once_and_a_released_attempt_too(store: EventStore) -> None:
    cat = Life()
    store.append([cat.upload()])

    def attempt() -> tuple[Claims, list[Work]]:
        mine = claims(store)
        return mine, mine.take(PROBE, [HOUR], 1)

    mine, works = attempt()
    assert works[0].attempt == 1
    with store.engine.begin() as connection:
        store.append([cat.failed("probe", attempt="a1", retry_at=NOON)], connection)
        mine.settle(connection, works)
    mine, works = attempt()
    assert (works[0].attempt, works[0].failures) == (2, 1)
    with store.engine.begin() as connection:
        mine.release(connection, works)
    mine, works = attempt()
    assert (works[0].attempt, works[0].failures) == (3, 1)
    mine.release_all()
    assert attempt()[1][0].attempt == 4


def test_the_end_of_a_drain_gives_everything_back(store: EventStore) -> None:
    store.append([life.upload() for life in lives(3)])
    mine = claims(store)
    assert len(mine.take(PROBE, [HOUR], 10)) == 3
    mine.release_all()
    assert len(claims(store).take(PROBE, [HOUR], 10)) == 3


def test_new_uploads_come_before_recomputations_and_the_oldest_first(store: EventStore) -> None:
    old, older, new = Life("uploads/ada/old.jpg"), Life("uploads/ada/older.jpg"), Life("uploads/ada/new.jpg")
    replaced = Life("uploads/ada/replaced.jpg")
    store.append([*older.done(), *old.done(), *replaced.done()])
    store.append([life.reprocess("probe") for life in (old, older, replaced)])
    store.append([new.upload(), replaced.upload("v2")])
    assert keys(claims(store).take(PROBE, [HOUR], 10)) == [new.key, replaced.key, older.key, old.key]


def test_new_uploads_come_first_across_hours(store: EventStore) -> None:
    hours = [HOUR, HOUR + timedelta(hours=1)]
    done, late, new = Life("uploads/ada/done.jpg"), Life("uploads/ada/late.jpg"), Life("uploads/ada/new.jpg")
    store.append([*done.done(at=hours[0]), done.reprocess("probe"), new.upload(at=hours[1]), late.upload(at=hours[0])])
    mine = claims(store)
    assert keys(mine.take(PROBE, hours, 2)) == [new.key, late.key]
    assert keys(mine.take(PROBE, hours, 2)) == [done.key]


def test_only_what_is_due_in_the_asked_hours_is_claimed(store: EventStore) -> None:
    soon, past = datetime.now(UTC) + timedelta(minutes=5), datetime.now(UTC) - timedelta(seconds=1)
    there, waiting, ready, done, dead, gone = (
        Life(f"uploads/ada/{name}.jpg") for name in ("there", "waiting", "ready", "done", "dead", "gone")
    )
    store.append(
        [
            there.upload(at=NOON + timedelta(hours=1)),
            *[life.upload() for life in (waiting, ready, dead, gone)],
            *done.done(),
            waiting.failed("probe", retry_at=soon),
            ready.failed("probe", retry_at=past),
            dead.failed("probe"),
            dead.abandoned("probe"),
            gone.removed(),
        ]
    )
    assert keys(claims(store).take(PROBE, [HOUR], 10)) == [ready.key]
    assert claims(store).take(STEPS["thumbnail"], [HOUR], 10) == []
    assert claims(store).take(PROBE, [], 10) == []


def test_a_new_version_waits_for_the_attempt_at_the_old_one_and_is_then_due(store: EventStore) -> None:
    cat = Life()
    store.append([cat.upload("v1")])
    mine = claims(store)
    works = mine.take(PROBE, [HOUR], 1)
    store.append([cat.upload("v2")])
    assert claims(store).take(PROBE, [HOUR], 1) == []

    with store.engine.begin() as connection:
        store.append([cat.probed("v1")], connection)
        mine.settle(connection, works)
    assert [work.version_id for work in mine.take(PROBE, [HOUR], 1)] == ["v2"]


def test_steps_are_claimed_apart(store: EventStore) -> None:
    cat = Life()
    store.append([cat.upload()])
    assert len(claims(store).take(PROBE, [HOUR], 1)) == 1
    store.append([cat.probed()])
    assert len(claims(store).take(STEPS["thumbnail"], [HOUR], 1)) == 1


def test_renewing_and_settling_side_by_side_never_wait_in_a_circle(store: EventStore) -> None:
    """Both change many rows of one claim: a deadlock would end the run, or let its leases expire."""
    store.append([life.upload() for life in lives(200)])
    mine = claims(store)
    works = mine.take(PROBE, [HOUR], 200)
    settled = Event()

    def renew() -> int:
        times = 0
        while not settled.is_set():
            mine.renew()
            times += 1
        return times

    with ThreadPoolExecutor(2) as pool:
        renewing = pool.submit(renew)
        try:
            for start in range(0, 200, 20):
                with store.engine.begin() as connection:
                    for work in reversed(works[start : start + 20]):
                        mine.settle(connection, [work])
        finally:
            settled.set()
        assert renewing.result() > 0
    assert rows(store, "SELECT * FROM claims") == []
