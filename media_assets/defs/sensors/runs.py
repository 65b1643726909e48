"""Which runs to ask for: every hour with due work and no run of its own. State decides, never a message.

A tick that asked for an hour keeps the other sensor from asking for it too, for the moment until Dagster has made the run;
after that moment only the state counts again, so a tick that dies anywhere delays a run and never loses one. There is no
run_key on purpose: a repeated key is skipped for ever, so a killed run would never come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from dagster import DagsterInstance, RunRequest, RunsFilter
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from sqlalchemy import Engine, text

from media_assets.defs.jobs import HOUR_TAG, PIPELINE_TAG, TAGS, image_pipeline
from media_assets.defs.partitions import HOURS, key_of
from media_assets.settings import get_settings
from media_assets.steps.pending import due_hours
from media_assets.steps.reasons import MOST_COUNTED, Reasons, reasons

_PIPELINE = "image"
_MOMENT_SECONDS = 4
_MOST_AT_ONCE = 25
"""Requests of one tick; after a large import the next ticks ask for the rest."""
_MOST_NAMED = 5
"""Uploads that a run's tags name; of more they say how many."""


def requests_for_due_work(engine: Engine, instance: DagsterInstance) -> list[RunRequest]:
    """What a sensor's tick asks for. Both sensors call this and nothing else."""
    with engine.connect() as connection:
        due = due_hours(connection, get_settings())
    active = active_hours(instance) if due else set()
    # One request for an hour that is no partition would fail the tick: due hours before a first hour that was moved later.
    wanted = [hour for hour in due if key_of(hour) not in active and HOURS.has_partition_key(key_of(hour))]
    if not wanted:
        return []
    with engine.begin() as connection:
        rows = connection.execute(
            text("""
                INSERT INTO requested_runs AS r (pipeline, hour, requested_at)
                SELECT :pipeline, hour, now() FROM unnest(CAST(:hours AS timestamptz[])) AS hour ORDER BY hour
                ON CONFLICT (pipeline, hour) DO UPDATE SET requested_at = excluded.requested_at
                WHERE r.requested_at <= now() - make_interval(secs => :moment)
                RETURNING hour
            """),
            {"pipeline": _PIPELINE, "hours": sorted(wanted, reverse=True)[:_MOST_AT_ONCE], "moment": _MOMENT_SECONDS},
        )
        hours = list(rows.scalars())
        return run_requests(hours, reasons(connection, hours))


def run_requests(hours: Iterable[datetime], why: Mapping[datetime, Reasons]) -> list[RunRequest]:
    """A request for each hour, newest first. Its tags say why, for people: which sensor and tick it was, Dagster adds."""
    return [
        RunRequest(
            job_name=image_pipeline.name,
            partition_key=key_of(hour),
            tags={
                PIPELINE_TAG: _PIPELINE,
                HOUR_TAG: key_of(hour),
                "dagster/priority": "1",
                **(_tags(why[hour]) if hour in why else {}),
            },
        )
        for hour in sorted(set(hours), reverse=True)
    ]


def _tags(why: Reasons) -> dict[str, str]:
    counts = {
        "first_tries": why.first_tries,
        "retries": why.retries,
        "recomputations": why.recomputations,
        "uploads": len(why.uploads),
    }
    tags = {f"{TAGS}{name}": f"{count}+" if count >= MOST_COUNTED else str(count) for name, count in counts.items() if count}
    if len(why.uploads) <= _MOST_NAMED:
        # A tag each: Dagster finds runs by a tag's whole value.
        tags |= {f"{TAGS}upload.{number}": str(upload) for number, upload in enumerate(why.uploads, start=1)}
    return tags


def active_hours(instance: DagsterInstance) -> set[str]:
    """Partition keys that a queued or running run of the pipeline, asked for by a sensor, covers."""
    runs = instance.get_runs(RunsFilter(tags={PIPELINE_TAG: _PIPELINE}, statuses=list(NOT_FINISHED_STATUSES)))
    return {run.tags[HOUR_TAG] for run in runs if HOUR_TAG in run.tags}
