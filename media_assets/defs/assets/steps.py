"""One asset a step: materializing an hour drains the step's due work of that hour."""

from datetime import datetime
from functools import partial
from typing import Any, Literal

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    Config,
    MaterializeResult,
    asset,
)

from media_assets.defs.contact_sheet import BOXES, FRAMES, PICTURES, SEGMENTS, Style, contact_sheet
from media_assets.defs.jobs import WORK_TAG
from media_assets.defs.partitions import HOURS, hours_of, key_of
from media_assets.defs.recomputing import ask_anew
from media_assets.defs.resource import MediaResource
from media_assets.defs.segment_pictures import segment_pictures
from media_assets.dispatch.drain import drain
from media_assets.dispatch.tally import Tally
from media_assets.settings import get_settings
from media_assets.steps.catalogue import PIPELINE_OF, STEPS
from media_assets.steps.pending import LeftPending, left_pending
from media_assets.steps.step import Step

_GROUPS = {"image": "images", "detection": "detections", "text": "videos", "video": "videos"}
"""Groups of assets in the UI, by pipeline."""
_SHEETS: dict[str, Style] = {
    "media_info": PICTURES,
    "thumbnails": PICTURES,
    "analyses": PICTURES,
    "embeddings": PICTURES,
    "detections": BOXES,
    "video_frames": FRAMES,
    "video_segments": SEGMENTS,
}
"""Of each asset whose results can be shown as pictures."""


class Recomputing(Config):
    """What to compute besides what is pending: results of an older recipe, what was given up, or everything."""

    recompute: Literal["pending", "stale", "dead", "all"] = "pending"


def step_asset(step: Step) -> AssetsDefinition:
    """The asset that a step's results are. A range backfill hands up to 24 hours to one run."""

    @asset(
        name=step.asset,
        deps=[
            STEPS[step.upstream].asset if step.upstream else "uploads",
            *(STEPS[name].asset for name in step.also_after),
        ],
        partitions_def=HOURS,
        backfill_policy=BackfillPolicy.multi_run(24),
        code_version=step.recipe(get_settings()).digest,
        group_name=_GROUPS[PIPELINE_OF[step.name]],
        kinds=set(step.targets),
        description=step.description,
    )
    def _materialize(context: AssetExecutionContext, config: Recomputing, media: MediaResource) -> MaterializeResult[Any]:
        hours = hours_of(context.partition_keys)
        if config.recompute != "pending":
            ask_anew(context, media, step, hours, config.recompute)
        tallies = drain(
            step,
            hours,
            store=media.store,
            settings=media.settings,
            targets=media.targets(context, step),
            run_id=context.run.run_id,
            on_batch=context.log.info,
            new_only=context.run.tags.get(WORK_TAG) == "new",
        )
        for hour in hours:
            with media.store.engine.connect() as connection:
                left = left_pending(connection, step.name, hour)
            # Per hour: under a range one MaterializeResult would put the same figures on every hour.
            metadata = _metadata(media, step, hour, tallies.get(hour, Tally()), left)
            context.add_asset_metadata(metadata, partition_key=key_of(hour))
        return MaterializeResult()

    return _materialize


def _metadata(media: MediaResource, step: Step, hour: datetime, tally: Tally, left: LeftPending) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "processed": tally.processed,
        "failed": tally.failed,
        "rejected": tally.rejected,
        "pending": left.items,
        "bytes": tally.bytes_read,
        "milliseconds": tally.milliseconds,
        "dollars": tally.micro_dollars / 1_000_000,
    }
    if left.over_budget:
        metadata["over_budget"] = left.over_budget
    if tally.erased:
        metadata["erased"] = tally.erased
    if len(step.targets) > 1 and tally.targets:
        metadata["targets"] = ", ".join(f"{target} {count}" for target, count in tally.targets.most_common())
    if tally.reasons:
        metadata["reasons"] = ", ".join(f"{code} {count}" for code, count in tally.reasons.most_common())
    if tally.videos:
        metadata |= {"videos": len(tally.videos), "video_seconds": tally.video_ms / 1000}
    metadata |= tally.figures
    if tally.modes:
        metadata["modes"] = ", ".join(f"{mode} {count}" for mode, count in tally.modes.most_common())
    settings = media.settings
    if settings.contact_sheet_base_url and step.asset in _SHEETS:
        sheet = contact_sheet(
            media.s3,
            media.store.engine,
            settings.bucket,
            settings.contact_sheet_base_url,
            tally.sample,
            hour,
            style=_SHEETS[step.asset],
            look=partial(segment_pictures, settings),
        )
        if sheet is not None:
            metadata["contact_sheet"] = sheet
    return metadata


step_assets = [step_asset(step) for step in STEPS.values()]
