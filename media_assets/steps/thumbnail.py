"""thumbnail: WebP pictures at several sizes and a placeholder."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection, text

from lambdas.runtime.contract import ItemOutcome
from media_assets.eventlog.catalogue import Thumbnail, ThumbnailCreated
from media_assets.settings import Settings
from media_assets.steps.step import Step, Work


class MakeThumbnails(Step):
    name = "thumbnail"
    asset = "thumbnails"
    kinds = ("image", "frame")
    upstream = "probe"
    also_after = ("frames",)
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


def picture_facts(
    connection: Connection, works: Sequence[Work], *columns: Literal["width", "height", "exif"]
) -> dict[uuid.UUID, dict[str, Any]]:
    """By item, for the steps that look at a thumbnail: what was measured of the original, and each size's key."""
    rows = connection.execute(
        text(f"""
            SELECT i.item_id, {", ".join(f"i.{column}" for column in columns)}, jsonb_object_agg(t.size, t.key) AS thumbnails
            FROM items i JOIN thumbnails t USING (item_id, version_id)
            WHERE i.item_id = ANY(:ids) GROUP BY i.item_id
        """),
        {"ids": [work.item_id for work in works]},
    )
    return {row.pop("item_id"): row for row in map(dict, rows.mappings())}
