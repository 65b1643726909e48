"""What a check looks at: beside its asset, the run's items; standalone, its partitions; without any, the last hours with
items."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckKey,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    MetadataValue,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from sqlalchemy import Connection, text

from media_assets.defs.partitions import hours_of, key_of
from media_assets.steps.catalogue import STEPS

_RECENT_HOURS = 24
_SHOWN = 20
_NO_HOURS = "none"


@dataclass(frozen=True)
class Scope:
    """Items under a check, jobs on videos under it, and the hours they arrived in, which for a job is its video's. `whole` is
    False in a run, where heavy checks take a sample."""

    item_ids: list[uuid.UUID]
    hours: list[datetime]
    whole: bool
    job_ids: list[uuid.UUID] = field(default_factory=list)

    @property
    def work_ids(self) -> list[uuid.UUID]:
        """What `steps` and `segments` are looked up by."""
        return [*self.item_ids, *self.job_ids]


@dataclass
class Findings:
    """What a check found: sentences that name items by id, never by key."""

    checked: int = 0
    problems: list[str] = field(default_factory=list)

    def result(
        self,
        scope: Scope,
        severity: AssetCheckSeverity = AssetCheckSeverity.ERROR,
        *,
        check_name: str | None = None,
        **metadata: Any,
    ) -> AssetCheckResult:
        """`check_name` is needed where one function does several checks."""
        shown = "\n".join(f"- {problem}" for problem in self.problems[:_SHOWN])
        more = len(self.problems) - _SHOWN
        return AssetCheckResult(
            passed=not self.problems,
            check_name=check_name,
            severity=severity,
            metadata={
                "checked": self.checked,
                "problems": len(self.problems),
                "hours": ", ".join(key_of(hour) for hour in scope.hours[-_RECENT_HOURS:]) or _NO_HOURS,
                **({"found": MetadataValue.md(shown + (f"\n- and {more} more" if more > 0 else ""))} if shown else {}),
                **metadata,
            },
        )


def scope_of(context: AssetCheckExecutionContext, connection: Connection, step: str) -> Scope:
    """The items that a check of `step`'s results looks at.

    In a run that materializes the asset those are the run's own, none if it had nothing to do: an hour may hold any number
    of older ones. After a failure they are all items of the hours that it was found in, too, so that it stays in view until
    it is mended.
    """
    if AssetKey(STEPS[step].asset) in context.job_def.asset_layer.selected_asset_keys:
        rows = connection.execute(
            text("""
                SELECT DISTINCT e.item_id, e.job_id, i.hour FROM events e JOIN items i USING (item_id)
                WHERE e.run_id = :run_id AND e.step = :step
            """),
            {"run_id": context.run.run_id, "step": step},
        ).all()
        failed = _hours_of_last_failure(context)
        items = [*(row.item_id for row in rows if row.job_id is None), *_items_of(connection, failed)]
        jobs = [*(row.job_id for row in rows if row.job_id is not None), *_jobs_of(connection, failed)]
        hours = sorted({*(row.hour for row in rows), *failed})
        return Scope(list(dict.fromkeys(items)), hours, whole=bool(failed), job_ids=list(dict.fromkeys(jobs)))
    hours = _hours(context, connection)
    return Scope(_items_of(connection, hours), hours, whole=True, job_ids=_jobs_of(connection, hours))


def _items_of(connection: Connection, hours: Sequence[datetime]) -> list[uuid.UUID]:
    rows = connection.execute(text("SELECT item_id FROM items WHERE hour = ANY(:hours)"), {"hours": list(hours)})
    return list(rows.scalars())


def _jobs_of(connection: Connection, hours: Sequence[datetime]) -> list[uuid.UUID]:
    rows = connection.execute(text("SELECT job_id FROM jobs WHERE hour = ANY(:hours)"), {"hours": list(hours)})
    return list(rows.scalars())


def _hours_of_last_failure(context: AssetCheckExecutionContext) -> list[datetime]:
    """The hours that these checks looked at when they last failed; none if they have passed since."""
    return sorted({hour for spec in context.check_specs for hour in _hours_of_failed(context, spec.key)})


def _hours_of_failed(context: AssetCheckExecutionContext, check: AssetCheckKey) -> list[datetime]:
    for record in context.instance.event_log_storage.get_asset_check_execution_history(check, limit=10):
        if record.status is AssetCheckExecutionRecordStatus.SUCCEEDED:
            return []
        if record.status is AssetCheckExecutionRecordStatus.FAILED and record.event and record.event.dagster_event:
            hours = record.event.dagster_event.asset_check_evaluation_data.metadata["hours"].value
            return [] if hours == _NO_HOURS else hours_of(str(hours).split(", "))
    return []


def _hours(context: AssetCheckExecutionContext, connection: Connection) -> list[datetime]:
    if context.has_partition_key or context.has_partition_key_range:
        return hours_of(context.partition_keys)
    recent = connection.execute(text("SELECT DISTINCT hour FROM items ORDER BY hour DESC LIMIT :n"), {"n": _RECENT_HOURS})
    return sorted(recent.scalars())
