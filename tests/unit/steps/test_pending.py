"""What is due, waiting or ended: queries that a sensor, a backfill and a person ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.claims import Claims
from media_assets.steps.pending import Due, LeftPending, StepCounts, due_work, left_pending, step_counts, uploads_waiting
from tests.conftest import Database
from tests.unit.defs.owner import as_owner
from tests.unit.eventlog.films import Film
from tests.unit.eventlog.lives import HOUR, NOON, Life, rows, spending_stopped


def all_due(store: EventStore) -> list[Due]:
    with store.engine.connect() as connection:
        return due_work(connection, Settings())


def due(store: EventStore) -> list[datetime]:
    """Hours in which pictures have due work, which is all of new uploads."""
    found = all_due(store)
    assert {each.kind for each in found} <= {"new"}
    return [each.hour for each in found if each.pipeline == "image"]


def later(hours: int) -> datetime:
    return HOUR + timedelta(hours=hours)


def test_hours_with_pending_work_are_due_once_each_in_order(store: EventStore) -> None:
    assert due(store) == []
    for number, hour in enumerate([2, 0, 5, 0, 2]):
        store.append([Life(f"uploads/ada/{number}.jpg").upload(at=later(hour))])
    store.append([Life("uploads/ada/0.jpg").probed(), *Life("uploads/ada/done.jpg").done(at=later(9))])
    assert due(store) == [later(0), later(2), later(5)]


def test_work_that_waits_for_a_retry_or_has_ended_is_not_due(store: EventStore) -> None:
    now = datetime.now(UTC)
    waiting, ready, dead, rejected, removed = (Life(f"uploads/ada/{n}.jpg") for n in range(5))
    store.append([life.upload(at=later(n)) for n, life in enumerate((waiting, ready, dead, rejected, removed))])
    store.append([waiting.failed("probe", retry_at=now + timedelta(minutes=5))])
    store.append([ready.failed("probe", retry_at=now - timedelta(seconds=1))])
    store.append([dead.failed("probe"), dead.abandoned("probe"), rejected.rejected(), removed.removed()])
    assert due(store) == [later(1)]


def test_claimed_work_is_due_when_its_lease_has_expired(store: EventStore) -> None:
    store.append([Life("uploads/ada/0.jpg").upload(), Life("uploads/ada/1.jpg").upload()])
    claims = Claims(store.engine, run_id=None, lease_seconds=30)
    claims.take(STEPS["probe"], [HOUR], 1)
    assert due(store) == [HOUR]
    claims.take(STEPS["probe"], [HOUR], 1)
    assert due(store) == []
    claims.release_all()
    assert due(store) == [HOUR]


def test_work_whose_target_is_down_is_not_due_until_its_breaker_closes(store: EventStore) -> None:
    probing, analysing = Life("uploads/ada/0.jpg"), Life("uploads/ada/1.jpg")
    store.append([probing.upload(), analysing.upload(at=later(1)), analysing.probed(), analysing.thumbnails()])

    def breaker(opened_until: str) -> None:
        with store.engine.begin() as connection:
            connection.execute(text("DELETE FROM breakers"))
            connection.execute(text(f"INSERT INTO breakers VALUES ('analyze', 1, now() {opened_until}, 'it is down')"))

    breaker("+ interval '1 minute'")
    assert due(store) == [HOUR]
    breaker("- interval '1 second'")
    assert due(store) == [HOUR, later(1)]


def test_work_of_two_targets_is_due_while_one_of_them_is_left(store: EventStore) -> None:
    cat = Life()
    store.append([cat.upload(), cat.probed(), cat.thumbnails(), cat.analysis(), cat.embedding()])
    assert all_due(store) == [Due("detection", HOUR, "new")]
    break_down(store, "detect@ecs")
    assert all_due(store) == [Due("detection", HOUR, "new")]
    break_down(store, "detect")
    assert all_due(store) == []


def test_videos_wait_for_tasks_but_not_for_functions(store: EventStore) -> None:
    film = Film()
    store.append([film.upload(), film.probed(), film.extracted()])
    assert all_due(store) == [Due("video", HOUR, "new")]
    break_down(store, "segment")
    assert all_due(store) == [Due("video", HOUR, "new")]
    break_down(store, "segment@ecs")
    assert all_due(store) == []


def test_recomputations_are_work_of_another_kind(store: EventStore) -> None:
    new, again = Life("uploads/ada/new.jpg"), Life("uploads/ada/again.jpg")
    store.append([*again.done(), again.reprocess("embed"), again.reprocess("detect")])
    assert all_due(store) == [Due("image", HOUR, "again"), Due("detection", HOUR, "again")]
    store.append([new.upload(at=later(1)), new.probed()])
    assert all_due(store) == [
        Due("image", HOUR, "again"),
        Due("image", later(1), "new"),
        Due("detection", HOUR, "again"),
    ]


def test_work_for_a_task_gathers_while_more_of_its_hour_is_coming(store: EventStore) -> None:
    """A run for each of the first photos of an upload would have Lambda do them all, few at a time."""
    cat, dog, fox = (Life(f"uploads/ada/{name}.jpg") for name in ("cat", "dog", "fox"))

    def detection(**settings: Any) -> list[datetime]:
        with store.engine.connect() as connection:
            found = due_work(connection, Settings(**settings))
        return [each.hour for each in found if each.pipeline == "detection"]

    store.append([life.upload() for life in (cat, dog, fox)])
    store.append([cat.probed(), cat.thumbnails(), dog.probed()])
    assert detection() == []  # the dog and the fox are coming
    assert detection(ecs_min_items=2) == []
    assert detection(ecs_min_items=1) == [HOUR]  # enough for a task
    assert detection(ecs_gather_seconds=0) == [HOUR]  # waited long enough
    store.append([dog.thumbnails()])
    assert detection(ecs_min_items=3) == []
    assert detection(ecs_min_items=2) == [HOUR]
    store.append([fox.rejected()])
    assert detection() == [HOUR]  # no more will come


def test_uploads_wait_while_they_are_worked_on_or_somebody_could_start_them(store: EventStore) -> None:
    new, again = Life("uploads/ada/new.jpg"), Life("uploads/ada/again.jpg")
    store.append([*again.done(), again.reprocess("probe")])
    assert not are_waiting(store)
    store.append([new.upload(at=later(3))])
    assert are_waiting(store)
    claims = Claims(store.engine, run_id=None, lease_seconds=30)
    claims.take(STEPS["probe"], [later(3)], 1)
    assert are_waiting(store)
    break_down(store, "probe")
    assert not are_waiting(store)
    store.append([new.probed(), new.thumbnails(), new.detections()])
    assert are_waiting(store)  # for its analysis
    store.append([spending_stopped()])
    assert not are_waiting(store)


def break_down(store: EventStore, target: str) -> None:
    trip = "INSERT INTO breakers VALUES (:target, 1, now() + interval '1 minute', 'it is down')"
    with store.engine.begin() as connection:
        connection.execute(text(trip), {"target": target})


def are_waiting(store: EventStore) -> bool:
    with store.engine.connect() as connection:
        return uploads_waiting(connection)


def test_counts_tell_waiting_running_and_ended_work_apart(store: EventStore) -> None:
    pending, running, failed, dead, rejected, done, removed = (Life(f"uploads/ada/{n}.jpg") for n in range(7))
    store.append([life.upload() for life in (running, pending, failed, dead, rejected, removed)])
    store.append([failed.failed("probe", retry_at=NOON), dead.failed("probe"), dead.abandoned("probe"), rejected.rejected()])
    store.append([removed.removed(), *done.done(at=later(1))])
    Claims(store.engine, run_id=None, lease_seconds=30).take(STEPS["probe"], [HOUR], 1)

    with store.engine.connect() as connection:
        everything = step_counts(connection)
        left = [left_pending(connection, "probe", hour) for hour in (HOUR, later(1))]
    assert everything["probe"] == StepCounts(pending=1, running=1, done=1, failed=1, dead=1, rejected=1)
    assert everything["embed"] == StepCounts(done=1)
    assert left == [LeftPending(items=3, over_budget=0), LeftPending(items=0, over_budget=0)]


def test_asking_does_not_read_all_that_is_pending(store: EventStore) -> None:
    """Sensors ask every few seconds, whatever has piled up."""
    store.append([Life(f"uploads/ada/{n}.jpg").upload(at=later(n % 3)) for n in range(1500)])
    before = rows_read(store)
    with store.engine.connect() as connection:
        assert len(due_work(connection, Settings())) == 3
    assert rows_read(store) - before < 50
    assert len(Claims(store.engine, run_id=None, lease_seconds=30).take(STEPS["probe"], [HOUR], 20)) == 20
    assert rows_read(store) - before < 200


def test_what_is_left_of_an_hour_is_counted_without_what_is_done(database: Database) -> None:
    """Every run asks, of hours that may hold any number of items."""
    store = database.store
    store.append([event for n in range(200) for event in Life(f"uploads/ada/{n}.jpg").done()])
    store.append([Life("uploads/ada/new.jpg").upload()])
    as_owner(database, "ANALYZE steps")
    before = rows_read(store)
    with store.engine.connect() as connection:
        assert left_pending(connection, "probe", HOUR) == LeftPending(items=1, over_budget=0)
    assert rows_read(store) - before < 10


def rows_read(store: EventStore) -> int:
    """Rows of `steps` that the store's one connection has read so far."""
    with store.engine.begin() as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
    [read] = rows(store, "SELECT seq_tup_read + idx_tup_fetch AS n FROM pg_stat_user_tables WHERE relname = 'steps'")
    return int(read["n"])
