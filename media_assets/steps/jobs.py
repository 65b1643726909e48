"""Asking for segments of a video in a way of one's own, and no longer wanting them.

What can't be done is refused here, before anything is stored.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from lambdas.runtime.contract import ErrorCode
from media_assets.eventlog.catalogue import JobSubmitted, VideoInfo
from media_assets.eventlog.errors import StreamClosedError
from media_assets.eventlog.items import ItemNotFoundError
from media_assets.eventlog.job_events import JobRef, job_cancelled, job_failed, job_submitted
from media_assets.eventlog.jobs import FINISHED, JobNotFoundError
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.segment_plan import JobOptions, SegmentPlan, plan


class JobRefusedError(Exception):
    """A job can't be done, or no longer be cancelled. The text says why."""


@dataclass(frozen=True)
class Video:
    """A video that can be cut: its current version as the probe measured it: `format` is its container, pixels are
    those of the upright picture."""

    item_id: uuid.UUID
    user_id: str
    key: str
    version_id: str
    hour: datetime
    size_bytes: int
    format: str
    width: int
    height: int
    info: VideoInfo


@dataclass(frozen=True)
class SubmittedJob:
    """A job that is in the log. `is_new` is False if it was there before."""

    job_id: uuid.UUID
    video: Video
    plan: SegmentPlan
    is_new: bool


def find_video(connection: Connection, item_id: uuid.UUID) -> Video:
    """The video that an item is. Raises ItemNotFoundError, and JobRefusedError for an item that is no video, not probed yet,
    rejected or removed."""
    item = connection.execute(text("SELECT * FROM items WHERE item_id = :id"), {"id": item_id}).one_or_none()
    if item is None:
        raise ItemNotFoundError(f"no item {item_id}")
    if item.state == "rejected":
        raise JobRefusedError(f"{item.key} was rejected ({item.rejection_code}): {item.rejection_message}")
    if item.state == "removed":
        raise JobRefusedError(f"{item.key} is no longer in the bucket")
    if item.kind is None:
        raise JobRefusedError(f"{item.key} isn't measured yet: its plan depends on how long it is; try again in a moment")
    if item.kind != "video":
        raise JobRefusedError(f"{item.key} is no video but {_ARTICLES[item.kind]}: only videos have segments")
    return Video(
        item_id=item.item_id,
        user_id=item.user_id,
        key=item.key,
        version_id=item.version_id,
        hour=item.hour,
        size_bytes=item.size_bytes,
        format=item.format,
        width=item.width,
        height=item.height,
        info=VideoInfo.model_validate(item.video),
    )


def plan_job(settings: Settings, video: Video, options: JobOptions) -> SegmentPlan:
    """What would come of a job. Raises PlanError for options that don't fit the video, and JobRefusedError where nobody could
    carry them out."""
    info = video.info
    found = plan(info.duration_ms, info.frame_rate, options, video.item_id, most_segments=settings.segment_max)
    if found.varied and settings.vary_model is None:
        raise JobRefusedError(
            "no chat model is configured that could vary the text: set OPENAI_API_KEY or MEDIA_VARY_MODEL, or give each segment"
            " a text of its own"
        )
    return found


def submit_segment_job(
    store: EventStore, settings: Settings, item_id: uuid.UUID, options: JobOptions, job_id: uuid.UUID | None = None
) -> SubmittedJob:
    """Put a job into the log; the running sensors start the work. Submitting the same job again changes nothing.

    Raises what `find_video` and `plan_job` raise; then nothing is stored. JobRefusedError also for the id of another job.
    """
    job_id = job_id or uuid.uuid4()
    with store.engine.connect() as connection:
        video = find_video(connection, item_id)
    planned = plan_job(settings, video, options)
    asked = options.model_dump(mode="json")
    payload = JobSubmitted(version_id=video.version_id, hour=video.hour, options=asked)
    event = job_submitted(JobRef(job_id=job_id, item_id=item_id, user_id=video.user_id), payload, occurred_at=datetime.now(UTC))
    try:
        [(_, is_new)] = store.append([event])
    except StreamClosedError:
        raise ItemNotFoundError(f"item {item_id} was erased") from None
    if not is_new:
        with store.engine.connect() as connection:
            known = _job(connection, job_id)
        if (known.item_id, known.options) != (item_id, asked):
            raise JobRefusedError(f"there is a job {job_id} already, and it is another one: leave its id out")
    return SubmittedJob(job_id, video, planned, is_new)


def cancel_job(store: EventStore, job_id: uuid.UUID, *, reason: str) -> None:
    """Tell the log that the job is no longer wanted: what is under way is stopped, and nothing comes of it.

    Raises JobNotFoundError, and JobRefusedError for a job that has ended.
    """
    with store.engine.connect() as connection:
        job = _job(connection, job_id)
    if job.state in FINISHED:
        raise JobRefusedError(f"job {job_id} is {job.state} already: there is nothing to cancel")
    ref = JobRef(job_id=job_id, item_id=job.item_id, user_id=job.user_id)
    store.append([job_cancelled(ref, reason=reason, occurred_at=datetime.now(UTC), causation_id=job.event_id)])


def fail_jobs_of_removed_videos(store: EventStore) -> list[uuid.UUID]:
    """Tell the log of jobs whose video is no longer in the bucket that they failed: there is no work on them any more, so
    nothing else would. Returns their ids."""
    with store.engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT j.job_id, j.item_id, j.user_id, j.event_id FROM jobs j JOIN uploads u USING (item_id, version_id)
                WHERE j.finished_at IS NULL AND u.removed_at IS NOT NULL ORDER BY j.position
            """)
        ).all()
    failed = []
    for job_id, item_id, user_id, submitted in rows:
        told = {"code": ErrorCode.SOURCE_GONE, "message": "this version of the video is no longer in the bucket"}
        ref = JobRef(job_id=job_id, item_id=item_id, user_id=user_id)
        try:
            store.append([job_failed(ref, **told, occurred_at=datetime.now(UTC), causation_id=submitted)])
        except StreamClosedError:  # erased this moment
            continue
        failed.append(job_id)
    return failed


def _job(connection: Connection, job_id: uuid.UUID) -> Any:
    job = connection.execute(text("SELECT * FROM jobs WHERE job_id = :id"), {"id": job_id}).one_or_none()
    if job is None:
        raise JobNotFoundError(f"no job {job_id}: there never was one, or it was erased with its video")
    return job


_ARTICLES = {"image": "a picture", "frame": "a frame of one"}
