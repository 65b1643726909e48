"""uploads: what is in the bucket. The upload sensor reports it; materializing it imports and repairs."""

from typing import Any

from dagster import AssetExecutionContext, AssetSpec, BackfillPolicy, MaterializeResult, asset
from sqlalchemy import text

from media_assets.defs.partitions import HOURS, hours_of, key_of
from media_assets.defs.resource import MediaResource
from media_assets.uploads.reconcile import compare, repair

# Not materialized by anybody: it is there for the check that replays it, which no run of another asset should wait for.
event_log = AssetSpec(
    "event_log",
    group_name="images",
    kinds={"postgres"},
    description="Every fact, append only. The other assets' rows are folded from it.",
)


@asset(partitions_def=HOURS, backfill_policy=BackfillPolicy.single_run(), group_name="images", kinds={"s3"})
def uploads(context: AssetExecutionContext, media: MediaResource) -> MaterializeResult[Any]:
    """Object versions under `uploads/`, of photos and videos. Materializing lists the bucket once and appends whatever the log
    is missing for the chosen hours: import of an existing bucket, repair of lost notifications."""
    hours = set(hours_of(context.partition_keys))
    difference = compare(
        media.s3,
        media.store.engine,
        media.settings.bucket,
        first_hour=media.settings.first_hour,
        in_hours=hours.__contains__,
    )
    repaired = repair(media.store, difference)
    context.log.info(f"bucket and log differed in {difference.count} versions; {len(repaired)} events appended")
    with media.store.engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT hour, count(*), sum(size_bytes) FROM items
                WHERE hour = ANY(:hours) AND parent_item_id IS NULL GROUP BY hour
            """),
            {"hours": list(hours)},
        )
        found = {hour: (items, size_bytes) for hour, items, size_bytes in rows}
        rows = connection.execute(
            text("""
                SELECT u.hour, count(*)
                FROM events e JOIN event_payloads p USING (event_id)
                JOIN uploads u ON u.item_id = e.item_id AND u.version_id = p.body->>'version_id'
                WHERE e.event_id = ANY(:ids) GROUP BY u.hour
            """),
            {"ids": [event.event_id for event in repaired]},
        )
        repairs = dict(rows.tuples().all())
    for hour in hours:
        items, size_bytes = found.get(hour, (0, 0))
        context.add_asset_metadata(
            {"items": items, "bytes": int(size_bytes), "repaired": repairs.get(hour, 0)}, partition_key=key_of(hour)
        )
    return MaterializeResult()
