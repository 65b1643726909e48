"""A backfill's choice: run config that asks for results anew, and asks once however often its runs come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from dagster import DagsterInstance, materialize
from dagster._core.errors import DagsterInvalidConfigError
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from media_assets.defs.assets.steps import step_assets
from media_assets.defs.partitions import key_of
from media_assets.defs.resource import MediaResource
from media_assets.settings import get_settings
from tests.unit.defs.gallery import EARLIER, HOUR, Gallery
from tests.unit.defs.processing import ProcessingHere
from tests.unit.eventlog.lives import rows

THUMBNAILS = step_assets[1]


def backfill(
    instance: DagsterInstance, recompute: str | None, *hours: datetime, assets: Any = (THUMBNAILS,), **arguments: Any
) -> None:
    keys = sorted(map(key_of, hours))
    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    names = [asset.key.to_user_string() for asset in assets]
    config = {"ops": {name: {"config": {"recompute": recompute}} for name in names}} if recompute else {}
    resources: dict[str, MediaResource] = {"media": ProcessingHere()}
    assert materialize(
        list(assets), instance=instance, resources=resources, run_config=config, tags={**tags, **arguments.pop("tags", {})}
    ).success


def computed(gallery: Gallery, step: str = "thumbnail") -> list[tuple[Any, int]]:
    """Item and generation of each result of a step, in order."""
    query = "SELECT item_id, generation FROM step_results WHERE step = :step ORDER BY generation, finished_at"
    return [(row["item_id"], row["generation"]) for row in rows(gallery.store, query, step=step)]


def upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_THUMBNAIL_QUALITY", "50")
    get_settings.cache_clear()


def test_by_default_a_backfill_computes_what_is_pending(
    gallery: Gallery, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = gallery.done()
    upgrade(monkeypatch)
    backfill(instance, None, HOUR)
    backfill(instance, "pending", HOUR)
    assert computed(gallery) == [(item, 0)]


def test_stale_results_of_the_runs_hours_are_computed_once(
    gallery: Gallery, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, elsewhere = gallery.done("old.jpg"), gallery.done("elsewhere.jpg", EARLIER)
    upgrade(monkeypatch)
    fresh = gallery.done("fresh.jpg")
    backfill(instance, "stale", HOUR)
    backfill(instance, "stale", HOUR)
    assert computed(gallery) == [(old, 0), (elsewhere, 0), (fresh, 0), (old, 1)]
    # What is computed from the thumbnails was asked for too, and is due now.
    assert rows(gallery.store, "SELECT item_id, step, generation FROM steps WHERE state = 'pending' ORDER BY step") == [
        {"item_id": old, "step": "analyze", "generation": 1},
        {"item_id": old, "step": "detect", "generation": 1},
    ]


def test_dead_work_of_the_runs_hours_starts_over(gallery: Gallery, instance: DagsterInstance) -> None:
    dead = gallery.upload()
    gallery.probed(dead)
    gallery.failed(dead, "thumbnail", retry_at=None)
    backfill(instance, "stale", HOUR)
    assert computed(gallery) == []
    backfill(instance, "dead", HOUR, EARLIER)
    assert computed(gallery) == [(dead, 1)]


def test_a_whole_pipeline_is_computed_anew_once_a_step(gallery: Gallery, instance: DagsterInstance) -> None:
    item = gallery.done()
    backfill(instance, "all", HOUR, assets=step_assets)
    for step in ("probe", "thumbnail", "analyze", "embed", "detect"):
        assert computed(gallery, step) == [(item, 0), (item, 1)]
    backfill(instance, "all", HOUR)  # another one
    assert computed(gallery)[-1] == (item, 2)


def test_a_retry_computes_nothing_that_the_run_before_it_has_computed(gallery: Gallery, instance: DagsterInstance) -> None:
    item = gallery.done()
    backfill(instance, "all", HOUR)
    (first,) = instance.get_runs()
    retry = {"dagster/root_run_id": first.run_id, "dagster/parent_run_id": first.run_id}
    backfill(instance, "all", HOUR, tags=retry)
    assert computed(gallery) == [(item, 0), (item, 1)]


def test_the_runs_of_a_backfill_compute_nothing_twice(gallery: Gallery, instance: DagsterInstance) -> None:
    before, after = gallery.done("before.jpg"), gallery.upload("after.jpg")
    made = PartitionBackfill(
        backfill_id="choice",
        status=BulkActionStatus.REQUESTED,
        from_failure=False,
        tags={},
        backfill_timestamp=datetime.now(UTC).timestamp(),
    )
    instance.add_backfill(made)
    gallery.probed(after)
    gallery.thumbnailed(after)
    for _ in range(2):
        backfill(instance, "all", HOUR, tags={"dagster/backfill": "choice"})
    assert computed(gallery) == [(before, 0), (after, 0), (before, 1)]


def test_a_choice_that_there_is_not_is_refused(gallery: Gallery, instance: DagsterInstance) -> None:
    with pytest.raises(DagsterInvalidConfigError, match="recompute"):
        backfill(instance, "everything", HOUR)
