"""How the events of a job are made: in a stream of their own, all of the story that its submission began.

Outcomes of its steps are made as those of items are (events.py), with the job in their StepRef.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from media_assets.eventlog.catalogue import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobProgressed,
    JobStarted,
    JobSubmitted,
    Payload,
)
from media_assets.eventlog.events import NewEvent, deterministic_id, job_stream


@dataclass(frozen=True)
class JobRef:
    """A job, the video that it is about, and whose both are."""

    job_id: uuid.UUID
    item_id: uuid.UUID
    user_id: str


def job_event_id(job_id: uuid.UUID) -> uuid.UUID:
    """The id of the event that submitted a job, and so the correlation id of whatever it leads to."""
    return deterministic_id(JobSubmitted.type, job_id)


def job_submitted(
    job: JobRef, payload: JobSubmitted, *, occurred_at: datetime, causation_id: uuid.UUID | None = None
) -> NewEvent:
    """A job is submitted once: whoever makes up its id decides what a repetition is."""
    return _of(job, payload, (), occurred_at, causation_id)


def job_started(
    job: JobRef,
    *,
    attempt: int,
    attempt_id: str,
    occurred_at: datetime,
    causation_id: uuid.UUID | None = None,
    run_id: str | None = None,
) -> NewEvent:
    """One per attempt id; `attempt` counts from 1."""
    payload = JobStarted(attempt=attempt)
    return _of(job, payload, (attempt_id,), occurred_at, causation_id, run_id=run_id, attempt_id=attempt_id)


def job_progressed(
    job: JobRef,
    *,
    step: str,
    percent: int,
    attempt_id: str,
    occurred_at: datetime,
    causation_id: uuid.UUID | None = None,
    run_id: str | None = None,
) -> NewEvent:
    """One per attempt id, step and percentage."""
    payload = JobProgressed(step=step, percent=percent)
    return _of(job, payload, (attempt_id, step, percent), occurred_at, causation_id, run_id=run_id, attempt_id=attempt_id)


def job_completed(
    job: JobRef,
    *,
    segments: int,
    occurred_at: datetime,
    causation_id: uuid.UUID | None = None,
    run_id: str | None = None,
) -> NewEvent:
    """`segments` is how many there are; `causation_id` is the VideoSegmented that tells of them."""
    return _of(job, JobCompleted(segments=segments), (), occurred_at, causation_id, run_id=run_id)


def job_failed(
    job: JobRef,
    *,
    code: str,
    message: str,
    occurred_at: datetime,
    causation_id: uuid.UUID | None = None,
    run_id: str | None = None,
) -> NewEvent:
    return _of(job, JobFailed(code=code, message=message), (), occurred_at, causation_id, run_id=run_id)


def job_cancelled(job: JobRef, *, reason: str, occurred_at: datetime, causation_id: uuid.UUID | None = None) -> NewEvent:
    return _of(job, JobCancelled(reason=reason), (), occurred_at, causation_id)


def _of(
    job: JobRef,
    payload: Payload,
    identity: tuple[object, ...],
    occurred_at: datetime,
    causation_id: uuid.UUID | None,
    *,
    run_id: str | None = None,
    attempt_id: str | None = None,
) -> NewEvent:
    return NewEvent(
        event_id=deterministic_id(payload.type, job.job_id, *identity),
        stream_id=job_stream(job.job_id),
        payload=payload,
        occurred_at=occurred_at,
        user_id=job.user_id,
        item_id=job.item_id,
        job_id=job.job_id,
        run_id=run_id,
        attempt_id=attempt_id,
        correlation_id=job_event_id(job.job_id),
        causation_id=causation_id,
    )
