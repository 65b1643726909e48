"""The Lambda entry point of probe.

Parameters: `max_bytes` and `max_pixels` of a picture, `max_video_bytes`, `max_video_pixels` (of a frame),
`max_video_seconds` and `max_video_frames` of a video. Result: kind, format, content_type, width, height (pixels, as stored),
orientation (EXIF's, 1–8), upright_width, upright_height; exif and, where the header counts them, frames of a picture;
`video` of a video (see docs/formats.md).
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from lambdas.probe.exif import public_exif
from lambdas.probe.source import SourceFile
from lambdas.probe.video import MOST_SECONDS, VideoLimits, measure_video
from lambdas.runtime.contract import BatchItem
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.images.formats import HEAD_BYTES
from lambdas.runtime.images.header import read_header
from lambdas.runtime.step import StepContext, StepResult
from lambdas.runtime.storage import require_bytes
from lambdas.runtime.video.formats import sniff_video

_SPARE_SECONDS = 5
"""For the batch's other items to be answered for before the function ends."""


class Parameters(VideoLimits):
    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(gt=0)
    max_pixels: int = Field(gt=0)


def probe(item: BatchItem, context: StepContext) -> StepResult:
    """Measure one upload from ranged reads of its header. Raises StepError with the reason for a rejection."""
    limits = context.parameters_as(Parameters)
    require_bytes(item.size_bytes, max(limits.max_bytes, limits.max_video_bytes))

    def fetch(start: int, length: int) -> bytes:
        return context.storage.read_range(item, start, length)

    file = SourceFile(fetch, item.size_bytes)
    if video := sniff_video(file.read(HEAD_BYTES)):
        seconds = min(MOST_SECONDS, context.remaining_milliseconds() / 1000 - _SPARE_SECONDS)
        return StepResult(measure_video(fetch, video, item.size_bytes, limits, seconds))
    require_bytes(item.size_bytes, limits.max_bytes)
    file.seek(0)
    header = read_header(file, item.size_bytes, limits.max_pixels)
    upright_width, upright_height = header.upright_size
    result: dict[str, Any] = {
        "kind": "image",
        "format": header.format.value,
        "content_type": header.format.content_type,
        "width": header.width,
        "height": header.height,
        "orientation": header.orientation,
        "upright_width": upright_width,
        "upright_height": upright_height,
        "exif": public_exif(header.exif),
    }
    if header.frames is not None:
        result["frames"] = header.frames
    return StepResult(result)


handler = lambda_handler("probe", probe)
