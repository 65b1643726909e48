"""Asks for runs for whatever else is due: jobs on videos, their frames, retries, requests to reprocess, work whose run was
killed or that waited for money. And says which targets don't answer: while one is left alone no run does."""

import time

from dagster import DefaultSensorStatus, SensorEvaluationContext, SensorResult, sensor

from media_assets.defs.checks.targets import news_of_targets, paused_text
from media_assets.defs.jobs import JOBS
from media_assets.defs.resource import MediaResource
from media_assets.defs.sensors.runs import requests_for_due_work
from media_assets.dispatch.breakers import known_breakers
from media_assets.settings import get_settings
from media_assets.steps.budgets import resume_spending
from media_assets.steps.jobs import fail_jobs_of_removed_videos

_LOOK_SECONDS = 1.0
"""How often a tick that waits looks again: a look takes some milliseconds, a tick of Dagster's a hundred."""


@sensor(
    jobs=list(JOBS.values()),
    minimum_interval_seconds=get_settings().pending_work_sensor_interval_seconds,
    default_status=DefaultSensorStatus.RUNNING,
    description="Work that is due without a new upload: jobs on videos, frames, retries, reprocessing, what a killed run left.",
)
def pending_work_sensor(context: SensorEvaluationContext, media: MediaResource) -> SensorResult:
    for user_id in resume_spending(media.store, media.settings):
        context.log.info(f"{user_id} has money again: work on models goes on")
    for job_id in fail_jobs_of_removed_videos(media.store):
        context.log.info(f"job {job_id} has failed: its video is no longer in the bucket")
    deadline = time.monotonic() + media.settings.sensor_wait_seconds
    while True:
        with media.store.engine.connect() as connection:
            breakers = known_breakers(connection)
        evaluations, cursor = news_of_targets(breakers, context.cursor)
        requests = requests_for_due_work(media.store.engine, context.instance)
        if requests or evaluations or time.monotonic() >= deadline:
            break
        time.sleep(_LOOK_SECONDS)
    paused = paused_text(breakers)
    if requests and paused:
        context.log.warning(paused)
    return SensorResult(
        run_requests=requests,
        skip_reason=None if requests else paused or "nothing is due that has no run",
        asset_events=evaluations,
        cursor=cursor,
    )
