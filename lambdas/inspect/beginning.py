"""What segments begin with, small: `python -m lambdas.inspect.beginning ORDER SECONDS PARENT < segments`.

A process of its own (lambdas/runtime/video/isolation.py), for segments of one video: their files follow each other on stdin,
each cut off anywhere behind its first picture. It says {"width", "height", "rotation"} of each, how far clockwise it is to be
turned being the last, and after that line the pixels, row by row in RGB: who takes them has nothing to parse. Of one that has
no picture it says {"problem"}.
"""

from __future__ import annotations

import io
import json
from fractions import Fraction
from typing import IO

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream

from lambdas.inspect.decoding import frames_of, packets_of, pixels_of
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from lambdas.runtime.video.container import open_video
from lambdas.runtime.video.isolation import answer_isolated, say

_MEMORY_BYTES = 900_000_000
"""A frame of 36 million pixels takes 54 MB. There are two such processes at a time in a function of 2 GB."""
_DEMUXER = "mov"
_UNSAID = 2
"""Matrix coefficients of ITU-T H.273."""


def begin(file: IO[bytes], order: str) -> None:
    """The order says how many bytes each file has."""
    asked = json.loads(order)
    for length in asked["lengths"]:
        try:
            picture, rotation = _beginning(io.BytesIO(file.read(length)), asked["max_pixels"], asked["side_px"])
        except StepError as error:
            say({"problem": error.message})
        else:
            say({"width": picture.width, "height": picture.height, "rotation": rotation}, pixels_of(picture, 3))


def _beginning(file: IO[bytes], max_pixels: int, side_px: int) -> tuple[VideoFrame, int]:
    """The picture in RGB, as it is stored, and its rotation. Raises StepError as open_video does, and CORRUPT without any."""
    container, video = open_video(file, _DEMUXER, max_pixels)
    with container:
        video.codec_context.thread_count = 1  # more would wait for pictures that nobody wants
        frame = _first(container, video)
        if frame is None:
            raise StepError(ErrorCode.CORRUPT, "it has no picture that decodes")
        small = frame.reformat(
            *_size(frame, video.sample_aspect_ratio or Fraction(1), side_px),
            "rgb24",
            src_colorspace=_matrix(frame),
            interpolation=Interpolation.AREA,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        return small, round(-frame.rotation / 90) % 4 * 90


def _first(container: InputContainer, video: VideoStream) -> VideoFrame | None:
    """The first picture of the segment. What refers to pictures before its first keyframe was shown in the segment before."""
    first_key: int | None = None
    for _, packet in packets_of(container, [video]):
        if first_key is None and packet is not None and packet.is_keyframe:
            first_key = packet.pts
        for frame in frames_of(video, packet):
            if not frame.is_corrupt and frame.pts is not None and first_key is not None and frame.pts >= first_key:
                return frame  # type: ignore[no-any-return]
    return None


def _size(frame: VideoFrame, aspect: Fraction, side_px: int) -> tuple[int, int]:
    """In square pixels, as it is stored; never enlarged."""
    wide, high = frame.width * max(1.0, float(aspect)), frame.height / min(1.0, float(aspect))
    scale = min(1.0, side_px / max(wide, high))
    return max(1, round(wide * scale)), max(1, round(high * scale))


def _matrix(frame: VideoFrame) -> Colorspace | None:
    """Of a large picture that doesn't say, what players take it for."""
    return Colorspace.ITU709 if frame.colorspace == _UNSAID and frame.height > 576 else None


if __name__ == "__main__":
    answer_isolated(begin, _MEMORY_BYTES)
