"""Removes the objects of erased items when their sweeps are due: second sweeps, and what a killed erasure left to do."""

from datetime import UTC, datetime

from dagster import DefaultSensorStatus, SensorEvaluationContext, SkipReason, sensor

from media_assets.defs.resource import MediaResource
from media_assets.erasure.sweep import sweep_due
from media_assets.eventlog.erasure import due_sweeps
from media_assets.eventlog.store import EventStore

_BUDGET_SECONDS = 20  # Dagster kills a tick after 60 s


@sensor(
    minimum_interval_seconds=30,
    default_status=DefaultSensorStatus.RUNNING,
    description="Sweeps of erased items that are due: their objects leave the bucket. Starts no runs.",
)
def erasure_sweep_sensor(context: SensorEvaluationContext, media: MediaResource) -> SkipReason:
    with media.store.engine.connect() as connection:
        if not due_sweeps(connection, datetime.now(UTC), limit=1):
            return SkipReason("no sweep is due")
    log = EventStore.connect(media.settings.eraser_database_url)
    try:
        swept = sweep_due(log, media.s3, media.settings.bucket, budget_seconds=_BUDGET_SECONDS)
    finally:
        log.engine.dispose()
    for error in swept.errors:
        context.log.error(f"sweep put off: {error}")
    return SkipReason(f"{len(swept.items)} sweeps done, {len(swept.errors)} put off")
