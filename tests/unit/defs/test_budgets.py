"""Budgets as Dagster sees them: a run says what waits for money, no check calls that stuck, a sensor lets it go on."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from dagster import AssetKey, DagsterInstance, materialize

from media_assets.defs.assets.steps import step_assets
from media_assets.defs.checks.progress import stuck
from media_assets.defs.checks.scope import Scope
from media_assets.defs.partitions import key_of
from media_assets.defs.sensors.pending_work import pending_work_sensor
from media_assets.defs.sensors.s3_upload import s3_upload_sensor
from media_assets.settings import get_settings
from tests.conftest import Database
from tests.unit.defs.gallery import HOUR, Gallery
from tests.unit.defs.processing import ProcessingHere
from tests.unit.defs.test_checks_of_progress import let_time_pass
from tests.unit.defs.test_sensors import let_a_moment_pass, tick
from tests.unit.eventlog.lives import spending_stopped

ANALYSES = next(asset for asset in step_assets if asset.key == AssetKey("analyses"))


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets everybody's daily budget in dollars, for whatever starts afterwards."""

    def set_to(dollars: str) -> None:
        monkeypatch.setenv("MEDIA_DAILY_BUDGET_DOLLARS", dollars)
        get_settings.cache_clear()

    return set_to


def due(gallery: Gallery, *names: str) -> list[uuid.UUID]:
    """Items that are due for analysis alone."""
    items = [gallery.upload(name) for name in names]
    for item in items:
        gallery.probed(item)
        gallery.thumbnailed(item)
        gallery.detected(item)
    return items


def run(instance: DagsterInstance) -> dict[str, object]:
    """Materialize this hour's analyses; the metadata."""
    materialize([ANALYSES], instance=instance, resources={"media": ProcessingHere()}, partition_key=key_of(HOUR))
    event = instance.get_latest_materialization_event(AssetKey("analyses"))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_a_run_says_how_many_items_wait_for_money(
    gallery: Gallery, instance: DagsterInstance, budget: Callable[[str], None]
) -> None:
    due(gallery, "a.jpg", "b.jpg", "c.jpg")
    budget("0")
    figures = run(instance)
    assert (figures["processed"], figures["pending"], figures["over_budget"], figures["dollars"]) == (0, 3, 3, 0)
    budget("10")
    figures = run(instance)
    assert (figures["processed"], figures["pending"]) == (3, 0)
    assert "over_budget" not in figures


def test_sensors_ask_for_no_run_while_the_money_is_spent_and_for_one_when_there_is_more(
    gallery: Gallery, instance: DagsterInstance, budget: Callable[[str], None]
) -> None:
    due(gallery, "a.jpg")
    budget("0")
    assert tick(pending_work_sensor, instance)[0] == [key_of(HOUR)]
    run(instance)
    for sensor in (pending_work_sensor, s3_upload_sensor):
        let_a_moment_pass(gallery)
        assert tick(sensor, instance)[0] == []
    budget("10")
    assert tick(pending_work_sensor, instance)[0] == [key_of(HOUR)]
    assert [event.type for event in gallery.store.stream("account-ada")] == ["SpendingStopped", "SpendingResumed"]


def test_the_tick_after_midnight_lets_spending_go_on(
    gallery: Gallery, instance: DagsterInstance, budget: Callable[[str], None]
) -> None:
    due(gallery, "a.jpg")
    budget("10")
    gallery.store.append([spending_stopped(day=datetime.now(UTC).date() - timedelta(days=1))])
    assert tick(s3_upload_sensor, instance)[0] == []
    assert tick(pending_work_sensor, instance)[0] == [key_of(HOUR)]


def test_what_waits_for_money_is_not_stuck_and_has_its_time_again_when_there_is_some(
    gallery: Gallery, database: Database, instance: DagsterInstance, budget: Callable[[str], None]
) -> None:
    [item] = due(gallery, "a.jpg")

    def problems() -> list[str]:
        with gallery.store.engine.connect() as connection:
            return stuck(connection, Scope([item], [HOUR], whole=True), "analyze", datetime.now(UTC)).problems

    budget("0")
    run(instance)
    let_time_pass(database, 60)
    assert problems() == []
    budget("10")
    tick(pending_work_sensor, instance)
    assert problems() == []
    let_time_pass(database, 11)
    assert len(problems()) == 1
