"""The event catalogue: what can have happened to an item, as frozen payloads, and the envelope they travel in.

Event ids are deterministic (UUIDv5 over what makes the fact the same fact), so that telling the log something twice
changes nothing. What an id is made of is decided here and nowhere else.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    field_validator,
    model_validator,
)

_NAMESPACE = uuid.UUID("6f1c3a52-6a0e-5d0c-9a4b-5a1d0c9b7e11")

_ANALYSIS_FIELDS = {"category": str, "summary": str, "tags": list, "objects": list, "text": list, "dominant_colours": list}

UserId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]


def deterministic_id(*parts: object) -> uuid.UUID:
    """UUIDv5 of the parts, each length-prefixed so that no two lists of parts collide."""
    name = "".join(f"{len(text)}:{text}" for text in map(str, parts))
    return uuid.uuid5(_NAMESPACE, name)


def item_id_of(bucket: str, key: str) -> uuid.UUID:
    """The item that a key in a bucket is. All versions of the key belong to it."""
    return deterministic_id("item", bucket, key)


class Payload(BaseModel):
    """What an event says beyond its clear columns. `schema_version` rises when a field changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    type: ClassVar[str]
    schema_version: ClassVar[int] = 1


class UploadReceived(Payload):
    """An object version arrived in the bucket.

    `sequencer` orders the versions of one key: compared as text after padding the shorter with zeros on the right (Amazon
    S3 User Guide, "Event message structure"). `hour` is the UTC hour of arrival, the partition the item belongs to.
    """

    type: ClassVar[str] = "UploadReceived"
    bucket: str
    key: str
    version_id: str
    etag: str
    size_bytes: int = Field(ge=0)
    sequencer: str
    hour: AwareDatetime


class MediaProbed(Payload):
    """The header was measured. Pixels are as shown upright; `orientation` is EXIF's 1–8 of the stored pixels."""

    type: ClassVar[str] = "MediaProbed"
    version_id: str
    kind: Literal["image"]
    format: str
    content_type: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    orientation: int = Field(ge=1, le=8)
    frames: int = Field(default=1, ge=1)
    exif: dict[str, Any] = {}


class UploadRejected(Payload):
    """The content can't be processed, now or ever. `code` is a rejecting ErrorCode, `message` a sentence for a person."""

    type: ClassVar[str] = "UploadRejected"
    version_id: str
    code: str
    message: str


class UploadRemoved(Payload):
    """The object version is no longer in the bucket."""

    type: ClassVar[str] = "UploadRemoved"
    version_id: str


class Thumbnail(BaseModel):
    """One derived picture: `size` is the requested long side in pixels, `width` and `height` what it has."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int = Field(gt=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    key: str
    sha256: str
    size_bytes: int = Field(gt=0)
    content_type: str


class ThumbnailCreated(Payload):
    """Every size exists. `placeholder` is a base64 ThumbHash."""

    type: ClassVar[str] = "ThumbnailCreated"
    version_id: str
    placeholder: str
    thumbnails: tuple[Thumbnail, ...] = Field(min_length=1)


class AnalysisCompleted(Payload):
    """What a model saw. `analysis` follows the schema in lambdas/analyze/schema.py; the event's id is the analysis id."""

    type: ClassVar[str] = "AnalysisCompleted"
    version_id: str
    provider: str
    model: str
    analysis: dict[str, Any]

    @field_validator("analysis")
    @classmethod
    def _has_what_the_read_model_shows(cls, analysis: dict[str, Any]) -> dict[str, Any]:
        wrong = [name for name, kind in _ANALYSIS_FIELDS.items() if not isinstance(analysis.get(name), kind)]
        if wrong:
            raise ValueError(f"an analysis needs {', '.join(_ANALYSIS_FIELDS)}; missing or of another type: {', '.join(wrong)}")
        return analysis


class EmbeddingStored(Payload):
    """A vector of the analysis: `dimensions` float32 values, L2-normalised, each in its shortest decimal form."""

    type: ClassVar[str] = "EmbeddingStored"
    version_id: str
    analysis_id: uuid.UUID
    model: str
    dimensions: int = Field(gt=0)
    vector: tuple[FiniteFloat, ...]

    @model_validator(mode="after")
    def _has_its_dimensions(self) -> EmbeddingStored:
        if len(self.vector) != self.dimensions:
            raise ValueError(f"a vector of {len(self.vector)} values has not {self.dimensions} dimensions")
        return self


class StepFailed(Payload):
    """An attempt failed for a reason of this file's own. `retry_at` is when the next one is due; None when there is none."""

    type: ClassVar[str] = "StepFailed"
    version_id: str
    attempt_id: str
    code: str
    message: str
    retry_at: AwareDatetime | None


