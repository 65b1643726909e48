"""Daily: compare bucket and log, and run every check."""

from __future__ import annotations

from dagster import AssetSelection, DefaultScheduleStatus, ScheduleDefinition, define_asset_job

from media_assets.defs.checks.uploads import bucket_and_log_agree

reconcile_job = define_asset_job(
    "reconcile_uploads_job",
    selection=AssetSelection.checks(bucket_and_log_agree),
    description="Compare bucket and log; the difference must be zero. Materializing `uploads` repairs one.",
)
checks_job = define_asset_job(
    "all_checks",
    selection=AssetSelection.all_asset_checks(),
    description="Every asset check, over the most recent hours with items.",
)

reconcile_uploads = ScheduleDefinition(
    name="reconcile_uploads", job=reconcile_job, cron_schedule="15 3 * * *", default_status=DefaultScheduleStatus.RUNNING
)
daily_checks = ScheduleDefinition(
    name="daily_checks", job=checks_job, cron_schedule="45 3 * * *", default_status=DefaultScheduleStatus.RUNNING
)
