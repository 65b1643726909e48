"""Everything that Dagster loads, as readable JSON beside this file: a change of it shows in review.

After an intended change: `REWRITE_DEFINITIONS=1 pytest tests/unit/defs/test_definitions.py`, and read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, AssetsDefinition, AssetSpec, ScheduleDefinition, SensorDefinition

from media_assets.definitions import defs
from media_assets.defs.assets.steps import step_asset
from media_assets.settings import Settings, get_settings
from media_assets.steps.catalogue import PIPELINES, STEPS

SNAPSHOT = Path(__file__).with_name("definitions.json")


def spec_of(name: str) -> AssetSpec:
    return defs.resolve_asset_graph().get(AssetKey(name)).assets_def.get_asset_spec(AssetKey(name))


def described() -> dict[str, Any]:
    graph = defs.resolve_asset_graph()
    return {
        "assets": {
            key.to_user_string(): {
                "deps": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
                "group": graph.get(key).group_name,
                "kinds": sorted(graph.get(key).kinds),
                "partitions": str(graph.get(key).partitions_def),
                "backfill": _backfill(graph.get(key).assets_def),
                "description": graph.get(key).description,
                "checks": sorted(check.name for check in graph.get_check_keys_for_assets({key})),
            }
            for key in sorted(graph.get_all_asset_keys(), key=AssetKey.to_user_string)
        },
        "recipes": {
            name: {"version": step.version, "parameters": dict(step.recipe(Settings()).parameters)}
            for name, step in STEPS.items()
        },
        "jobs": {
            job.name: {
                "assets": sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys),
                "checks": sorted(key.name for key in job.asset_layer.asset_graph.asset_check_keys),
                "partitions": str(job.partitions_def),
                "tags": dict(job.tags),
            }
            for job in (
                defs.resolve_job_def(name)
                for name in (
                    *(f"{pipeline}_pipeline" for pipeline in PIPELINES),
                    *("anchor_log_job", "reconcile_uploads_job", "all_checks"),
                )
            )
        },
        "sensors": {
            sensor.name: {
                "jobs": sorted(str(target.job_name) for target in sensor.targets),
                "every_seconds": sensor.minimum_interval_seconds,
                "default_status": sensor.default_status.value,
            }
            for sensor in _only(defs.sensors, SensorDefinition)
        },
        "schedules": {
            schedule.name: {
                "job": schedule.job_name,
                "cron": schedule.cron_schedule,
                "default_status": schedule.default_status.value,
            }
            for schedule in _only(defs.schedules, ScheduleDefinition)
        },
        "resources": sorted(defs.resources or {}),
        "executor": getattr(defs.executor, "name", None),
    }


def _backfill(asset: AssetsDefinition) -> str:
    policy = asset.backfill_policy
    if policy is None:
        return "none"
    most = policy.max_partitions_per_run
    return "a run for all hours" if most is None else f"runs of at most {most} hours"


def _only(found: Any, kind: type[Any]) -> list[Any]:
    assert all(isinstance(each, kind) for each in found)
    return sorted(found, key=lambda each: each.name)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes as the defaults have them, whatever this shell exports."""
    for name in [name for name in os.environ if name.startswith("MEDIA_") or name == "OPENAI_API_KEY"]:
        monkeypatch.delenv(name)
    get_settings.cache_clear()


def test_the_definitions_are_the_ones_that_were_reviewed() -> None:
    now = described()
    if os.environ.get("REWRITE_DEFINITIONS"):
        SNAPSHOT.write_text(json.dumps(now, indent=2) + "\n")
    assert now == json.loads(SNAPSHOT.read_text())


@pytest.mark.parametrize("step", STEPS.values(), ids=lambda step: step.name)
def test_the_code_version_is_the_recipes_digest(step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = step_asset(step)
    assert asset.code_versions_by_key == {asset.key: step.recipe(Settings()).digest}


def test_a_setting_that_changes_results_changes_the_code_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: step_asset(step).get_asset_spec().code_version for name, step in STEPS.items()}
    monkeypatch.setenv("MEDIA_THUMBNAIL_QUALITY", "50")
    monkeypatch.setenv("MEDIA_MAX_PIXELS", "5")  # a limit changes no result
    get_settings.cache_clear()
    after = {name: step_asset(step).get_asset_spec().code_version for name, step in STEPS.items()}
    assert {name for name in STEPS if before[name] != after[name]} == {"thumbnail"}


def test_what_is_loaded_is_valid() -> None:
    type(defs).validate_loadable(defs)


def test_an_asset_is_made_of_the_ones_that_its_step_reads() -> None:
    graph = defs.resolve_asset_graph()
    for step in STEPS.values():
        before = [STEPS[step.upstream].asset if step.upstream else "uploads", *(STEPS[name].asset for name in step.also_after)]
        assert graph.get(AssetKey(step.asset)).parent_keys == set(map(AssetKey, before))
    assert graph.get(AssetKey("video_segments")).parent_keys == {AssetKey("media_info"), AssetKey("overlay_texts")}
    assert spec_of("uploads").code_version is None
