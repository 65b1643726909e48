"""Contact sheets: pictures on a grid, under a name that says nothing, with their items on record."""

from __future__ import annotations

import io
import re
import uuid

import boto3
import pytest
from botocore.config import Config
from PIL import Image
from sqlalchemy import text

from media_assets.defs.contact_sheet import BOXES, PICTURES, Style, compose, contact_sheet
from media_assets.local.ports import free_port
from media_assets.steps.reprocess import request_reprocessing
from tests.unit.defs.gallery import HOUR, Gallery

BACKGROUND = (245, 245, 244)
BASE = "http://127.0.0.1:4566/photos"


def plain(width: int, height: int, colour: str = "red") -> Image.Image:
    return Image.new("RGB", (width, height), colour)


@pytest.mark.parametrize(
    ("pictures", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (4, 4, 1), (5, 4, 2), (8, 4, 2), (9, 4, 3), (24, 4, 6)]
)
def test_pictures_lie_on_a_grid_of_at_most_four_columns(pictures: int, columns: int, rows: int) -> None:
    sheet = compose([plain(256, 256)] * pictures)
    assert sheet.mode == "RGB"
    assert sheet.size == (columns * 144 + 8, rows * 144 + 8)
    for index in range(pictures):
        centre = (8 + index % 4 * 144 + 68, 8 + index // 4 * 144 + 68)
        assert sheet.getpixel(centre) == (255, 0, 0)


@pytest.mark.parametrize(("width", "height"), [(256, 128), (128, 256), (256, 256), (1600, 400), (256, 1), (3, 2)])
def test_a_picture_keeps_its_aspect_ratio_in_the_middle_of_its_cell(width: int, height: int) -> None:
    sheet = compose([plain(width, height)])
    box = Image.eval(sheet.getchannel("B"), lambda blue: 255 if blue < 100 else 0).getbbox()
    assert box is not None
    left, top, right, bottom = box
    scale = min(1, 136 / max(width, height))  # never enlarged
    assert abs((right - left) - width * scale) <= 1
    assert abs((bottom - top) - max(1, height * scale)) <= 1
    assert abs((left + right) / 2 - 76) <= 1
    assert abs((top + bottom) / 2 - 76) <= 1


def test_what_is_transparent_shows_the_background() -> None:
    sheet = compose([Image.new("RGBA", (136, 136), (255, 0, 0, 0))])
    assert sheet.getcolors() == [(152 * 152, BACKGROUND)]


def sheet_of(gallery: Gallery, *items: uuid.UUID, base_url: str = BASE, style: Style = PICTURES) -> str:
    """A sheet's key, as found in what Dagster is to show."""
    value = contact_sheet(gallery.s3, gallery.store.engine, gallery.bucket, base_url, items, HOUR, style=style)
    assert value is not None
    found = re.fullmatch(rf"!\[contact sheet\]\({re.escape(BASE)}/(.+)\)", str(value.value))
    assert found, value.value
    return found[1]


def recorded(gallery: Gallery) -> dict[str, list[uuid.UUID]]:
    with gallery.store.engine.connect() as connection:
        return dict(connection.execute(text("SELECT key, item_ids FROM contact_sheets")).tuples().all())


def test_a_sheet_is_a_picture_in_the_bucket_and_its_items_are_on_record(gallery: Gallery) -> None:
    items = [gallery.done(f"{number}.jpg") for number in range(3)]
    key = sheet_of(gallery, *items)
    stored = gallery.s3.get_object(Bucket=gallery.bucket, Key=key)
    assert stored["ContentType"] == "image/jpeg"
    with Image.open(io.BytesIO(stored["Body"].read())) as picture:
        assert (picture.format, picture.size) == ("JPEG", (3 * 144 + 8, 144 + 8))
        assert "exif" not in picture.info
    assert {name: set(ids) for name, ids in recorded(gallery).items()} == {key: set(items)}


def test_a_name_says_nothing(gallery: Gallery) -> None:
    item = gallery.done()
    key = sheet_of(gallery, item)
    name = re.fullmatch(r"previews/pictures/(.+)\.jpg", key)
    assert name
    assert uuid.UUID(name[1]).version == 4
    assert str(item) not in key


def test_assets_that_show_the_same_thumbnails_share_a_sheet(gallery: Gallery) -> None:
    one, other = gallery.done("one.jpg"), gallery.done("other.jpg")
    assert sheet_of(gallery, one, other) == sheet_of(gallery, other, one)
    assert sheet_of(gallery, one) != sheet_of(gallery, other)


def test_a_materialization_that_made_nothing_shows_what_the_hour_has(gallery: Gallery) -> None:
    items = {gallery.done("one.jpg"), gallery.done("other.jpg")}
    key = sheet_of(gallery)
    assert set(recorded(gallery)[key]) == items


def test_a_slash_at_the_end_of_the_address_doesnt_double(gallery: Gallery) -> None:
    assert sheet_of(gallery, gallery.done(), base_url=f"{BASE}/").startswith("previews/")


def test_items_without_a_thumbnail_make_no_sheet(gallery: Gallery) -> None:
    item = gallery.upload()
    gallery.probed(item)
    assert contact_sheet(gallery.s3, gallery.store.engine, gallery.bucket, BASE, [item, uuid.uuid4()], HOUR) is None
    assert contact_sheet(gallery.s3, gallery.store.engine, gallery.bucket, BASE, [], HOUR) is None
    assert recorded(gallery) == {}


def test_thumbnails_that_are_gone_or_broken_are_left_out(gallery: Gallery) -> None:
    fine, gone, broken, cut = (gallery.upload(name) for name in ("fine", "gone", "broken", "cut"))
    for item in (fine, gone, broken, cut):
        gallery.probed(item)
    gallery.thumbnailed(fine)
    gallery.thumbnailed(gone, of_256=gallery.thumbnail(gone, 256, key="derived/nowhere.webp"))
    gallery.thumbnailed(broken, of_256=gallery.thumbnail(broken, 256, b"no picture"))
    whole = gallery.s3.get_object(Bucket=gallery.bucket, Key=gallery.thumbnail(cut, 256).key)["Body"].read()
    gallery.thumbnailed(cut, of_256=gallery.thumbnail(cut, 256, whole[:-40]))
    key = sheet_of(gallery, fine, gone, broken, cut)
    assert recorded(gallery) == {key: [fine]}


def test_without_s3_there_is_no_sheet_and_no_error(gallery: Gallery) -> None:
    endpoint_url = f"http://127.0.0.1:{free_port()}"
    nobody = boto3.client("s3", endpoint_url=endpoint_url, config=Config(retries={"total_max_attempts": 1}))
    assert contact_sheet(nobody, gallery.store.engine, gallery.bucket, BASE, [gallery.done()], HOUR) is None
    assert recorded(gallery) == {}


def test_what_was_detected_is_drawn_on_a_sheet_of_its_own(gallery: Gallery) -> None:
    found, nothing = gallery.done("found.jpg"), gallery.upload("nothing.jpg")
    gallery.probed(nothing)
    gallery.thumbnailed(nothing)
    plain_key = sheet_of(gallery, found, nothing)
    early = sheet_of(gallery, found, nothing, style=BOXES)
    assert recorded(gallery)[early] == [found]  # nobody has looked at the other yet
    gallery.detected(nothing, [])
    key = sheet_of(gallery, found, nothing, style=BOXES)
    assert len({key, early, plain_key}) == 3
    assert key.startswith("previews/boxes/")
    assert sheet_of(gallery, found, nothing, style=BOXES) == key
    assert sheet_of(gallery, found, nothing) == plain_key
    body = gallery.s3.get_object(Bucket=gallery.bucket, Key=key)["Body"].read()
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.size == (2 * 288 + 8, 288 + 8)
        colourful = [hue for _, hue in picture.getcolors(10**6) or () if max(hue) - min(hue) > 60]  # type: ignore[arg-type]
    assert colourful  # the pictures are grey


def test_detections_that_came_since_are_on_a_new_sheet(gallery: Gallery) -> None:
    item = gallery.done()
    first = sheet_of(gallery, item, style=BOXES)
    request_reprocessing(gallery.store, [item], ["detect"], reason="better eyes")
    assert sheet_of(gallery, item, style=BOXES) == first
    gallery.detected(item, [], generation=1)
    assert sheet_of(gallery, item, style=BOXES) != first
