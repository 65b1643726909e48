"""Asks for runs for whatever else is due: retries, requests to reprocess, work whose run was killed."""

from dagster import DefaultSensorStatus, SensorEvaluationContext, SensorResult, sensor

from media_assets.defs.jobs import image_pipeline
from media_assets.defs.resource import MediaResource
from media_assets.defs.sensors.runs import active_hours, run_requests
from media_assets.settings import get_settings
from media_assets.steps.pending import due_hours


@sensor(
    job=image_pipeline,
    minimum_interval_seconds=get_settings().pending_work_sensor_interval_seconds,
    default_status=DefaultSensorStatus.RUNNING,
    description="Work that is due without a new upload: retries, reprocessing, whatever a killed run left behind.",
)
def pending_work_sensor(context: SensorEvaluationContext, media: MediaResource) -> SensorResult:
    with media.store.engine.connect() as connection:
        due = due_hours(connection)
    return SensorResult(run_requests=run_requests(due, active_hours(context.instance)))
