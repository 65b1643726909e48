"""Backfills that compute again what has a result: they ask for it as the command line does, and drain as ever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from dagster import AssetExecutionContext

from media_assets.defs.resource import MediaResource
from media_assets.steps.period import Period
from media_assets.steps.reprocess import request_reprocessing
from media_assets.steps.staleness import Choice, chosen
from media_assets.steps.step import Step

_BACKFILL = "dagster/backfill"
_FIRST_RUN = "dagster/root_run_id"
"""Of a retry."""


def ask_anew(
    context: AssetExecutionContext, media: MediaResource, step: Step, hours: Sequence[datetime], choice: Choice
) -> None:
    """Request the step's chosen results of these adjoining hours, and what is computed from them.

    A second run of the same backfill, or a retry, asks for nothing that the first has computed: only what is older than
    the backfill, or than the first of the retried runs, is chosen.
    """
    before = _asked_at(context)
    with media.store.engine.connect() as connection:
        found = chosen(
            connection,
            media.settings,
            choice,
            step=step.name,
            period=Period(min(hours), max(hours)),
            before=before,
        )
    requested = sum(
        request_reprocessing(media.store, item_ids, steps, reason=f"recompute: {choice}", before=before)
        for steps, item_ids in found.items()
    )
    context.log.info(f"{step.name}: {requested} results of {sum(map(len, found.values()))} items were asked for anew")


def _asked_at(context: AssetExecutionContext) -> datetime:
    """When somebody asked for this: when the backfill was made, else the run or the first that it is a retry of."""
    backfill_id = context.run.tags.get(_BACKFILL)
    if backfill_id is not None and (backfill := context.instance.get_backfill(backfill_id)) is not None:
        return datetime.fromtimestamp(backfill.backfill_timestamp, UTC)
    record = context.instance.get_run_record_by_id(context.run.tags.get(_FIRST_RUN, context.run.run_id))
    return datetime.now(UTC) if record is None else record.create_timestamp.astimezone(UTC)
