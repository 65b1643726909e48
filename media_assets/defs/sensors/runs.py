"""Which runs to ask for: every hour with due work and no run of its own. State decides, never a message.

There is no run_key on purpose: a repeated key is skipped for ever, so a killed run would never come back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dagster import DagsterInstance, RunRequest, RunsFilter
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from media_assets.defs.jobs import HOUR_TAG, PIPELINE_TAG, image_pipeline
from media_assets.defs.partitions import key_of

_PIPELINE = "image"


def run_requests(due: Iterable[datetime], active_hours: set[str]) -> list[RunRequest]:
    """A request for each due hour that has no queued or running run, newest hour first."""
    keys = sorted({key_of(hour) for hour in due} - active_hours, reverse=True)
    return [
        RunRequest(
            job_name=image_pipeline.name,
            partition_key=key,
            tags={PIPELINE_TAG: _PIPELINE, HOUR_TAG: key, "dagster/priority": "1"},
        )
        for key in keys
    ]


def active_hours(instance: DagsterInstance) -> set[str]:
    """Partition keys that a queued or running run of the pipeline, asked for by a sensor, covers."""
    runs = instance.get_runs(RunsFilter(tags={PIPELINE_TAG: _PIPELINE}, statuses=list(NOT_FINISHED_STATUSES)))
    return {run.tags[HOUR_TAG] for run in runs if HOUR_TAG in run.tags}
