"""thumbnail: WebP pictures at several sizes and a placeholder."""

from __future__ import annotations

from typing import Any

from lambdas.runtime.contract import ItemOutcome
from media_assets.eventlog.catalogue import Thumbnail, ThumbnailCreated
from media_assets.settings import Settings
from media_assets.steps.step import Step, Work


class MakeThumbnails(Step):
    name = "thumbnail"
    asset = "thumbnails"
    upstream = "probe"
    version = 1
    memory_mb = 2048
    timeout_seconds = 120
    description = "WebP pictures at several sizes, upright, sRGB, without private metadata, and a ThumbHash placeholder."

    def parameters(self, settings: Settings) -> dict[str, Any]:
        return {
            "sizes": list(settings.thumbnail_sizes_px),
            "quality": settings.thumbnail_quality,
            "method": settings.thumbnail_method,
        }

    def limits(self, settings: Settings) -> dict[str, Any]:
        return {"max_bytes": settings.max_upload_bytes, "max_pixels": settings.max_pixels}

    def payload(self, work: Work, outcome: ItemOutcome) -> ThumbnailCreated:
        return ThumbnailCreated(
            version_id=work.version_id,
            placeholder=(outcome.result or {})["placeholder"],
            thumbnails=tuple(
                Thumbnail(
                    size=output.attributes["size"],
                    width=output.attributes["width"],
                    height=output.attributes["height"],
                    key=output.key,
                    sha256=output.sha256,
                    size_bytes=output.size_bytes,
                    content_type=output.content_type,
                )
                for output in outcome.outputs
            ),
        )
