"""What is told of jobs: requests to cut one video in a way of their own."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import AwareDatetime, Field

from media_assets.eventlog.payload import Payload


class JobSubmitted(Payload):
    """Somebody asked for segments of a version of a video. `options` say how (steps/segment_plan.py); `hour` is the video's,
    so that the job belongs to the same partition."""

    type: ClassVar[str] = "JobSubmitted"
    version_id: str
    hour: AwareDatetime
    options: dict[str, Any]


class JobStarted(Payload):
    """An attempt at the job began."""

    type: ClassVar[str] = "JobStarted"
    attempt: int = Field(gt=0)


class JobProgressed(Payload):
    """How much of a step is done. Told now and then, not for every frame."""

    type: ClassVar[str] = "JobProgressed"
    step: str
    percent: int = Field(ge=0, le=100)


class TextVaried(Payload):
    """A chat model wrote texts to lay over the segments, one for each."""

    type: ClassVar[str] = "TextVaried"
    version_id: str
    model: str
    texts: tuple[str, ...] = Field(min_length=1)


class JobCompleted(Payload):
    """All segments are there."""

    type: ClassVar[str] = "JobCompleted"
    segments: int = Field(gt=0)


class JobFailed(Payload):
    """Nothing comes of the job: `code` is an ErrorCode, `message` a sentence for a person."""

    type: ClassVar[str] = "JobFailed"
    code: str
    message: str


class JobCancelled(Payload):
    """Somebody no longer wants the job done."""

    type: ClassVar[str] = "JobCancelled"
    reason: str
