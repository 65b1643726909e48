"""The event catalogue: what can have happened, as frozen payloads. Those of videos and of jobs have a module each."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

from media_assets.eventlog.job_payloads import (
    JobCancelled,
    JobCompleted,
    JobFailed,
    JobProgressed,
    JobStarted,
    JobSubmitted,
    TextVaried,
)
from media_assets.eventlog.payload import Payload
from media_assets.eventlog.video_payloads import (
    AudioTrack,
    Frame,
    FrameReceived,
    FramesExtracted,
    Segment,
    VideoInfo,
    VideoSegmented,
)

__all__ = [
    "CATALOGUE",
    "AnalysisCompleted",
    "AudioTrack",
    "Detection",
    "DetectionsCompleted",
    "EmbeddingStored",
    "Frame",
    "FrameReceived",
    "FramesExtracted",
    "ItemErased",
    "JobCancelled",
    "JobCompleted",
    "JobFailed",
    "JobProgressed",
    "JobStarted",
    "JobSubmitted",
    "MediaProbed",
    "Payload",
    "PayloadErased",
    "ReprocessRequested",
    "Segment",
    "SpendingResumed",
    "SpendingStopped",
    "StepAbandoned",
    "StepFailed",
    "TextVaried",
    "Thumbnail",
    "ThumbnailCreated",
    "UploadReceived",
    "UploadRejected",
    "UploadRemoved",
    "VideoInfo",
    "VideoSegmented",
]

_ANALYSIS_FIELDS = {"category": str, "summary": str, "tags": list, "objects": list, "text": list, "dominant_colours": list}


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
    """The header was measured. Pixels are as shown upright; `orientation` is EXIF's 1–8 of the stored pixels.

    A video has `video`, a picture hasn't; `frames` are those of an animated picture.
    """

    type: ClassVar[str] = "MediaProbed"
    schema_version: ClassVar[int] = 2
    version_id: str
    kind: Literal["image", "video"]
    format: str
    content_type: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    orientation: int = Field(ge=1, le=8)
    frames: int = Field(default=1, ge=1)
    exif: dict[str, Any] = Field(default={})
    video: VideoInfo | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_has(self) -> MediaProbed:
        if (self.kind == "video") != (self.video is not None):
            raise ValueError(f"{self.kind} {'with' if self.video else 'without'} what is measured of videos")
        return self


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


_Pixel = Annotated[int, Field(ge=0, lt=2**31)]
_Pixels = Annotated[int, Field(ge=1, lt=2**31)]


class Detection(BaseModel):
    """One object: `bbox` is x, y, width and height in pixels of the upright original."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    label: str = Field(min_length=1)
    confidence: float = Field(ge=0, le=1, allow_inf_nan=False)
    bbox: tuple[_Pixel, _Pixel, _Pixels, _Pixels]


class DetectionsCompleted(Payload):
    """Where a model found which objects, most confident first; none is a result too."""

    type: ClassVar[str] = "DetectionsCompleted"
    version_id: str
    model: str
    detections: tuple[Detection, ...]


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
    schema_version: ClassVar[int] = 2
    version_id: str
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


class ItemErased(Payload):
    """The item's content is gone for good. Nothing follows in its stream: uploading the key again begins another item."""

    type: ClassVar[str] = "ItemErased"
    reason: str


class SpendingStopped(Payload):
    """The user's budget of a day (UTC) doesn't cover another `step`: such work waits. Dollars are millionths."""

    type: ClassVar[str] = "SpendingStopped"
    day: date
    limit_micro_dollars: int = Field(ge=0)
    spent_micro_dollars: int = Field(ge=0)
    step: str


class SpendingResumed(Payload):
    """Work that waited for money goes on: another `day` has begun, or the `budget` allows more."""

    type: ClassVar[str] = "SpendingResumed"
    reason: Literal["day", "budget"]


class PayloadErased(Payload):
    """Stands where an erased payload was. The log keeps the event's clear columns and the payload's digest."""

    type: ClassVar[str] = "PayloadErased"


CATALOGUE: dict[str, type[Payload]] = {
    payload.type: payload
    for payload in (
        UploadReceived,
        MediaProbed,
        UploadRejected,
        UploadRemoved,
        ThumbnailCreated,
        DetectionsCompleted,
        AnalysisCompleted,
        EmbeddingStored,
        StepFailed,
        StepAbandoned,
        ReprocessRequested,
        ItemErased,
        SpendingStopped,
        SpendingResumed,
        FrameReceived,
        FramesExtracted,
        VideoSegmented,
        TextVaried,
        JobSubmitted,
        JobStarted,
        JobProgressed,
        JobCompleted,
        JobFailed,
        JobCancelled,
    )
}
"""Every type that can be appended. A payload that changes in any way gets a higher `schema_version` and a step in
upcast.sql; tests/unit/eventlog/golden holds every version ever written."""
