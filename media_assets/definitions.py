"""Everything that Dagster loads."""

from dagster import Definitions, in_process_executor

from media_assets.defs.assets.steps import step_assets
from media_assets.defs.assets.uploads import event_log, uploads
from media_assets.defs.checks.analyses import analyses_match_schema
from media_assets.defs.checks.detections import detections_are_sound
from media_assets.defs.checks.embeddings import embeddings_are_sound
from media_assets.defs.checks.event_log import chain_is_intact, replay_equals_live
from media_assets.defs.checks.frames import frames_are_sound, frames_belong_to_their_timecode
from media_assets.defs.checks.media_info import media_info_is_complete
from media_assets.defs.checks.outbox import outbox_keeps_up
from media_assets.defs.checks.progress import progress_checks
from media_assets.defs.checks.segments import segments_add_up, segments_look_right
from media_assets.defs.checks.targets import target_checks
from media_assets.defs.checks.texts import texts_match_their_jobs
from media_assets.defs.checks.thumbnails import thumbnails_are_complete
from media_assets.defs.checks.uploads import bucket_and_log_agree
from media_assets.defs.jobs import JOBS
from media_assets.defs.resource import MediaResource
from media_assets.defs.schedules import (
    anchor_log_job,
    checks_job,
    daily_checks,
    hourly_anchor,
    reconcile_uploads,
    reconcile_uploads_job,
)
from media_assets.defs.sensors.erasure_sweeps import erasure_sweep_sensor
from media_assets.defs.sensors.pending_work import pending_work_sensor
from media_assets.defs.sensors.s3_upload import s3_upload_sensor

defs = Definitions(
    assets=[uploads, *step_assets, event_log],
    asset_checks=[
        bucket_and_log_agree,
        chain_is_intact,
        replay_equals_live,
        outbox_keeps_up,
        media_info_is_complete,
        thumbnails_are_complete,
        analyses_match_schema,
        embeddings_are_sound,
        detections_are_sound,
        frames_are_sound,
        frames_belong_to_their_timecode,
        segments_add_up,
        segments_look_right,
        texts_match_their_jobs,
        *progress_checks,
        *target_checks,
    ],
    jobs=[*JOBS.values(), anchor_log_job, reconcile_uploads_job, checks_job],
    sensors=[s3_upload_sensor, pending_work_sensor, erasure_sweep_sensor],
    schedules=[hourly_anchor, reconcile_uploads, daily_checks],
    resources={"media": MediaResource()},
    # A process per step costs seconds each; a run is a thin conductor. `dagster asset materialize` uses this one too.
    executor=in_process_executor,
)
