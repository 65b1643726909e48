"""A contact sheet: small pictures of what a materialization made, on one image that the Dagster UI shows.

The UI strips `data:` URIs, so the sheet is an object with an address that browsers reach. Its name is random and says
nothing; its items are recorded, so that erasing an item can remove the sheets that show it.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from dagster import MetadataValue
from PIL import Image
from sqlalchemy import Engine, text

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOST_PICTURES = 24
_CELL_PX = 136
_GAP_PX = 8
_COLUMNS = 4  # four are as wide as the UI's table on a 1280 px screen
_BACKGROUND = (245, 245, 244)


def contact_sheet(
    s3: S3Client, engine: Engine, bucket: str, base_url: str, item_ids: Sequence[uuid.UUID], hour: datetime
) -> MetadataValue | None:
    """A sheet of the items' smallest thumbnails, or of the hour's newest if there are no items; None without thumbnails.

    Composed, stored and recorded; the assets of one run that show the same thumbnails share a sheet.
    """
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT item_id, key, created_at FROM (
                    SELECT DISTINCT ON (i.item_id) i.item_id, t.key, t.created_at
                    FROM items i JOIN thumbnails t USING (item_id, version_id)
                    WHERE i.item_id = ANY(:ids) OR (cardinality(CAST(:ids AS uuid[])) = 0 AND i.hour = :hour)
                    ORDER BY i.item_id, t.size
                ) t ORDER BY created_at DESC, item_id LIMIT :most
            """),
            {"ids": list(item_ids), "hour": hour, "most": MOST_PICTURES},
        ).all()
        shared = connection.execute(
            text("""
                SELECT key FROM contact_sheets
                WHERE item_ids = :ids AND created_at > greatest(:newest, now() - interval '1 hour') LIMIT 1
            """),
            {"ids": [row.item_id for row in rows], "newest": max((row.created_at for row in rows), default=None)},
        ).scalar()
    if shared is not None:
        return _shown_at(base_url, shared)
    shown: dict[uuid.UUID, Image.Image] = {}
    for item_id, key, _ in rows:
        try:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            picture = Image.open(io.BytesIO(body), formats=["WEBP"])
            picture.load()
        except (ClientError, OSError):
            continue  # one that is gone or broken is left out; the check on thumbnails tells
        shown[item_id] = picture
    if not shown:
        return None
    buffer = io.BytesIO()
    compose(list(shown.values())).save(buffer, "JPEG", quality=85)
    key = f"previews/{uuid.uuid4()}.jpg"
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO contact_sheets (key, item_ids) VALUES (:key, :ids)"), {"key": key, "ids": list(shown)}
        )
    s3.put_object(Bucket=bucket, Key=key, Body=buffer.getvalue(), ContentType="image/jpeg")
    return _shown_at(base_url, key)


def _shown_at(base_url: str, key: str) -> MetadataValue:
    return MetadataValue.md(f"![contact sheet]({base_url.rstrip('/')}/{key})")


def compose(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures on a grid, each fitted into its cell with its aspect ratio kept; RGB."""
    columns = min(_COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    pitch = _CELL_PX + _GAP_PX
    sheet = Image.new("RGB", (columns * pitch + _GAP_PX, rows * pitch + _GAP_PX), _BACKGROUND)
    for index, picture in enumerate(pictures):
        cell = picture.convert("RGBA")
        cell.thumbnail((_CELL_PX, _CELL_PX))
        x = _GAP_PX + index % columns * pitch + (_CELL_PX - cell.width) // 2
        y = _GAP_PX + index // columns * pitch + (_CELL_PX - cell.height) // 2
        sheet.paste(cell, (x, y), cell)
    return sheet
