"""A contact sheet: small pictures of what a materialization made, on one image that the Dagster UI shows.

The UI strips `data:` URIs, so the sheet is an object with an address that browsers reach. Its name is random and says
nothing; its items are recorded, so that erasing an item can remove the sheets that show it.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from dagster import MetadataValue
from PIL import Image, ImageDraw, ImageFont
from sqlalchemy import Connection, Engine, text

from media_assets.defs.boxes import with_boxes
from media_assets.defs.sheet_pictures import Picture, boxed, frames, segments, thumbnails

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_GAP_PX = 8
_BACKGROUND = (245, 245, 244)
_BLANK = (214, 211, 209)
_INK = (41, 37, 36)
_TEXT_PX, _LINE_PX = 12, 17
_FONT = Path(__file__).parents[2] / "lambdas/fonts/overlay-sans.ttf"
"""The one that texts are written on videos with: it has all their characters."""


@dataclass(frozen=True)
class Style:
    """How a sheet looks. All are as wide as the UI's table on a 1280 px screen. `folder` is where they are kept, `choose` finds
    what is on one (sheet_pictures.py), at most `caption_lines` lines stand below a picture."""

    folder: str
    cell_px: int
    columns: int
    most_pictures: int
    choose: Callable[[Connection, Sequence[uuid.UUID], datetime, int, int], list[Picture]] = thumbnails
    caption_lines: int = 0


PICTURES = Style("previews/pictures/", cell_px=136, columns=4, most_pictures=24)
BOXES = Style("previews/boxes/", cell_px=280, columns=2, most_pictures=12, choose=boxed)
"""Pictures with what was detected on them, large enough for its labels."""
FRAMES = Style("previews/frames/", cell_px=176, columns=3, most_pictures=24, choose=frames, caption_lines=1)
"""Frames of videos, each with its time."""
SEGMENTS = Style("previews/segments/", cell_px=176, columns=3, most_pictures=24, choose=segments, caption_lines=3)
"""Segments, each with what it begins with, its number and times, and its text."""
_STAND_INS = "previews/stand-ins/"
"""Where a sheet is kept that shows frames of a video in place of its segments. No later one is the same."""

Look = Callable[[Sequence[str], int], Mapping[str, Image.Image | None]]
"""Finds what segments show (segment_pictures.py)."""


def contact_sheet(
    s3: S3Client,
    engine: Engine,
    bucket: str,
    base_url: str,
    ids: Sequence[uuid.UUID],
    hour: datetime,
    *,
    style: Style = PICTURES,
    look: Look | None = None,
) -> MetadataValue | None:
    """A sheet of what was made of the items (of segments: by the items' or the jobs' work), or of the hour's newest if no id is
    given; None without pictures, or if S3 can't be reached: a run in an outage has to get as far as the step whose target is
    down, for its breaker to open.

    Composed, stored and recorded; the assets of one run that show the same pictures share a sheet.
    """
    with engine.connect() as connection:
        pictures = style.choose(connection, ids, hour, style.most_pictures, style.cell_px)
        shared = connection.execute(
            text("""
                SELECT key FROM contact_sheets
                WHERE item_ids = :ids AND starts_with(key, :folder)
                  AND created_at > greatest(:newest, now() - interval '1 hour') LIMIT 1
            """),
            {
                "ids": _shown(pictures),
                "folder": style.folder,
                "newest": max((picture.changed_at for picture in pictures), default=None),
            },
        ).scalar()
    if shared is not None:
        return _shown_at(base_url, shared)
    segments = [picture.segment for picture in pictures if picture.segment]
    seen = look(segments, style.cell_px) if look and segments else {}
    drawn: list[tuple[Picture, Image.Image]] = []
    for picture in pictures:
        try:
            drawn.append(_drawn(s3, bucket, picture, style.cell_px, seen))
        except (ClientError, OSError):
            continue  # one that is gone or broken is left out; the check on its asset tells
        except BotoCoreError:
            return None
    if not drawn:
        return None
    buffer = io.BytesIO()
    sheet = compose([image for _, image in drawn], style, [picture.captions for picture, _ in drawn])
    sheet.save(buffer, "JPEG", quality=85)
    key = f"{style.folder if seen.keys() >= set(segments) else _STAND_INS}{uuid.uuid4()}.jpg"
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO contact_sheets (key, item_ids) VALUES (:key, :ids)"),
            {"key": key, "ids": _shown([picture for picture, _ in drawn])},
        )
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=buffer.getvalue(), ContentType="image/jpeg")
    except (ClientError, BotoCoreError):
        return None
    return _shown_at(base_url, key)


def _shown(pictures: Sequence[Picture]) -> list[uuid.UUID]:
    return list(dict.fromkeys(item_id for picture in pictures for item_id in picture.shows))


def _drawn(
    s3: S3Client, bucket: str, picture: Picture, cell_px: int, seen: Mapping[str, Image.Image | None]
) -> tuple[Picture, Image.Image]:
    """The picture, and how it looks; of a segment that nobody saw, its stand-in, which says so."""
    blank = Image.new("RGB", (cell_px, cell_px * 9 // 16), _BLANK)
    if picture.segment is not None and picture.segment in seen:
        image = seen[picture.segment]
        return (picture, image) if image else (_saying(picture, "there is no picture in it"), blank)
    if picture.key is None:
        return picture, blank
    return _saying(picture, "a frame of the video") if picture.segment else picture, _opened(s3, bucket, picture, cell_px)


def _saying(picture: Picture, what: str) -> Picture:
    return replace(picture, captions=(*picture.captions, what))


def _opened(s3: S3Client, bucket: str, picture: Picture, cell_px: int) -> Image.Image:
    """Small, with its boxes. Raises ClientError or OSError for one that is gone or broken."""
    assert picture.key is not None
    body = s3.get_object(Bucket=bucket, Key=picture.key)["Body"].read()
    image = Image.open(io.BytesIO(body), formats=["WEBP", "JPEG"])
    image.draft("RGB", (cell_px, cell_px))
    image.load()
    image.thumbnail((cell_px, cell_px))
    return with_boxes(image, picture.boxes, picture.width, picture.height) if picture.boxes else image


def _shown_at(base_url: str, key: str) -> MetadataValue:
    return MetadataValue.md(f"![contact sheet]({base_url.rstrip('/')}/{key})")


def compose(pictures: Sequence[Image.Image], style: Style = PICTURES, captions: Sequence[Sequence[str]] = ()) -> Image.Image:
    """Pictures on a grid, each fitted into its cell with its aspect ratio kept; RGB.

    Captions, lines for each picture, stand below; a row with captions is no higher than its pictures, which stand on them.
    """
    columns = min(style.columns, len(pictures))
    pitch = style.cell_px + _GAP_PX
    cells = [picture.convert("RGBA") for picture in pictures]
    for cell in cells:
        cell.thumbnail((style.cell_px, style.cell_px))
    rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    lines = min(style.caption_lines, max(map(len, captions), default=0))
    heights = [max(cell.height for cell in row) if lines else style.cell_px for row in rows]
    below = _GAP_PX + lines * _LINE_PX
    sheet = Image.new("RGB", (columns * pitch + _GAP_PX, sum(heights) + len(rows) * below + _GAP_PX), _BACKGROUND)
    canvas = ImageDraw.Draw(sheet)
    top = _GAP_PX
    for number, (row, height) in enumerate(zip(rows, heights, strict=True)):
        for column, cell in enumerate(row):
            left = _GAP_PX + column * pitch
            x = left + (style.cell_px - cell.width) // 2
            y = top + height - cell.height if lines else top + (height - cell.height) // 2
            sheet.paste(cell, (x, y), cell)
            index = number * columns + column
            for line, caption in enumerate(captions[index][:lines] if index < len(captions) else ()):
                place = (left, top + height + line * _LINE_PX)
                canvas.text(place, _fitting(caption, style.cell_px), fill=_INK, font=_font())
        top += height + below
    return sheet


def _fitting(caption: str, width: int) -> str:
    """The caption in one line, cut to what its cell has room for."""
    caption = " ".join(caption.split())
    while _font().getlength(caption) > width:
        caption = caption.removesuffix("…")[:-1] + "…"
    return caption


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONT, _TEXT_PX)
