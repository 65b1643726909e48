"""Dagster runs in processes of their own, which can be interrupted and killed as those of Dagster's run launcher."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

from dagster import AssetsDefinition, DagsterInstance, ExecuteInProcessResult, materialize
from dagster._utils.interrupts import capture_interrupts

from media_assets.defs.assets.steps import step_asset
from media_assets.defs.partitions import key_of
from media_assets.defs.resource import MediaResource
from media_assets.settings import get_settings
from media_assets.steps.step import Step
from tests.contract.pipes.client import client_under_test

_processes = get_context("forkserver")  # which has imported this module once, so that a run starts at once
_processes.set_forkserver_preload([__name__])


def run_asset(
    asset: AssetsDefinition,
    hours: Sequence[datetime],
    instance: DagsterInstance,
    media: MediaResource,
    tags: Mapping[str, str],
) -> ExecuteInProcessResult:
    """Materialize an asset for some adjoining hours in one run."""
    keys = sorted(map(key_of, hours))
    if len(keys) > 1:
        tags = {**tags, "dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    return materialize(
        [asset],
        instance=instance,
        resources={"media": media},
        raise_on_error=False,
        partition_key=keys[0] if len(keys) == 1 else None,
        tags=tags,
    )


def start_run(step: Step, hours: Sequence[datetime], tags: Mapping[str, str]) -> BaseProcess:
    """The process of a run, with the environment that this one has now."""
    process = _processes.Process(target=_run, args=(dict(os.environ), step, list(hours), dict(tags)), daemon=True)
    process.start()
    return process


def _run(environment: Mapping[str, str], step: Step, hours: Sequence[datetime], tags: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    get_settings.cache_clear()
    with capture_interrupts(), DagsterInstance.ephemeral() as instance:  # as `dagster api execute_run` does
        result = run_asset(step_asset(step), hours, instance, client_under_test().media(), tags)
    if not result.success:
        raise SystemExit(1)
