"""The envelope that events travel in, and how each event is made.

Event ids are deterministic (UUIDv5 over what makes the fact the same fact), so that telling the log something twice
changes nothing. What an id is made of is decided here and nowhere else.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from media_assets.eventlog.catalogue import (
    Frame,
    FrameReceived,
    FramesExtracted,
    ItemErased,
    Payload,
    ReprocessRequested,
    SpendingResumed,
    SpendingStopped,
    StepAbandoned,
    StepFailed,
    UploadReceived,
    UploadRemoved,
)

_NAMESPACE = uuid.UUID("6f1c3a52-6a0e-5d0c-9a4b-5a1d0c9b7e11")

UserId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]


def deterministic_id(*parts: object) -> uuid.UUID:
    """UUIDv5 of the parts, each length-prefixed so that no two lists of parts collide."""
    name = "".join(f"{len(text)}:{text}" for text in map(str, parts))
    return uuid.uuid5(_NAMESPACE, name)


def item_id_of(bucket: str, key: str, incarnation: int = 0) -> uuid.UUID:
    """The item that a key in a bucket is. All versions of the key belong to it, until it is erased: what is uploaded
    under the key after that is its next incarnation. A frame is the item of its own key."""
    return deterministic_id("item", bucket, key, *([incarnation] if incarnation else []))


class NewEvent(BaseModel):
    """An event to append. Times are aware UTC datetimes; figures are what the outcome cost.

    `job_id` is the job that it is of, in whose stream it is then; `item_id` is that of the job's video.

    `expected_version` is the stream's version that the command was decided on (0: the stream doesn't exist yet); None
    appends at the head. Within one append it counts the events before it. `correlation_id` is the event that began the
    story (an upload's own id), `causation_id` the event that led to this one. `target_reason` is a word for why it was
    computed on `target`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    event_id: uuid.UUID
    stream_id: str
    payload: Payload
    occurred_at: AwareDatetime
    user_id: UserId
    item_id: uuid.UUID | None = None
    job_id: uuid.UUID | None = None
    expected_version: int | None = None
    step: str | None = None
    recipe: str | None = None
    generation: int | None = None
    target: str | None = None
    target_reason: str | None = None
    run_id: str | None = None
    attempt_id: str | None = None
    milliseconds: int = Field(default=0, ge=0)
    memory_mb: int = Field(default=0, ge=0)
    tokens_in: int = Field(default=0, ge=0)
    tokens_out: int = Field(default=0, ge=0)
    micro_dollars: int = Field(default=0, ge=0)
    correlation_id: uuid.UUID | None = None
    causation_id: uuid.UUID | None = None


class Event(NewEvent):
    """An event as the log holds it. `position` counts from 1 without gaps, in commit order.

    `type` and `schema_version` are as written; `payload` is upcast to today's version. `payload_sha256` and `hash` are 32
    bytes each (chain.py).
    """

    position: int
    version: int
    type: str
    schema_version: int
    recorded_at: datetime
    payload_sha256: bytes
    hash: bytes


class Trace(BaseModel):
    """Where an event belongs in a story: what began it, and what led to it."""

    model_config = ConfigDict(frozen=True)

    correlation_id: uuid.UUID | None = None
    causation_id: uuid.UUID | None = None


NO_TRACE = Trace()


class StepRef(BaseModel):
    """Which computation an outcome belongs to: a result is keyed by exactly these. `job_id` if it is a job's, of that item."""

    model_config = ConfigDict(frozen=True)

    item_id: uuid.UUID
    job_id: uuid.UUID | None = None
    user_id: str
    version_id: str
    step: str
    recipe: str
    generation: int
    trace: Trace = NO_TRACE


class Execution(BaseModel):
    """Where an outcome was computed and why there, in which attempt, and what that cost."""

    model_config = ConfigDict(frozen=True)

    target: str
    target_reason: str | None = None
    run_id: str | None = None
    attempt_id: str | None = None
    milliseconds: int = 0
    memory_mb: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    micro_dollars: int = 0

    def free(self) -> Execution:
        """The same place and attempt at no cost, for what is told beside the event that carries the bill."""
        return Execution(target=self.target, target_reason=self.target_reason, run_id=self.run_id, attempt_id=self.attempt_id)


def item_stream(item_id: uuid.UUID) -> str:
    return f"item-{item_id}"


def job_stream(job_id: uuid.UUID) -> str:
    return f"job-{job_id}"


def account_stream(user_id: str) -> str:
    return f"account-{user_id}"


def upload_received(
    payload: UploadReceived, *, user_id: str, occurred_at: datetime, item_id: uuid.UUID | None = None
) -> NewEvent:
    """A version of a key is one fact, however often and in whichever order its notification comes.

    The version id and not the etag: uploading A, B, A repeats the etag, and multipart etags differ for equal bytes.
    `item_id` is the key's first item unless that was erased (incarnations.py).
    """
    item_id = item_id or item_id_of(payload.bucket, payload.key)
    event_id = upload_event_id(payload.bucket, payload.key, payload.version_id)
    return NewEvent(
        event_id=event_id,
        stream_id=item_stream(item_id),
        payload=payload,
        occurred_at=occurred_at,
        user_id=user_id,
        item_id=item_id,
        correlation_id=event_id,
    )


def upload_event_id(bucket: str, key: str, version_id: str) -> uuid.UUID:
    """The id of the event that tells of an object version, and so the correlation id of whatever it leads to."""
    return deterministic_id(UploadReceived.type, bucket, key, version_id)


def frame_received(extracted: NewEvent, frame: Frame, *, bucket: str, version_id: str, etag: str, hour: datetime) -> NewEvent:
    """One of the frames that `extracted` (FramesExtracted) tells of becomes an item. `version_id` and `etag` are of its object
    in S3, whose event has an id as an upload's, so that an object version leads to its event whatever it is.

    Raises TypeError for an event of another type.
    """
    told = extracted.payload
    if not isinstance(told, FramesExtracted) or extracted.item_id is None:
        raise TypeError(f"{told.type} tells of no frames")
    payload = FrameReceived(
        bucket=bucket,
        version_id=version_id,
        etag=etag,
        hour=hour,
        format="jpeg",
        content_type="image/jpeg",
        parent_item_id=extracted.item_id,
        parent_version_id=told.version_id,
        parent_generation=extracted.generation or 0,
        **frame.model_dump(include={"key", "size_bytes", "width", "height", "timecode_ms", "is_poster"}),
    )
    return NewEvent(
        event_id=upload_event_id(bucket, frame.key, version_id),
        stream_id=item_stream(frame.item_id),
        payload=payload,
        occurred_at=extracted.occurred_at,
        user_id=extracted.user_id,
        item_id=frame.item_id,
        run_id=extracted.run_id,
        correlation_id=extracted.correlation_id,
        causation_id=extracted.event_id,
    )


def upload_removed(
    item_id: uuid.UUID,
    version_id: str,
    *,
    user_id: str,
    occurred_at: datetime,
    trace: Trace = NO_TRACE,
    step: str | None = None,
    execution: Execution | None = None,
) -> NewEvent:
    """`step` is the one that found it gone, if one did, and `execution` what that cost."""
    return NewEvent(
        event_id=deterministic_id(UploadRemoved.type, item_id, version_id),
        stream_id=item_stream(item_id),
        payload=UploadRemoved(version_id=version_id),
        occurred_at=occurred_at,
        user_id=user_id,
        item_id=item_id,
        step=step,
        **(execution.model_dump() if execution else {}),
        **trace.model_dump(),
    )


def step_succeeded(ref: StepRef, payload: Payload, *, execution: Execution, occurred_at: datetime) -> NewEvent:
    """A conclusive outcome (a result, or a rejection): one per item or job, version, step, recipe and generation."""
    return _outcome(ref, payload, ("outcome",), execution, occurred_at)


def step_failed(ref: StepRef, payload: StepFailed, *, execution: Execution, occurred_at: datetime) -> NewEvent:
    """A failed attempt: one per attempt id, so a retried append doesn't count twice and two attempts do.

    Raises ValueError for an execution without an attempt id.
    """
    if execution.attempt_id is None:
        raise ValueError(f"a failure of {ref.step} for item {ref.item_id} needs the id of its attempt")
    return _outcome(ref, payload, (payload.type, execution.attempt_id), execution, occurred_at)


def step_abandoned(ref: StepRef, payload: StepAbandoned, *, execution: Execution, occurred_at: datetime) -> NewEvent:
    return _outcome(ref, payload, (payload.type,), execution, occurred_at)


def reprocess_requested(
    item_id: uuid.UUID,
    step: str,
    generation: int,
    *,
    reason: str,
    user_id: str,
    occurred_at: datetime,
    trace: Trace = NO_TRACE,
) -> NewEvent:
    """Two people asking for the same generation at once ask for one recomputation."""
    return NewEvent(
        event_id=deterministic_id(ReprocessRequested.type, item_id, step, generation),
        stream_id=item_stream(item_id),
        payload=ReprocessRequested(reason=reason),
        occurred_at=occurred_at,
        user_id=user_id,
        item_id=item_id,
        step=step,
        generation=generation,
        **trace.model_dump(),
    )


def item_erased(
    item_id: uuid.UUID,
    *,
    reason: str,
    user_id: str,
    occurred_at: datetime,
    job_id: uuid.UUID | None = None,
    trace: Trace = NO_TRACE,
) -> NewEvent:
    """An item, or a job of the item, is erased once. Only the eraser's role may append it (erasure.py)."""
    return NewEvent(
        event_id=deterministic_id(ItemErased.type, job_id or item_id),
        stream_id=job_stream(job_id) if job_id else item_stream(item_id),
        payload=ItemErased(reason=reason),
        occurred_at=occurred_at,
        user_id=user_id,
        item_id=item_id,
        job_id=job_id,
        **trace.model_dump(),
    )


def spending_changed(
    user_id: str, payload: SpendingStopped | SpendingResumed, *, account_version: int, occurred_at: datetime
) -> NewEvent:
    """A stop or its end, decided on the account stream's `account_version`: two that decide at once decide once."""
    return NewEvent(
        event_id=deterministic_id(payload.type, user_id, account_version),
        stream_id=account_stream(user_id),
        payload=payload,
        occurred_at=occurred_at,
        user_id=user_id,
        expected_version=account_version,
    )


def _outcome(
    ref: StepRef, payload: Payload, identity: tuple[str, ...], execution: Execution, occurred_at: datetime
) -> NewEvent:
    of_job = [ref.job_id] if ref.job_id else []
    return NewEvent(
        event_id=deterministic_id(*identity, ref.item_id, ref.version_id, ref.step, ref.recipe, ref.generation, *of_job),
        stream_id=job_stream(ref.job_id) if ref.job_id else item_stream(ref.item_id),
        payload=payload,
        occurred_at=occurred_at,
        user_id=ref.user_id,
        item_id=ref.item_id,
        job_id=ref.job_id,
        step=ref.step,
        recipe=ref.recipe,
        generation=ref.generation,
        **execution.model_dump(),
        **ref.trace.model_dump(),
    )


def hour_of(moment: datetime) -> datetime:
    """The UTC hour a moment lies in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
