"""Hourly: anchor the log. Daily: make bucket and log agree, then run every check."""

from collections import Counter
from datetime import UTC, datetime

from dagster import (
    AssetMaterialization,
    AssetSelection,
    DefaultScheduleStatus,
    OpExecutionContext,
    ScheduleDefinition,
    define_asset_job,
    job,
    op,
)

from media_assets.anchors.bucket import AnchorBucket
from media_assets.anchors.proof import anchor_log
from media_assets.defs.partitions import key_of
from media_assets.defs.resource import MediaResource
from media_assets.eventlog.catalogue import UploadReceived
from media_assets.uploads.reconcile import compare, repair


@op
def compare_and_repair(context: OpExecutionContext, media: MediaResource) -> None:
    """Append what the log is missing of the bucket, and what the bucket no longer holds."""
    difference = compare(media.s3, media.store.engine, media.settings.bucket, first_hour=media.settings.first_hour)
    repaired = [event.payload for event in repair(media.store, difference)]
    context.log.info(f"bucket and log differed in {difference.count} versions; {len(repaired)} events appended")
    arrived = Counter(payload.hour for payload in repaired if isinstance(payload, UploadReceived))
    for hour, uploads in sorted(arrived.items()):
        context.log_event(AssetMaterialization("uploads", partition=key_of(hour), metadata={"repaired": uploads}))


@job(description="Compare bucket and log, and append what notifications missed. The checks that follow find no difference.")
def reconcile_uploads_job() -> None:
    compare_and_repair()


@op
def verify_and_anchor(context: OpExecutionContext, media: MediaResource) -> None:
    """Write the hash of the log's head where nobody can change it. Fails if the log is broken, and says where."""
    bucket = AnchorBucket(media.s3, media.settings.anchor_bucket)
    proof, anchor = anchor_log(media.store.engine, bucket, media.settings.stage, datetime.now(UTC))
    for sentence in proof.evidence:
        context.log.warning(sentence)
    context.log.info(f"anchored position {anchor.position}" if anchor else "nothing was appended since the last anchor")


@job(description="Verify what was appended since the last anchor and write another one, under Object Lock.")
def anchor_log_job() -> None:
    verify_and_anchor()


checks_job = define_asset_job(
    "all_checks",
    selection=AssetSelection.all_asset_checks(),
    description="Every asset check, over the most recent hours with items.",
)

reconcile_uploads = ScheduleDefinition(
    name="reconcile_uploads",
    job=reconcile_uploads_job,
    cron_schedule="15 3 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
)
hourly_anchor = ScheduleDefinition(
    name="hourly_anchor", job=anchor_log_job, cron_schedule="5 * * * *", default_status=DefaultScheduleStatus.RUNNING
)
daily_checks = ScheduleDefinition(
    name="daily_checks", job=checks_job, cron_schedule="45 3 * * *", default_status=DefaultScheduleStatus.RUNNING
)
