"""frames: a poster and representative pictures of a video, each an item of its own from then on."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from lambdas.runtime.contract import ItemOutcome
from media_assets.eventlog.catalogue import Frame, FramesExtracted
from media_assets.eventlog.events import NewEvent, frame_received, item_id_of
from media_assets.settings import Settings
from media_assets.steps.step import Step, TaskSize, Work
from media_assets.steps.video import video_facts, video_limits

_OF_FRAME = ("timecode_ms", "key", "sha256", "size_bytes", "width", "height", "is_poster")
_SECONDS_A_GIGAPIXEL = 1.6
"""Decoding H.264 on two vCPUs."""
_MOST_GIGAPIXELS = 40
"""Of longer videos only keyframes are decoded (lambdas/frames/survey.py)."""


class ExtractFrames(Step):
    name = "frames"
    asset = "video_frames"
    kinds = ("video",)
    upstream = "probe"
    version = 1
    memory_mb = 3008
    timeout_seconds = 900
    targets = ("ecs", "lambda")
    task = TaskSize(vcpus=Decimal(2), memory_mb=4096, timeout_seconds=3600)
    description = "A poster and a picture of each shot, which take the way of photos: thumbnails, analyses, embeddings."

    def parameters(self, settings: Settings) -> dict[str, Any]:
        return {
            "per_minute": settings.frames_per_minute,
            "max_frames": settings.frames_max,
            "max_side_px": settings.frames_max_side_px,
            "quality": settings.frames_quality,
        }

    def limits(self, settings: Settings) -> dict[str, Any]:
        return video_limits(settings)

    def inputs(self, connection: Connection, works: Sequence[Work], settings: Settings) -> dict[uuid.UUID, dict[str, Any]]:
        return {work.item_id: video_facts(work) for work in works}

    def seconds(self, work: Work, settings: Settings) -> float:
        video = work.video or {}
        frames = video.get("duration_ms", 0) / 1000 * video.get("frame_rate", 0.0)
        return float(min(frames * work.pixels / 1e9, _MOST_GIGAPIXELS) * _SECONDS_A_GIGAPIXEL)

    def payload(self, work: Work, outcome: ItemOutcome) -> FramesExtracted:
        result = outcome.result or {}
        return FramesExtracted(
            version_id=work.version_id,
            shots=result["shots"],
            frames=tuple(
                Frame(item_id=item_id_of(work.bucket, frame["key"]), **{name: frame[name] for name in _OF_FRAME})
                for frame in result["frames"]
            ),
        )

    def consequences(self, work: Work, outcome: ItemOutcome, result: NewEvent) -> list[NewEvent]:
        """A picture received, for each frame."""
        assert isinstance(result.payload, FramesExtracted)
        stored = (outcome.result or {})["frames"]
        return [
            frame_received(result, frame, bucket=work.bucket, version_id=told["version_id"], etag=told["etag"], hour=work.hour)
            for frame, told in zip(result.payload.frames, stored, strict=True)
        ]
