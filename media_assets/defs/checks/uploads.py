"""Bucket and log agree. Scheduled and in CI, not in every run."""

from datetime import UTC, datetime, timedelta

from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check

from media_assets.defs.resource import MediaResource
from media_assets.uploads.reconcile import compare

IN_FLIGHT = timedelta(minutes=15)
"""How long a notification may take; younger uploads that the log doesn't know yet are on their way."""


@asset_check(asset="uploads", description="The bucket's uploads and the log's are the same versions: the difference is zero.")
def bucket_and_log_agree(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    difference = compare(media.s3, media.store.engine, media.settings.bucket, first_hour=media.settings.first_hour)
    missed = [event for event in difference.missing if event.occurred_at < datetime.now(UTC) - IN_FLIGHT]
    return AssetCheckResult(
        passed=not missed and not difference.removed,
        metadata={
            "missing_in_log": len(missed),
            "missing_in_bucket": len(difference.removed),
            "in_flight": len(difference.missing) - len(missed),
        },
    )
