"""probe: whatever is uploaded is named and measured, from its header alone."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image

from lambdas.probe.exif import public_exif
from lambdas.probe.source import BLOCK_BYTES, MAX_HEADER_BYTES, SourceFile
from lambdas.runtime.contract import ErrorCode
from tests.unit.conftest import Bucket
from tests.unit.images import corners, encode, photo, png_with_exif_last, private_exif, turned
from tests.unit.probing import FORMATS, TURNABLE, measured, probe, rejected


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_named_and_measured(bucket: Bucket, format: str) -> None:
    assert measured(bucket, encode(corners(123, 81), format)) == {
        "kind": "image",
        "format": format,
        "content_type": f"image/{format}",
        "width": 123,
        "height": 81,
        "orientation": 1,
        "upright_width": 123,
        "upright_height": 81,
        "exif": {},
    }


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", TURNABLE)
def test_how_a_picture_is_turned_is_found_wherever_its_format_keeps_it(bucket: Bucket, format: str, orientation: int) -> None:
    result = measured(bucket, turned(corners(120, 80), orientation, format))

    assert result["orientation"] == orientation
    assert (result["upright_width"], result["upright_height"]) == (120, 80)
    assert (result["width"], result["height"]) == ((80, 120) if orientation >= 5 else (120, 80))


def test_an_orientation_that_follows_the_pixels_is_found(bucket: Bucket) -> None:
    large = photo(900, 700)
    assert measured(bucket, png_with_exif_last(large, 6))["orientation"] == 6


@pytest.mark.parametrize("format", ["webp", "png"])
def test_lossless_and_transparent_variants(bucket: Bucket, format: str) -> None:
    transparent = corners(50, 40).convert("RGBA")
    transparent.putalpha(100)
    for options in ({}, {"lossless": True}, {"lossless": True, "exif": private_exif()}):
        result = measured(bucket, encode(transparent, format, **options))
        assert (result["width"], result["height"]) == (50, 40)


def test_animations_are_measured_and_counted_where_the_header_counts(bucket: Bucket) -> None:
    frames: dict[str, Any] = {"save_all": True, "append_images": [corners(60, 40).rotate(180), photo(60, 40)]}
    for format in ("gif", "webp", "png"):
        result = measured(bucket, encode(corners(60, 40), format, **frames))
        assert (result["width"], result["height"]) == (60, 40)
        assert result.get("frames") == (3 if format == "png" else None)


def test_the_name_says_nothing(bucket: Bucket) -> None:
    assert measured(bucket, encode(corners(), "png"), name="holiday.jpg")["format"] == "png"
    assert measured(bucket, encode(corners(), "jpeg"), name="report.pdf")["format"] == "jpeg"


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "tiff", "avif", "heic"])
def test_exif_keeps_what_the_camera_did_and_nothing_private(bucket: Bucket, format: str) -> None:
    result = measured(bucket, encode(corners(), format, exif=private_exif()))

    assert result["exif"] == {
        "camera_make": "Fujifilm",
        "camera_model": "X-T5",
        "taken_at": "2024-07-14T18:30:05",
        "exposure_seconds": 0.004,
        "f_number": 2.8,
        "iso": 400,
        "focal_length_mm": 23.0,
    }
    assert "Secret" not in str(result)


def test_exif_without_sense_is_left_out() -> None:
    assert public_exif({271: "\0\0", 272: b"bytes", 36867: "0000:00:00 00:00:00", 33434: 0, 33437: "f", 34855: ()}) == {}
    assert public_exif({271: "A\x07cme\0rubbish", 34855: (800, 0)}) == {"camera_make": "Acme", "iso": 800}


def test_damaged_exif_is_no_reason_to_reject(bucket: Bucket) -> None:
    exif = private_exif().tobytes()
    broken = encode(corners(), "jpeg", exif=exif[:20] + b"\xff" * (len(exif) - 20))
    assert measured(bucket, broken)["width"] == 120


def test_only_the_header_is_read(bucket: Bucket) -> None:
    noise = Image.effect_noise((1500, 1200), 90)
    for format in ("jpeg", "png", "bmp", "gif", "webp", "tiff"):
        body = encode(noise, format, **({"lossless": True} if format == "webp" else {}))
        assert len(body) > 1_000_000
        outcome = probe(bucket, body)
        assert outcome.result is not None
        assert outcome.metrics.bytes_in <= 4 * BLOCK_BYTES, format


def test_a_directory_at_the_end_of_a_large_tiff_is_found(bucket: Bucket) -> None:
    body = encode(Image.effect_noise((3000, 2000), 90), "tiff")
    directory = struct.unpack("<I", body[4:8])[0]
    moved = body[:4] + struct.pack("<I", len(body)) + body[8:] + body[directory:]

    outcome = probe(bucket, moved)

    assert outcome.result is not None
    assert (outcome.result["width"], outcome.result["height"]) == (3000, 2000)
    assert outcome.metrics.bytes_in <= 4 * BLOCK_BYTES


def test_a_header_of_megabytes_is_read_and_one_without_end_is_not(bucket: Bucket) -> None:
    body = encode(corners(), "jpeg")
    depth_map = b"\xff\xe4\xff\xff" + b"\0" * 65533
    assert measured(bucket, body[:2] + 40 * depth_map + body[2:])["width"] == 120

    error = rejected(bucket, body[:2] + 150 * depth_map + body[2:])
    assert error.code is ErrorCode.CORRUPT
    assert f"{MAX_HEADER_BYTES:,}" in error.message


def test_the_source_file_reads_like_any_file() -> None:
    body = bytes(range(256)) * 2000
    fetched: list[tuple[int, int]] = []

    def fetch(start: int, length: int) -> bytes:
        fetched.append((start, length))
        return body[start : start + length]

    lazy, plain = SourceFile(fetch, len(body)), io.BytesIO(body)
    for position, whence, length in ((0, 0, 10), (70_000, 0, 70_000), (-5, 2, 100), (-300_000, 1, 3), (10**9, 0, 5)):
        assert lazy.seek(position, whence) == plain.seek(position, whence)
        assert lazy.read(length) == plain.read(length)
        assert lazy.tell() == plain.tell()
    assert fetched == [(0, 65536), (65536, 131072), (458752, 53248), (196608, 65536)]
