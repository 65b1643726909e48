"""What the function `inspect` is asked and answers: it looks into videos that strangers made, or that were copied from theirs,
for whoever checks or shows results and must not parse such files."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MOST_PICTURES, MOST_PICTURE_PX, MOST_PICTURE_BYTES = 24, 320, 150_000
"""Of one answer, of a side, and of a picture: all of them, as base64, are within the 6 MB that Lambda answers with."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class Source(_Frozen):
    """An uploaded video. `rotation` is the clockwise turn that shows it upright."""

    key: str = Field(min_length=1)
    version_id: str = Field(min_length=1)
    size_bytes: int = Field(ge=0)
    rotation: int = 0


class FrameToFind(_Frozen):
    """A stored picture, and when it is shown, counted from the first one of its video."""

    key: str = Field(min_length=1)
    timecode_ms: int = Field(ge=0)


class InspectionRequest(_Frozen):
    """Keys of segments to look at; a source, whose sound's start is told, and frames to find in it; segments to show (keys)."""

    bucket: str = Field(min_length=1)
    max_bytes: int = Field(gt=0)
    """Of a file that is fetched."""
    max_pixels: int = Field(gt=0)
    """Of a picture that is decoded."""
    segments: tuple[str, ...] = ()
    source: Source | None = None
    frames: tuple[FrameToFind, ...] = ()
    pictures: tuple[str, ...] = Field(default=(), max_length=MOST_PICTURES)
    picture_px: int = Field(default=MOST_PICTURE_PX, gt=0, le=MOST_PICTURE_PX)
    """Of their longer side, at most."""


class SegmentFacts(_Frozen):
    """What is in the file of a segment. Times are as players show it, edit lists included.

    `problem` says why it doesn't decode, None if it does: every packet that its index lists is in the file, the last picture
    decodes, and nine in ten do. `frames` are pictures that decode; `duration_ms` is from the first picture's beginning to the
    last one's end, `longest_frame_ms` how long one of them is shown at most. `audio_offset_ms` is how much later than the
    picture the sound begins, `audio_packet_ms` the length of a packet of it; they are None without sound.
    """

    key: str
    problem: str | None
    frames: int = 0
    duration_ms: float = 0
    longest_frame_ms: float = 0
    begins_with_keyframe: bool = False
    faststart: bool = False
    video_codec: str | None = None
    pixel_format: str | None = None
    audio_codec: str | None = None
    audio_offset_ms: float | None = None
    audio_duration_ms: float | None = None
    audio_packet_ms: float | None = None

    @property
    def decodes(self) -> bool:
        return self.problem is None


class FrameMatch(_Frozen):
    """How much a stored picture differs from its video's at its time, and half a second before and after: the mean difference
    of small grey copies, in levels of 256. None where the video has no picture then, and all three where there is a `problem`
    that forbids to compare."""

    key: str
    problem: str | None
    at: float | None = None
    before: float | None = None
    after: float | None = None


class SegmentPicture(_Frozen):
    """What a segment begins with, upright and in square pixels: a baseline JPEG without metadata, None if nothing decodes."""

    key: str
    jpeg: bytes | None = Field(max_length=MOST_PICTURE_BYTES)


class InspectionAnswer(_Frozen):
    """`left_out` are keys, of segments and of frames, for which the time did not suffice; the source's key, too, if its sound
    was not looked at. Pictures that took too long aren't there. `source_audio_offset_ms` is None for a source without sound."""

    segments: tuple[SegmentFacts, ...] = ()
    source_audio_offset_ms: float | None = None
    frames: tuple[FrameMatch, ...] = ()
    pictures: tuple[SegmentPicture, ...] = Field(default=(), max_length=MOST_PICTURES)
    left_out: tuple[str, ...] = ()
