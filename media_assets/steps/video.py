"""What the steps that work on a video are told of it."""

from __future__ import annotations

from typing import Any

from media_assets.settings import Settings
from media_assets.steps.step import Work


def video_facts(work: Work) -> dict[str, Any]:
    """What the probe learned: `video` (catalogue.VideoInfo), and `width` and `height` as it is shown."""
    return {"video": dict(work.video or {}), "width": work.width, "height": work.height}


def video_limits(settings: Settings) -> dict[str, Any]:
    """What is refused, as the probe refuses it: a file may be other than its header says."""
    return {
        "max_video_bytes": settings.max_video_bytes,
        "max_video_pixels": settings.max_video_pixels,
        "max_video_seconds": settings.max_video_seconds,
        "max_video_frames": settings.max_video_frames,
    }
