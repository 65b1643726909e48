"""probe: what an upload is, from its header bytes alone."""

from __future__ import annotations

from typing import Any

from lambdas.runtime.contract import ItemOutcome
from media_assets.eventlog.catalogue import MediaProbed
from media_assets.settings import Settings
from media_assets.steps.step import Step, Work
from media_assets.steps.video import video_limits


class Probe(Step):
    name = "probe"
    asset = "media_info"
    kinds = ("image", "video")
    upstream = None
    version = 1
    memory_mb = 1024
    timeout_seconds = 60
    description = "What each upload is, measured from its header bytes alone; what can't be vouched for is rejected here."

    def parameters(self, settings: Settings) -> dict[str, Any]:
        return {}

    def limits(self, settings: Settings) -> dict[str, Any]:
        return {"max_bytes": settings.max_upload_bytes, "max_pixels": settings.max_pixels, **video_limits(settings)}

    def payload(self, work: Work, outcome: ItemOutcome) -> MediaProbed:
        result = outcome.result or {}
        return MediaProbed(
            version_id=work.version_id,
            kind=result["kind"],
            format=result["format"],
            content_type=result["content_type"],
            width=result["upright_width"],
            height=result["upright_height"],
            orientation=result["orientation"],
            frames=result.get("frames", 1),
            exif=result.get("exif", {}),
            video=result.get("video"),
        )
