"""Which runs to ask for: for every pipeline, hour and kind of work that is due and has no run. State decides, never a
message.

A run for new work takes no recomputations, so an upload never waits for the end of a run that is full of them. A tick that
asked for a run keeps the other sensor from asking for it too, for the moment until Dagster has made it; after that moment
only the state counts again, so a tick that dies anywhere delays a run and never loses one. There is no run_key on purpose: a
repeated key is skipped for ever, so a killed run would never come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from dagster import DagsterInstance, RunRequest, RunsFilter
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from sqlalchemy import Engine, text

from media_assets.defs.jobs import HOUR_TAG, JOBS, PIPELINE_TAG, QUEUE_TAG, TAGS, WORK_TAG
from media_assets.defs.partitions import HOURS, hours_of, key_of
from media_assets.settings import get_settings
from media_assets.steps.pending import KINDS, Due, due_work
from media_assets.steps.reasons import MOST_COUNTED, Reasons, reasons

_MOMENT_SECONDS = 4
_MOST_AT_ONCE = 25
"""Requests of one tick; after a large import the next ticks ask for the rest."""
_MOST_NAMED = 5
"""Uploads that a run's tags name; of more they say how many."""
_PRIORITIES = {"new": "1", "again": "0"}
"""In Dagster's queue, where a backfill's runs have 0."""


def requests_for_due_work(engine: Engine, instance: DagsterInstance) -> list[RunRequest]:
    """What a sensor's tick asks for. Both sensors call this and nothing else."""
    with engine.connect() as connection:
        due = due_work(connection, get_settings())
    active = active_work(instance) if due else set()
    # One request for an hour that is no partition would fail the tick: due hours before a first hour that was moved later.
    wanted = [each for each in due if each not in active and HOURS.has_partition_key(key_of(each.hour))]
    if not wanted:
        return []
    asking = {(_queue_of(each), each.hour): each for each in _in_order(wanted)[:_MOST_AT_ONCE]}
    with engine.begin() as connection:
        rows = connection.execute(
            text("""
                INSERT INTO requested_runs AS r (pipeline, hour, requested_at)
                SELECT queue, hour, now()
                FROM unnest(CAST(:queues AS text[]), CAST(:hours AS timestamptz[])) AS q (queue, hour) ORDER BY queue, hour
                ON CONFLICT (pipeline, hour) DO UPDATE SET requested_at = excluded.requested_at
                WHERE r.requested_at <= now() - make_interval(secs => :moment)
                RETURNING pipeline, hour
            """),
            {
                "queues": [queue for queue, _ in asking],
                "hours": [hour for _, hour in asking],
                "moment": _MOMENT_SECONDS,
            },
        )
        granted = [asking[row.pipeline, row.hour] for row in rows]
        return run_requests(granted, reasons(connection, granted))


def run_requests(due: Iterable[Due], why: Mapping[Due, Reasons]) -> list[RunRequest]:
    """A request for each: new work before recomputations, the newest hour first. Its tags say why, for people: which sensor
    and tick it was, Dagster adds."""
    return [
        RunRequest(
            job_name=JOBS[each.pipeline].name,
            partition_key=key_of(each.hour),
            tags={
                PIPELINE_TAG: each.pipeline,
                HOUR_TAG: key_of(each.hour),
                WORK_TAG: each.kind,
                QUEUE_TAG: f"{each.pipeline} {each.kind} {key_of(each.hour)}",
                "dagster/priority": _PRIORITIES[each.kind],
                **(_tags(why[each]) if each in why else {}),
            },
        )
        for each in _in_order(due)
    ]


def active_work(instance: DagsterInstance) -> set[Due]:
    """What queued or running runs that a sensor asked for are for. One of a person or a backfill is for nothing: work that
    came after it should not wait for its end."""
    runs = instance.get_runs(RunsFilter(tags={PIPELINE_TAG: list(JOBS)}, statuses=list(NOT_FINISHED_STATUSES)))
    return {
        Due(run.tags[PIPELINE_TAG], _hour_of(run.tags[HOUR_TAG]), kind)
        for run in runs
        for kind in KINDS
        if run.tags.get(WORK_TAG) == kind and HOUR_TAG in run.tags
    }


def _in_order(due: Iterable[Due]) -> list[Due]:
    pipelines = list(JOBS)
    return sorted(
        set(due), key=lambda each: (-KINDS.index(each.kind), each.hour, -pipelines.index(each.pipeline)), reverse=True
    )


def _queue_of(due: Due) -> str:
    """As `requested_runs` calls it: `image`, `image again`, …"""
    return due.pipeline if due.kind == "new" else f"{due.pipeline} {due.kind}"


def _hour_of(key: str) -> datetime:
    (hour,) = hours_of([key])
    return hour


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
