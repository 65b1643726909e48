"""What is told of videos: their measurements, the frames that were taken from them, the segments they were cut into."""

from __future__ import annotations

import uuid
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PositiveInt, model_validator

from media_assets.eventlog.payload import Payload


class AudioTrack(BaseModel):
    """One track of sound; `language` as the container has it (ISO 639), None if it says nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    codec: str
    channels: int = Field(gt=0)
    sample_rate_hz: int = Field(gt=0)
    language: str | None


class VideoInfo(BaseModel):
    """What the probe learned of a video beyond what all media have.

    `frame_rate` is the average; `rotation` the clockwise turn in degrees that shows the video upright; `sample_aspect_ratio`
    a pixel's width and height; `hdr` whether it is tagged PQ or HLG. Cover art is no video track.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    duration_ms: int = Field(gt=0)
    frame_rate: float = Field(gt=0, allow_inf_nan=False)
    variable_frame_rate: bool
    codec: str
    bit_depth: int = Field(ge=1, le=16)
    hdr: bool
    rotation: Literal[0, 90, 180, 270]
    sample_aspect_ratio: tuple[PositiveInt, PositiveInt]
    video_tracks: int = Field(gt=0)
    audio: tuple[AudioTrack, ...]


class FrameReceived(Payload):
    """A picture that was taken from a video became an item of its own.

    `parent_…` say from which item's version, and in which generation of its `frames` step; `hour` is the video's. Pixels are
    upright and square.
    """

    type: ClassVar[str] = "FrameReceived"
    bucket: str
    key: str
    version_id: str
    etag: str
    size_bytes: int = Field(ge=0)
    hour: AwareDatetime
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    format: Literal["jpeg"]
    content_type: Literal["image/jpeg"]
    parent_item_id: uuid.UUID
    parent_version_id: str
    parent_generation: int = Field(ge=0)
    timecode_ms: int = Field(ge=0)
    is_poster: bool


class Frame(BaseModel):
    """A picture of a video at a time; `item_id` is the item that it becomes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    item_id: uuid.UUID
    timecode_ms: int = Field(ge=0)
    key: str
    sha256: str
    size_bytes: int = Field(gt=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    is_poster: bool


class FramesExtracted(Payload):
    """Pictures that stand for the video, by time, one of them its poster; `shots` is how many shots it was found to have."""

    type: ClassVar[str] = "FramesExtracted"
    version_id: str
    shots: int = Field(gt=0)
    frames: tuple[Frame, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_in_order_and_has_a_poster(self) -> FramesExtracted:
        if any(later.timecode_ms <= frame.timecode_ms for frame, later in pairwise(self.frames)):
            raise ValueError(f"frames are not in the order of their times: {[frame.timecode_ms for frame in self.frames]}")
        if (posters := sum(frame.is_poster for frame in self.frames)) != 1:
            raise ValueError(f"a video has one poster, and {posters} of its frames are")
        return self


class Segment(BaseModel):
    """A part of a video as a file of its own; `text` is what was laid over it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    index: int = Field(ge=0)
    start_ms: int = Field(ge=0)
    end_ms: int = Field(gt=0)
    key: str
    sha256: str
    size_bytes: int = Field(gt=0)
    text: str | None


class VideoSegmented(Payload):
    """The whole video in segments, each beginning where the one before ends; `mode` is what had to be encoded anew."""

    type: ClassVar[str] = "VideoSegmented"
    version_id: str
    mode: Literal["copied", "audio_encoded", "encoded"]
    duration_ms: int = Field(gt=0)
    segments: tuple[Segment, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _covers_the_video(self) -> VideoSegmented:
        if [segment.index for segment in self.segments] != list(range(len(self.segments))):
            raise ValueError(f"segments are not numbered from 0: {[segment.index for segment in self.segments]}")
        starts = [0, *(segment.end_ms for segment in self.segments)]
        ends = [*(segment.start_ms for segment in self.segments), self.duration_ms]
        if starts != ends or any(segment.start_ms >= segment.end_ms for segment in self.segments):
            cuts = [(segment.start_ms, segment.end_ms) for segment in self.segments]
            raise ValueError(f"segments {cuts} don't add up to {self.duration_ms} ms")
        return self