class StepAbandoned(Payload):
    """No further attempt is made: the step is dead for this item until somebody asks for it again."""

    type: ClassVar[str] = "StepAbandoned"
    version_id: str
    code: str
    message: str
    failures: int = Field(gt=0)


class ReprocessRequested(Payload):
    """Somebody asked for a step's result to be computed anew: results of a lower generation no longer satisfy it."""

    type: ClassVar[str] = "ReprocessRequested"
    reason: str


CATALOGUE: dict[str, type[Payload]] = {
    payload.type: payload
    for payload in (
        UploadReceived,
        MediaProbed,
        UploadRejected,
        UploadRemoved,
        ThumbnailCreated,
        AnalysisCompleted,
        EmbeddingStored,
        StepFailed,
        StepAbandoned,
        ReprocessRequested,
    )
}


class NewEvent(BaseModel):
    """An event to append. Times are aware UTC datetimes; figures are what the outcome cost.

    `expected_version` is the stream's version that the command was decided on (0: the stream doesn't exist yet); None
    appends at the head. Within one append it counts the events before it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    event_id: uuid.UUID
    stream_id: str
    payload: Payload
    occurred_at: AwareDatetime
    user_id: UserId
    item_id: uuid.UUID
    expected_version: int | None = None
    step: str | None = None
    recipe: str | None = None
    generation: int | None = None
    target: str | None = None
    run_id: str | None = None
    milliseconds: int = 0
    memory_mb: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class Event(NewEvent):
    """An event as the log holds it. `position` counts from 1 without gaps, in commit order."""

    position: int
    version: int
    type: str
    schema_version: int
    recorded_at: datetime


class StepRef(BaseModel):
    """Which computation an outcome belongs to: a result is keyed by exactly these."""

    model_config = ConfigDict(frozen=True)

    item_id: uuid.UUID
    user_id: str
    version_id: str
    step: str
    recipe: str
    generation: int


class Cost(BaseModel):
    """What an outcome cost and where it ran."""

    model_config = ConfigDict(frozen=True)

    target: str
    run_id: str | None = None
    milliseconds: int = 0
    memory_mb: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


def item_stream(item_id: uuid.UUID) -> str:
    return f"item-{item_id}"


def upload_received(payload: UploadReceived, *, user_id: str, occurred_at: datetime) -> NewEvent:
    """A version of a key is one fact, however often and in whichever order its notification comes.

    The version id and not the etag: uploading A, B, A repeats the etag, and multipart etags differ for equal bytes.
    """
    item_id = item_id_of(payload.bucket, payload.key)
    return NewEvent(
        event_id=deterministic_id(payload.type, payload.bucket, payload.key, payload.version_id),
        stream_id=item_stream(item_id),
        payload=payload,
        occurred_at=occurred_at,
        user_id=user_id,
        item_id=item_id,
    )


def upload_removed(item_id: uuid.UUID, version_id: str, *, user_id: str, occurred_at: datetime) -> NewEvent:
    return NewEvent(
        event_id=deterministic_id(UploadRemoved.type, item_id, version_id),
        stream_id=item_stream(item_id),
        payload=UploadRemoved(version_id=version_id),
        occurred_at=occurred_at,
        user_id=user_id,
        item_id=item_id,
    )


def step_succeeded(ref: StepRef, payload: Payload, *, cost: Cost, occurred_at: datetime) -> NewEvent:
    """A conclusive outcome (a result, or a rejection): one per item, version, step, recipe and generation."""
    return _outcome(ref, payload, ("outcome",), cost, occurred_at)


def step_failed(ref: StepRef, payload: StepFailed, *, cost: Cost, occurred_at: datetime) -> NewEvent:
    """A failed attempt: one per attempt id, so a retried append doesn't count twice and two attempts do."""
    return _outcome(ref, payload, (payload.type, payload.attempt_id), cost, occurred_at)


def step_abandoned(ref: StepRef, payload: StepAbandoned, *, cost: Cost, occurred_at: datetime) -> NewEvent:
    return _outcome(ref, payload, (payload.type,), cost, occurred_at)


def reprocess_requested(
    item_id: uuid.UUID, step: str, generation: int, *, reason: str, user_id: str, occurred_at: datetime
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
    )


def _outcome(ref: StepRef, payload: Payload, identity: tuple[str, ...], cost: Cost, occurred_at: datetime) -> NewEvent:
    return NewEvent(
        event_id=deterministic_id(*identity, ref.item_id, ref.version_id, ref.step, ref.recipe, ref.generation),
        stream_id=item_stream(ref.item_id),
        payload=payload,
        occurred_at=occurred_at,
        user_id=ref.user_id,
        item_id=ref.item_id,
        step=ref.step,
        recipe=ref.recipe,
        generation=ref.generation,
        **cost.model_dump(),
    )


def hour_of(moment: datetime) -> datetime:
    """The UTC hour a moment lies in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
