"""Bucket and log agree; replaying the log gives the live read models. Scheduled and in CI, not in every run."""

from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check

from media_assets.defs.resource import MediaResource
from media_assets.eventlog.replay import verify_replay
from media_assets.uploads.reconcile import compare


@asset_check(asset="uploads", description="The bucket's uploads and the log's are the same versions: the difference is zero.")
def bucket_and_log_agree(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    difference = compare(media.s3, media.store.engine, media.settings.bucket, first_hour=media.settings.first_hour)
    return AssetCheckResult(
        passed=difference.count == 0,
        metadata={"missing_in_log": len(difference.missing), "missing_in_bucket": len(difference.removed)},
    )


@asset_check(asset="uploads", description="Replaying the log from position 0 gives exactly the live read models.")
def replay_equals_live(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    verification = verify_replay(media.settings.owner_database_url)
    return AssetCheckResult(
        passed=verification.identical,
        metadata={
            "events": verification.events,
            "live_digest": verification.live_digest,
            "replayed_digest": verification.replayed_digest,
        },
    )
