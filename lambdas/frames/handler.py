"""The `frames` step: a poster and a picture of each shot of a video, as JPEG, each under its time."""

from __future__ import annotations

import time
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lambdas.frames.isolation import Extraction
from lambdas.frames.orders import Order
from lambdas.runtime.contract import BatchItem, ErrorCode
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.scratch import scratch_folder
from lambdas.runtime.step import StepContext, StepError, StepResult
from lambdas.runtime.stored_result import compute_once
from lambdas.runtime.video.formats import sniff_video

_SNIFFED_BYTES = 1024
_RESERVED_SECONDS = 5.0
"""Of what is left, for storing the result and for the answer."""


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    per_minute: float = Field(gt=0)
    max_frames: int = Field(ge=1)
    max_side_px: int = Field(ge=16, le=8192)
    quality: int = Field(ge=1, le=95)
    max_video_bytes: int = Field(gt=0)
    max_video_pixels: int = Field(gt=0)
    max_video_seconds: float = Field(gt=0)
    max_video_frames: int = Field(gt=0)


class _Video(BaseModel):
    """What probe found, as far as it is needed here."""

    duration_ms: int = Field(gt=0)
    frame_rate: float = Field(gt=0)
    rotation: int
    sample_aspect_ratio: tuple[int, int]


class _Input(BaseModel):
    video: _Video


def process(item: BatchItem, context: StepContext) -> StepResult:
    """result = {"frames": [{"timecode_ms", "key", "version_id", "etag", "sha256", "size_bytes", "width", "height",
    "is_poster"}], "shots": int}, in the order of their times, which count from the first picture of the video. Exactly one is
    the poster. The pictures are `<output_prefix><timecode_ms, 8 digits>.jpg`; result.json is stored last.

    Raises BadRequest for parameters that no recipe has; StepError UNSUPPORTED_FORMAT or CORRUPT for a file that is no video
    or none of whose pictures can be decoded, TOO_MANY_FRAMES, UNSAFE, TIMEOUT, CRASHED, and what the storage raises.
    """
    parameters = context.parameters_as(_Parameters)
    return compute_once(item, context, lambda: _extract(item, context, parameters))


def _extract(item: BatchItem, context: StepContext, parameters: _Parameters) -> StepResult:
    facts = _Input.model_validate(item.input)
    deadline = time.monotonic() + context.remaining_milliseconds() / 1000 - _RESERVED_SECONDS
    frames, outputs = [], []
    with scratch_folder() as folder:
        source = folder / "source"
        context.storage.download(item, source, parameters.max_video_bytes)
        with source.open("rb") as file:
            order = _order(file.read(_SNIFFED_BYTES), facts, parameters)
            extraction = Extraction(file.fileno(), order, deadline, context.progress)
            for picture in extraction.pictures():
                key = f"{item.output_prefix}{picture.timecode_ms:08d}.jpg"
                size = {"width": picture.width, "height": picture.height}
                output = context.storage.write(item.bucket, key, picture.jpeg, "image/jpeg", size, identified=True)
                outputs.append(output)
                proof = {"key": key, "sha256": output.sha256, "size_bytes": output.size_bytes, **output.attributes}
                frames.append({"timecode_ms": picture.timecode_ms, **proof})
    frames.sort(key=lambda frame: int(frame["timecode_ms"]))
    for frame in frames:
        frame["is_poster"] = frame["timecode_ms"] == extraction.poster_ms
    result: dict[str, Any] = {"frames": frames, "shots": extraction.shots}
    return StepResult(result, tuple(outputs))


def _order(head: bytes, facts: _Input, parameters: _Parameters) -> Order:
    format = sniff_video(head)
    if format is None:
        raise StepError(ErrorCode.UNSUPPORTED_FORMAT, "the file is no video of an accepted format")
    video = facts.video
    return Order(
        demuxer=format.demuxer,
        sample_aspect_ratio=video.sample_aspect_ratio,
        rotation=video.rotation,
        duration_ms=video.duration_ms,
        frame_rate=video.frame_rate,
        max_pictures=_max_pictures(video.duration_ms, parameters),
        max_side_px=parameters.max_side_px,
        quality=parameters.quality,
        max_pixels=parameters.max_video_pixels,
        max_frames=parameters.max_video_frames,
    )


def _max_pictures(duration_ms: int, parameters: _Parameters) -> int:
    return max(1, min(parameters.max_frames, int(parameters.per_minute * duration_ms / 60_000)))


handler = lambda_handler("frames", process)
