"""What a check looks at: beside its asset, the run's items; standalone, its partitions; without any, the last hours with
items."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dagster import AssetCheckExecutionContext, AssetCheckResult, AssetCheckSeverity, AssetKey, MetadataValue
from sqlalchemy import Connection, text

from media_assets.defs.partitions import hours_of, key_of
from media_assets.steps.catalogue import STEPS

_RECENT_HOURS = 24
_SHOWN = 20


@dataclass(frozen=True)
class Scope:
    """Items under a check, and the hours they arrived in. `whole` is False in a run, where heavy checks take a sample."""

    item_ids: list[uuid.UUID]
    hours: list[datetime]
    whole: bool


@dataclass
class Findings:
    """What a check found: sentences that name items by id, never by key."""

    checked: int = 0
    problems: list[str] = field(default_factory=list)

    def result(
        self, scope: Scope, severity: AssetCheckSeverity = AssetCheckSeverity.ERROR, **metadata: Any
    ) -> AssetCheckResult:
        shown = "\n".join(f"- {problem}" for problem in self.problems[:_SHOWN])
        more = len(self.problems) - _SHOWN
        return AssetCheckResult(
            passed=not self.problems,
            severity=severity,
            metadata={
                "checked": self.checked,
                "problems": len(self.problems),
                "hours": ", ".join(key_of(hour) for hour in scope.hours[:_RECENT_HOURS]) or "none",
                **({"found": MetadataValue.md(shown + (f"\n- and {more} more" if more > 0 else ""))} if shown else {}),
                **metadata,
            },
        )


def scope_of(context: AssetCheckExecutionContext, connection: Connection, step: str) -> Scope:
    """The items that a check of `step`'s results looks at.

    In a run that materializes the asset those are the run's own, none if it had nothing to do: an hour may hold any number
    of older ones.
    """
    if AssetKey(STEPS[step].asset) in context.job_def.asset_layer.selected_asset_keys:
        rows = connection.execute(
            text("""
                SELECT DISTINCT e.item_id, i.hour FROM events e JOIN items i USING (item_id)
                WHERE e.run_id = :run_id AND e.step = :step
            """),
            {"run_id": context.run.run_id, "step": step},
        ).all()
        return Scope([row.item_id for row in rows], sorted({row.hour for row in rows}), whole=False)
    hours = _hours(context, connection)
    ids = connection.execute(text("SELECT item_id FROM items WHERE hour = ANY(:hours)"), {"hours": hours}).scalars()
    return Scope(list(ids), hours, whole=True)


def _hours(context: AssetCheckExecutionContext, connection: Connection) -> list[datetime]:
    if context.has_partition_key or context.has_partition_key_range:
        return hours_of(context.partition_keys)
    recent = connection.execute(text("SELECT DISTINCT hour FROM items ORDER BY hour DESC LIMIT :n"), {"n": _RECENT_HOURS})
    return sorted(recent.scalars())
