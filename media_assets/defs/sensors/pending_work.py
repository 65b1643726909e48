"""Asks for runs for whatever else is due: retries, requests to reprocess, work whose run was killed or that waited for
money."""

from dagster import DefaultSensorStatus, SensorEvaluationContext, SensorResult, sensor

from media_assets.defs.jobs import image_pipeline
from media_assets.defs.resource import MediaResource
from media_assets.defs.sensors.runs import requests_for_due_work
from media_assets.settings import get_settings
from media_assets.steps.budgets import resume_spending


@sensor(
    job=image_pipeline,
    minimum_interval_seconds=get_settings().pending_work_sensor_interval_seconds,
    default_status=DefaultSensorStatus.RUNNING,
    description="Work that is due without a new upload: retries, reprocessing, whatever a killed run left behind.",
)
def pending_work_sensor(context: SensorEvaluationContext, media: MediaResource) -> SensorResult:
    for user_id in resume_spending(media.store, media.settings):
        context.log.info(f"{user_id} has money again: work on models goes on")
    return SensorResult(run_requests=requests_for_due_work(media.store.engine, context.instance))
