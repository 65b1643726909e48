"""Nothing dead, and nothing waiting beyond its backoff."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from dagster import AssetCheckSeverity, DagsterInstance

from media_assets.defs.checks.progress import progress_checks, stuck
from media_assets.defs.checks.scope import Scope
from media_assets.steps.catalogue import STEPS
from media_assets.steps.claims import Claims
from tests.conftest import Database
from tests.unit.defs.conftest import evaluate, found
from tests.unit.defs.gallery import HOUR, Gallery
from tests.unit.defs.owner import as_owner
from tests.unit.defs.screening import Screening

PROGRESS = dict(zip(STEPS, progress_checks, strict=True))
MINUTE = timedelta(minutes=1)


def overdue(gallery: Gallery, item: uuid.UUID, step: str, after: timedelta) -> list[str]:
    """What the check would find some time from now."""
    with gallery.store.engine.connect() as connection:
        return stuck(connection, Scope([item], [HOUR], whole=True), step, datetime.now(UTC) + after).problems


def let_time_pass(database: Database, minutes: int) -> None:
    """As if everything in the log had been recorded earlier."""
    as_owner(database, "ALTER TABLE events DISABLE TRIGGER events_append_only")
    as_owner(database, "UPDATE events SET recorded_at = recorded_at - make_interval(mins => :minutes)", minutes=minutes)
    as_owner(database, "ALTER TABLE events ENABLE ALWAYS TRIGGER events_append_only")


@pytest.mark.parametrize("step", ["probe", "thumbnail", "analyze", "embed", "detect"])
def test_a_dead_item_is_found_and_a_warning(gallery: Gallery, instance: DagsterInstance, step: str) -> None:
    gallery.done("fine.jpg")
    item = gallery.upload()
    before = list(STEPS).index(step)
    for make in (gallery.probed, gallery.thumbnailed, gallery.analysed, gallery.embedded)[:before]:
        make(item)
    gallery.failed(item, step, retry_at=None)
    evaluation = evaluate(PROGRESS[step], instance)
    assert not evaluation.passed
    assert evaluation.severity is AssetCheckSeverity.WARN
    assert found(evaluation) == f"- {item}: dead after 1 failures (step_error)"
    for other in STEPS.keys() - {step}:
        assert overdue(gallery, item, other, timedelta(0)) == []


def test_dead_work_of_a_video_and_of_a_job_on_it_is_found(gallery: Gallery, instance: DagsterInstance) -> None:
    screening = Screening(gallery.store, gallery.s3, gallery.bucket)
    film = screening.film(b"film")
    screening.failed(film, "frames", retry_at=None)
    job = screening.varied(film, "Ride 0", "Ride 1")
    screening.given_up(film, job, "segment")
    assert found(evaluate(PROGRESS["frames"], instance)) == f"- {film}: dead after 1 failures (step_error)"
    assert found(evaluate(PROGRESS["segment"], instance)) == f"- {job}: dead after 1 failures (crashed)"
    assert evaluate(PROGRESS["vary"], instance).passed


def test_a_job_that_nobody_starts_is_overdue(gallery: Gallery, database: Database, instance: DagsterInstance) -> None:
    screening = Screening(gallery.store, gallery.s3, gallery.bucket)
    film = screening.film(b"film")
    let_time_pass(database, 60)
    job = screening.job(film)
    assert f"{job}: " not in found(evaluate(PROGRESS["segment"], instance))
    let_time_pass(database, 11)
    assert f"- {job}: due since " in found(evaluate(PROGRESS["segment"], instance))


def test_work_that_nobody_starts_is_overdue_after_ten_minutes(
    gallery: Gallery, database: Database, instance: DagsterInstance
) -> None:
    item = gallery.upload()
    let_time_pass(database, 9)
    assert evaluate(PROGRESS["probe"], instance).passed
    let_time_pass(database, 2)
    evaluation = evaluate(PROGRESS["probe"], instance)
    assert not evaluation.passed
    assert found(evaluation).startswith(f"- {item}: due since ")


def test_a_retry_is_overdue_ten_minutes_after_its_time(gallery: Gallery) -> None:
    item = gallery.upload()
    gallery.failed(item, "probe", retry_at=datetime.now(UTC) + 20 * MINUTE)
    assert overdue(gallery, item, "probe", 29 * MINUTE) == []
    assert len(overdue(gallery, item, "probe", 31 * MINUTE)) == 1


def test_a_step_is_due_when_the_one_before_is_done(gallery: Gallery, database: Database) -> None:
    item = gallery.upload()
    let_time_pass(database, 300)
    gallery.probed(item)
    assert overdue(gallery, item, "thumbnail", 9 * MINUTE) == []
    assert len(overdue(gallery, item, "thumbnail", 11 * MINUTE)) == 1


def test_an_object_that_is_years_old_is_not_overdue_when_it_is_imported(gallery: Gallery) -> None:
    item = gallery.upload(hour=datetime(2026, 1, 1, tzinfo=UTC))
    assert overdue(gallery, item, "probe", timedelta(0)) == []


def test_claimed_work_is_not_overdue(gallery: Gallery) -> None:
    item = gallery.upload()
    Claims(gallery.store.engine, run_id=None, lease_seconds=30).take(STEPS["probe"], [HOUR], 10)
    assert overdue(gallery, item, "probe", 60 * MINUTE) == []


def test_what_is_done_or_rejected_is_never_overdue(gallery: Gallery) -> None:
    done, rejected = gallery.done(), gallery.upload("broken.jpg")
    gallery.rejected(rejected)
    for step in STEPS:
        assert overdue(gallery, done, step, 999 * MINUTE) == []
        assert overdue(gallery, rejected, step, 999 * MINUTE) == []
