"""Running the frames step on a file, and looking at what it wrote."""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import repeat
from pathlib import Path
from typing import Any

from PIL import Image

from lambdas.frames.handler import handler
from lambdas.runtime.contract import BatchItem, ItemOutcome, Manifest
from tests.unit.conftest import Bucket, LambdaContext, request

PARAMETERS: dict[str, Any] = {
    "per_minute": 60,
    "max_frames": 20,
    "max_side_px": 1920,
    "quality": 90,
    "max_video_bytes": 50_000_000,
    "max_video_pixels": 2_000_000,
    "max_video_seconds": 600,
    "max_video_frames": 10_000,
}
VIDEO: dict[str, Any] = {
    "duration_ms": 3000,
    "frame_rate": 10.0,
    "variable_frame_rate": False,
    "codec": "h264",
    "bit_depth": 8,
    "hdr": False,
    "rotation": 0,
    "sample_aspect_ratio": [1, 1],
    "video_tracks": 1,
    "audio": [],
}


def upload(bucket: Bucket, source: Path | bytes, **video: object) -> BatchItem:
    """An item of the step; `video` says otherwise than VIDEO."""
    item = bucket.put(source if isinstance(source, bytes) else source.read_bytes())
    return item.model_copy(update={"input": {"video": VIDEO | video, "width": 160, "height": 120}})


def outcome_of(item: BatchItem, *, attempt: int = 1, remaining_ms: int = 60_000, **parameters: Any) -> ItemOutcome:
    event: Mapping[str, Any] = {"request": request("frames", PARAMETERS | parameters, item, attempt=attempt)}
    answer = handler(event, LambdaContext(repeat(remaining_ms)))
    (outcome,) = Manifest.model_validate(answer["manifest"]).outcomes
    return outcome


def result_of(item: BatchItem, **parameters: Any) -> dict[str, Any]:
    outcome = outcome_of(item, **parameters)
    assert outcome.result is not None, outcome.error
    return outcome.result


def times_of(result: Mapping[str, Any]) -> list[int]:
    return [frame["timecode_ms"] for frame in result["frames"]]


def picture(bucket: Bucket, frame: Mapping[str, Any]) -> Image.Image:
    """A stored frame, decoded."""
    image = Image.open(io.BytesIO(bucket.get(frame["key"])))
    image.load()
    return image
