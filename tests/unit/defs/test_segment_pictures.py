"""What segments show: asked of the function that looks into them, and believed only if it is a plain small picture."""

from __future__ import annotations

import io
import struct
import time
from typing import Any

import pytest
from PIL import Image

from media_assets.defs.segment_pictures import decoded, segment_pictures
from media_assets.local.ports import free_port
from media_assets.settings import get_settings
from tests.unit.defs.screening import Inspecting, Screening
from tests.unit.videos import Videos


def encoded(picture: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


PLAIN = Image.new("RGB", (176, 99), "red")
EXIF = Image.Exif()
EXIF[0x010E] = "a description"
FRAME_SIZE_AT = encoded(PLAIN).index(b"\xff\xc0") + 5


def test_a_segment_shows_what_it_begins_with(screening: Screening, inspecting: Inspecting, videos: Videos) -> None:
    keys = screening.cut(screening.film(b"film"), videos("shots").read_bytes(), b"no video")
    found = segment_pictures(get_settings(), keys, 120)
    assert [request.pictures for request in inspecting.asked] == [tuple(keys)]
    picture = found[keys[0]]
    assert picture is not None
    assert (picture.mode, picture.size) == ("RGB", (120, 90))
    red, green, blue = picture.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert red > 200 > 60 > max(green, blue)
    assert found[keys[1]] is None


def test_nothing_is_known_of_segments_that_nobody_looks_into(screening: Screening, inspecting: Inspecting) -> None:
    inspecting.away = True
    assert segment_pictures(get_settings(), ["a.mp4"], 120) == {}


def test_a_function_that_cant_be_reached_is_waited_for_once(screening: Screening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    begun = time.monotonic()
    assert segment_pictures(get_settings(), ["a.mp4"], 120) == {}
    assert time.monotonic() - begun < 5


def test_a_plain_picture_is_decoded() -> None:
    picture = decoded(encoded(PLAIN), 176)
    assert (picture.mode, picture.size) == ("RGB", (176, 99))


@pytest.mark.parametrize(
    "body",
    [
        encoded(PLAIN.resize((177, 99))),
        encoded(PLAIN.convert("L")),
        encoded(PLAIN.convert("CMYK")),
        encoded(PLAIN, progressive=True),
        encoded(PLAIN, exif=EXIF),
        encoded(PLAIN, icc_profile=b"a profile"),
        encoded(PLAIN, comment=b"a comment"),
        encoded(PLAIN, "MPO", save_all=True, append_images=[PLAIN]),
        encoded(PLAIN, "PNG"),
        encoded(PLAIN, "WEBP"),
        encoded(PLAIN)[:-200],
        encoded(PLAIN)[:30] + b"\xff\xd9",
        b"\xff\xd8\xff\xd9",
        b"",
    ],
    ids=(
        "large", "grey", "four colours", "progressive", "EXIF", "profile", "comment", "two pictures", "PNG", "WebP",
        "cut", "cut header", "hollow", "empty",
    ),
)  # fmt: skip
def test_any_other_is_refused_before_it_is_opened(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Image, "open")
    with pytest.raises((ValueError, struct.error)):
        decoded(body, 176)


def test_a_header_that_promises_too_much_is_refused_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Image, "open")
    bomb = bytearray(encoded(PLAIN))
    bomb[FRAME_SIZE_AT : FRAME_SIZE_AT + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(ValueError, match="65535 × 65535"):
        decoded(bytes(bomb), 176)


def test_a_picture_whose_content_is_broken_is_refused() -> None:
    broken = bytearray(encoded(PLAIN))
    counts = broken.index(b"\xff\xc4") + 5  # of codes, by length, of the first Huffman table
    broken[counts : counts + 16] = b"\xff" * 16
    with pytest.raises(OSError, match="broken data stream"):
        decoded(bytes(broken), 176)
