"""Measures a video: its structure first, then what FFmpeg says of its tracks, held against the limits."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lambdas.probe.containers import check_structure, encrypted
from lambdas.probe.demuxer import demux
from lambdas.probe.source import SourceFile
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from lambdas.runtime.storage import require_bytes
from lambdas.runtime.video.formats import VideoFormat

MOST_SECONDS = 45
"""For one video, of the function's 60."""
MAX_FRAME_RATE = 1000
_FETCH_BYTES = 4 * 1024 * 1024
_KEPT_BYTES = 32 * 1024 * 1024
_AGAIN_BYTES = 64 * 1024 * 1024
"""Beyond the file's size: what a demuxer reads twice after it had been dropped."""
_PQ, _HLG = 16, 18
"""Transfer characteristics of ITU-T H.273: SMPTE ST 2084 and ARIB STD-B67."""


class VideoLimits(BaseModel):
    """What is accepted. Pixels are of one frame."""

    model_config = ConfigDict(frozen=True)

    max_video_bytes: int = Field(gt=0)
    max_video_pixels: int = Field(gt=0)
    max_video_seconds: float = Field(gt=0)
    max_video_frames: int = Field(gt=0)


def measure_video(
    fetch: Callable[[int, int], bytes], format: VideoFormat, size_bytes: int, limits: VideoLimits, seconds: float = MOST_SECONDS
) -> dict[str, Any]:
    """Probe's result for a video of `size_bytes`, whose bytes are `fetch(start, length)`, within `seconds`.

    Raises StepError: TOO_MANY_BYTES, TRUNCATED, CORRUPT, UNSAFE, UNSUPPORTED_FORMAT (no video in it, encrypted, a codec that
    can't be decoded), TOO_MANY_PIXELS, TOO_MANY_FRAMES, TOO_LONG, and TIMEOUT or CRASHED, which may be nobody's fault.
    """
    require_bytes(size_bytes, limits.max_video_bytes)
    file = SourceFile(fetch, size_bytes, max_fetched=size_bytes + _AGAIN_BYTES, max_fetch=_FETCH_BYTES, max_kept=_KEPT_BYTES)
    structure = check_structure(file, format, size_bytes, limits.max_video_frames)
    scan = structure.fragmented and structure.fragments_seconds is None
    facts = demux(file, format, size_bytes, scan=scan, seconds=seconds)
    if structure.fragments_seconds is not None:
        facts["seconds"] = structure.fragments_seconds
    return describe_video(facts, format, limits)


def describe_video(facts: dict[str, Any], format: VideoFormat, limits: VideoLimits) -> dict[str, Any]:
    """Probe's result, from what demuxing.describe found. Raises StepError as `measure_video` does."""
    tracks = facts["tracks"]
    videos = [track for track in tracks if track["type"] == "video" and not track["picture"]]
    if not videos:
        what = "a sound file" if any(track["type"] == "audio" for track in tracks) else "a file"
        raise StepError(ErrorCode.UNSUPPORTED_FORMAT, f"the {format.value.upper()} file is {what} without a video track")
    video = videos[0]
    if any(track["encrypted"] for track in tracks):
        raise encrypted()
    if video["codec"] is None:
        raise StepError(ErrorCode.UNSUPPORTED_FORMAT, "the video's codec isn't one that can be decoded here")
    width, height = video["width"], video["height"]
    if width < 1 or height < 1 or not video["bits"]:
        raise StepError(
            ErrorCode.CORRUPT, f"the video's {video['codec']} track declares {width} × {height} pixels of no known kind"
        )
    across, down = _pixel_shape(video["aspect"])
    square = _square(width, height, across, down)
    _require_pixels(width, height, limits.max_video_pixels)
    _require_pixels(*square, limits.max_video_pixels)
    seconds = _duration(facts["seconds"], video)
    _require_seconds(seconds, limits.max_video_seconds)
    rate = _rate(video, seconds, limits.max_video_frames)
    rotation = round(video["rotation"] / 90) % 4 * 90 if math.isfinite(video["rotation"]) else 0
    upright = square[::-1] if rotation in (90, 270) else square
    return {
        "kind": "video",
        "format": format.value,
        "content_type": format.content_type,
        "width": width,
        "height": height,
        "orientation": 1,
        "upright_width": upright[0],
        "upright_height": upright[1],
        "exif": {},
        "video": {
            "duration_ms": max(1, round(seconds * 1000)),
            "frame_rate": max(round(rate, 3), 0.001),
            "variable_frame_rate": video.get("variable", False),
            "codec": video["codec"],
            "bit_depth": video["bits"],
            "hdr": video["transfer"] in (_PQ, _HLG),
            "rotation": rotation,
            "sample_aspect_ratio": [across, down],
            "video_tracks": len(videos),
            "audio": [_audio(track) for track in tracks if track["type"] == "audio" and track["decodable"]],
        },
    }


def _duration(whole: float | None, video: dict[str, Any]) -> float:
    """Of the video track, if it has one of its own: a container counts until its last track ends, and a track of sound may
    end later."""
    own = video.get("counted_seconds") or video["seconds"]
    known = [seconds for seconds in (own, whole) if seconds is not None and math.isfinite(seconds) and seconds > 0]
    if not known:
        raise StepError(ErrorCode.CORRUPT, "the video has no duration")
    return known[0] if video.get("counted_seconds") else float(min(known))


def _require_seconds(seconds: float, limit: float) -> None:
    if seconds > limit:
        raise StepError(ErrorCode.TOO_LONG, f"the video takes {seconds:,.1f} seconds; the limit is {limit:,.1f}")


def _rate(video: dict[str, Any], seconds: float, max_frames: int) -> float:
    """Frames a second: as counted, or as the container says."""
    numerator, denominator = video["rate"] or (0, 1)
    counted = video.get("counted_frames") or video["frames"]
    rate = counted / seconds if counted else numerator / denominator
    if rate <= 0:
        raise StepError(ErrorCode.CORRUPT, "the video has no frame rate")
    if rate > MAX_FRAME_RATE:
        raise StepError(
            ErrorCode.TOO_MANY_FRAMES, f"the video has {rate:,.0f} frames a second; the limit is {MAX_FRAME_RATE:,}"
        )
    if rate * seconds > max_frames + 0.5:
        raise StepError(ErrorCode.TOO_MANY_FRAMES, f"the video has {rate * seconds:,.0f} frames; the limit is {max_frames:,}")
    return float(rate)


def _pixel_shape(aspect: list[int] | None) -> tuple[int, int]:
    return (aspect[0], aspect[1]) if aspect and aspect[0] > 0 and aspect[1] > 0 else (1, 1)


def _square(width: int, height: int, across: int, down: int) -> tuple[int, int]:
    """The size in square pixels: the side along which the pixels are longer grows, so that nothing is lost."""
    if across > down:
        return max(1, round(width * across / down)), height
    return width, max(1, round(height * down / across))


def _require_pixels(width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise StepError(
            ErrorCode.TOO_MANY_PIXELS,
            f"the video has {width} × {height} = {width * height:,} pixels a frame; the limit is {limit:,}",
        )


def _audio(track: dict[str, Any]) -> dict[str, Any]:
    language = track["language"] or ""
    known = re.fullmatch(r"[a-z]{2,3}", language) and language != "und"
    return {
        "codec": track["codec"],
        "channels": track["channels"],
        "sample_rate_hz": track["sample_rate_hz"],
        "language": language if known else None,
    }
