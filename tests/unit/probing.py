"""Running the probe step on one file, and measuring a video without it."""

from __future__ import annotations

from typing import Any

from lambdas.probe.handler import handler
from lambdas.probe.video import VideoLimits, measure_video
from lambdas.runtime.contract import ItemError, ItemOutcome
from lambdas.runtime.video.formats import sniff_video
from tests.unit.conftest import Bucket, outcomes

VIDEO_LIMITS: dict[str, float] = {
    "max_video_bytes": 2_000_000_000,
    "max_video_pixels": 36_000_000,
    "max_video_seconds": 14_400,
    "max_video_frames": 1_000_000,
}
LIMITS = {"max_bytes": 100_000_000, "max_pixels": 100_000_000, **VIDEO_LIMITS}
FORMATS = ["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic"]
TURNABLE = ["jpeg", "png", "webp", "tiff", "avif", "heic"]


def probe(bucket: Bucket, body: bytes, name: str = "picture", **limits: int) -> ItemOutcome:
    return outcomes(handler, "probe", LIMITS | limits, bucket.put(body, name))[0]


def measured(bucket: Bucket, body: bytes, name: str = "picture") -> dict[str, Any]:
    outcome = probe(bucket, body, name)
    assert outcome.result is not None, outcome.error
    return outcome.result


def rejected(bucket: Bucket, body: bytes, **limits: int) -> ItemError:
    outcome = probe(bucket, body, "picture", **limits)
    assert outcome.error is not None, outcome.result
    assert not outcome.error.retryable
    return outcome.error


class Counted:
    """Fetches from a file, and counts."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.bytes = 0

    def __call__(self, start: int, length: int) -> bytes:
        data = self.body[start : start + length]
        self.bytes += len(data)
        return data


def measure(body: bytes, fetch: Counted | None = None, limits: dict[str, float] | None = None) -> dict[str, Any]:
    """What probe says of a video that is nowhere but here. Raises StepError."""
    format = sniff_video(body[:512])
    assert format is not None
    return measure_video(fetch or Counted(body), format, len(body), VideoLimits(**(VIDEO_LIMITS | (limits or {}))))
