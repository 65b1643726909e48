"""A contact sheet: small pictures of what a materialization made, on one image that the Dagster UI shows.

The UI strips `data:` URIs, so the sheet is an object with an address that browsers reach. Its name is random and says
nothing; its items are recorded, so that erasing an item can remove the sheets that show it.
"""

from __future__ import annotations

import io
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from dagster import MetadataValue
from PIL import Image
from sqlalchemy import Connection, Engine, text

from media_assets.defs.boxes import Box, with_boxes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_GAP_PX = 8
_BACKGROUND = (245, 245, 244)


@dataclass(frozen=True)
class Style:
    """How a sheet looks. All are as wide as the UI's table on a 1280 px screen. `folder` is where they are kept."""

    folder: str
    cell_px: int
    columns: int
    most_pictures: int
    shows_detections: bool = False


PICTURES = Style("previews/pictures/", cell_px=136, columns=4, most_pictures=24)
BOXES = Style("previews/boxes/", cell_px=280, columns=2, most_pictures=12, shows_detections=True)
"""Pictures with what was detected on them, large enough for its labels."""


def contact_sheet(
    s3: S3Client,
    engine: Engine,
    bucket: str,
    base_url: str,
    item_ids: Sequence[uuid.UUID],
    hour: datetime,
    *,
    style: Style = PICTURES,
) -> MetadataValue | None:
    """A sheet of the items' thumbnails, or of the hour's newest if there are no items; None without thumbnails, or if S3 can't
    be reached: a run in an outage has to get as far as the step whose target is down, for its breaker to open.

    Composed, stored and recorded; the assets of one run that show the same pictures share a sheet.
    """
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT item_id, width, height, key, changed_at FROM (
                    SELECT DISTINCT ON (i.item_id) i.item_id, i.width, i.height, t.key, t.created_at,
                           CASE WHEN :detections THEN d.finished_at ELSE t.created_at END AS changed_at
                    FROM items i JOIN thumbnails t USING (item_id, version_id)
                    CROSS JOIN LATERAL (
                        SELECT max(finished_at) AS finished_at FROM step_results r
                        WHERE r.item_id = i.item_id AND r.version_id = i.version_id AND r.step = 'detect' AND r.outcome = 'done'
                    ) d
                    WHERE (i.item_id = ANY(:ids) OR (cardinality(CAST(:ids AS uuid[])) = 0 AND i.hour = :hour))
                      AND (NOT :detections OR d.finished_at IS NOT NULL)
                    ORDER BY i.item_id, t.size < :cell, abs(t.size - :cell)
                ) t ORDER BY created_at DESC, item_id LIMIT :most
            """),
            {
                "ids": list(item_ids),
                "hour": hour,
                "most": style.most_pictures,
                "detections": style.shows_detections,
                "cell": style.cell_px,
            },
        ).all()
        shared = connection.execute(
            text("""
                SELECT key FROM contact_sheets
                WHERE item_ids = :ids AND starts_with(key, :folder)
                  AND created_at > greatest(:newest, now() - interval '1 hour') LIMIT 1
            """),
            {
                "ids": [row.item_id for row in rows],
                "folder": style.folder,
                "newest": max((row.changed_at for row in rows), default=None),
            },
        ).scalar()
        boxes = _boxes(connection, [row.item_id for row in rows]) if style.shows_detections and shared is None else {}
    if shared is not None:
        return _shown_at(base_url, shared)
    shown: dict[uuid.UUID, Image.Image] = {}
    for row in rows:
        try:
            body = s3.get_object(Bucket=bucket, Key=row.key)["Body"].read()
            picture = Image.open(io.BytesIO(body), formats=["WEBP"])
            picture.load()
        except (ClientError, OSError):
            continue  # one that is gone or broken is left out; the check on thumbnails tells
        except BotoCoreError:
            return None
        picture.thumbnail((style.cell_px, style.cell_px))
        found = boxes.get(row.item_id)
        shown[row.item_id] = with_boxes(picture, found, row.width, row.height) if found else picture
    if not shown:
        return None
    buffer = io.BytesIO()
    compose(list(shown.values()), style).save(buffer, "JPEG", quality=85)
    key = f"{style.folder}{uuid.uuid4()}.jpg"
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO contact_sheets (key, item_ids) VALUES (:key, :ids)"), {"key": key, "ids": list(shown)}
        )
    s3.put_object(Bucket=bucket, Key=key, Body=buffer.getvalue(), ContentType="image/jpeg")
    return _shown_at(base_url, key)


def _boxes(connection: Connection, item_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Box]]:
    """What was detected on the items' pictures, most confident first."""
    rows = connection.execute(
        text("""
            SELECT d.item_id, d.label, d.confidence, d.x, d.y, d.width, d.height
            FROM items i JOIN detections d USING (item_id, version_id) WHERE i.item_id = ANY(:ids)
            ORDER BY d.item_id, d.ordinal
        """),
        {"ids": list(item_ids)},
    )
    found: dict[uuid.UUID, list[Box]] = defaultdict(list)
    for item_id, *box in rows:
        found[item_id].append(Box(*box))
    return found


def _shown_at(base_url: str, key: str) -> MetadataValue:
    return MetadataValue.md(f"![contact sheet]({base_url.rstrip('/')}/{key})")


def compose(pictures: Sequence[Image.Image], style: Style = PICTURES) -> Image.Image:
    """Pictures on a grid, each fitted into its cell with its aspect ratio kept; RGB."""
    columns = min(style.columns, len(pictures))
    rows = -(-len(pictures) // columns)
    pitch = style.cell_px + _GAP_PX
    sheet = Image.new("RGB", (columns * pitch + _GAP_PX, rows * pitch + _GAP_PX), _BACKGROUND)
    for index, picture in enumerate(pictures):
        cell = picture.convert("RGBA")
        cell.thumbnail((style.cell_px, style.cell_px))
        x = _GAP_PX + index % columns * pitch + (style.cell_px - cell.width) // 2
        y = _GAP_PX + index // columns * pitch + (style.cell_px - cell.height) // 2
        sheet.paste(cell, (x, y), cell)
    return sheet
