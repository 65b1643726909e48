"""The log is what was appended to it, and the read models are what it says. Scheduled and in CI, not in every run."""

from typing import Any

from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check

from media_assets.anchors.bucket import AnchorBucket
from media_assets.anchors.proof import prove
from media_assets.defs.resource import MediaResource
from media_assets.eventlog.replay import verify_replay
from media_assets.eventlog.verify import Broken


@asset_check(asset="event_log", description="The hash chain, every payload and every anchor agree: nobody changed the log.")
def chain_is_intact(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    bucket = AnchorBucket(media.s3, media.settings.anchor_bucket) if media.settings.anchor_bucket_name else None
    proof = prove(media.store.engine, bucket)
    found: dict[str, Any]
    if isinstance(proof.chain, Broken):
        found = {"broken_at": proof.chain.position, "found": str(proof.chain)}
    else:
        anchors = proof.chain.anchors if bucket else "no bucket is configured"
        found = {"events": proof.chain.events, "hash": proof.chain.hash.hex(), "anchors": anchors}
    if proof.evidence:
        found["tampering_with_anchors"] = "; ".join(proof.evidence)
    return AssetCheckResult(passed=proof.is_intact, metadata=found)


@asset_check(asset="event_log", description="Replaying the log from position 0 gives exactly the live read models.")
def replay_equals_live(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    verification = verify_replay(media.settings.owner_database_url)
    found: dict[str, Any] = {
        "events": verification.events,
        "live_digest": verification.live_digest,
        "replayed_digest": verification.replayed_digest,
    }
    if verification.differing:
        found["differing"] = ", ".join(map(str, verification.differing))
        found["what_to_do"] = "media-assets rebuild folds the read models anew"
    return AssetCheckResult(passed=verification.identical, metadata=found)
