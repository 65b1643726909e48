"""probe: whatever is uploaded is named, measured, or rejected with a reason, from its header alone."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image

from lambdas.probe.exif import public_exif
from lambdas.probe.handler import handler
from lambdas.probe.source import BLOCK_BYTES, MAX_HEADER_BYTES, SourceFile
from lambdas.runtime.contract import ErrorCode, ItemError, ItemOutcome
from lambdas.runtime.step import StepError
from tests.unit.conftest import Bucket, outcomes
from tests.unit.images import (
    bombs,
    corners,
    encode,
    photo,
    png_chunk,
    png_with_exif_last,
    private_exif,
    segments,
    turned,
)

LIMITS = {"max_bytes": 100_000_000, "max_pixels": 100_000_000}
FORMATS = ["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic"]
TURNABLE = ["jpeg", "png", "webp", "tiff", "avif", "heic"]


def probe(bucket: Bucket, body: bytes, name: str = "picture", **limits: int) -> ItemOutcome:
    return outcomes(handler, "probe", LIMITS | limits, bucket.put(body, name))[0]


def measured(bucket: Bucket, body: bytes, name: str = "picture") -> dict[str, Any]:
    outcome = probe(bucket, body, name)
    assert outcome.result is not None, outcome.error
    return outcome.result


def rejected(bucket: Bucket, body: bytes, **limits: int) -> ItemError:
    outcome = probe(bucket, body, **limits)
    assert outcome.error is not None, outcome.result
    assert not outcome.error.retryable
    return outcome.error


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


# What is rejected


def test_an_empty_file(bucket: Bucket) -> None:
    error = rejected(bucket, b"")
    assert (error.code, error.message) == (ErrorCode.EMPTY, "the file has 0 bytes")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"Dear diary,\nall is well \xc3\xa4nd good.\n", "text"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "a PDF document"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b"<!DOCTYPE html><html><body><svg/></body></html>", "an HTML page"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41\0\0\0\x08free", "an MP4 video"),
        (b"\0\0\0\x14ftypqt  \0\0\2\0qt  \0\0\0\x08wide", "a QuickTime video"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", "a Matroska or WebM video"),
        (b"RIFF\x10\0\0\0AVI LIST", "an AVI video"),
        (b"PK\x03\x04\x14\0\x06\0", "a ZIP archive"),
        (b"\xff\xfb\x90\x44\0\0\0", "a sound file"),
        (b"8BPS\0\1\0\0\0\0", "a Photoshop document"),
        (b"II*\0\x10\0\0\0CR\2\0", "a camera raw file"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a camera raw file"),
        (b"\0\0\1\0\1\0\x10\x10", "an icon"),
        (b"\0\0\0\0\0\0\0\0\0\0\0\0", "of no format that is known here"),
        (b"\x93\xde\x01garbage\xfe\x00\x17", "of no format that is known here"),
        (b"BMX is a sport, says a text that begins with BM", "text"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(bucket: Bucket, body: bytes, what: str) -> None:
    error = rejected(bucket, body)
    assert error.code is ErrorCode.UNSUPPORTED_FORMAT
    assert error.message.startswith(f"the file is {what}")
    assert "JPEG" in error.message


def test_a_raw_file_that_looks_like_a_tiff(bucket: Bucket) -> None:
    for tag, value in ((50706, b"\1\4\0\0"), (254, 1)):
        error = rejected(bucket, encode(corners(), "tiff", tiffinfo={tag: value}))
        assert error.code is ErrorCode.UNSUPPORTED_FORMAT
        assert "camera raw" in error.message


def test_the_byte_limit_is_checked_before_anything_is_read(bucket: Bucket) -> None:
    outcome = probe(bucket, encode(corners(), "bmp"), max_bytes=1000)
    assert outcome.error is not None
    assert outcome.error.code is ErrorCode.TOO_MANY_BYTES
    assert outcome.error.message == "the file has 28,854 bytes; the limit is 1,000"
    assert outcome.metrics.bytes_in == 0


@pytest.mark.parametrize("format", FORMATS)
def test_a_decompression_bomb_is_measured_and_refused(bucket: Bucket, format: str) -> None:
    error = rejected(bucket, bombs()[format])
    assert error.code is ErrorCode.TOO_MANY_PIXELS
    expected = "16777216 × 16777216" if format == "webp" else "50000 × 50000 = 2,500,000,000"
    assert expected in error.message
    assert error.message.endswith("the limit is 100,000,000")


def test_a_gif_whose_first_frame_is_larger_than_its_screen(bucket: Bucket) -> None:
    body = encode(corners(), "gif")
    frame = body.index(b",\0\0\0\0")
    error = rejected(bucket, body[: frame + 5] + struct.pack("<HH", 60_000, 60_000) + body[frame + 9 :])
    assert error.code is ErrorCode.TOO_MANY_PIXELS


def test_the_pixel_limit_is_inclusive(bucket: Bucket) -> None:
    assert probe(bucket, encode(corners(100, 50), "png"), max_pixels=5000).error is None
    assert rejected(bucket, encode(corners(100, 51), "png"), max_pixels=5000).code is ErrorCode.TOO_MANY_PIXELS


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_ends_in_its_header_is_truncated(bucket: Bucket, format: str) -> None:
    body = encode(photo(64, 64), format, **({"exif": private_exif()} if format in TURNABLE else {}))
    error = rejected(bucket, body[:24])
    assert error.code is ErrorCode.TRUNCATED
    assert error.message == f"the {format.upper()} file ends too early, after 24 bytes"


@pytest.mark.parametrize("format", ["webp", "bmp", "avif", "heic"])
def test_a_file_shorter_than_its_header_says_is_truncated(bucket: Bucket, format: str) -> None:
    body = encode(photo(), format)
    assert rejected(bucket, body[: len(body) // 2]).code is ErrorCode.TRUNCATED
    assert rejected(bucket, body[:-1]).code is ErrorCode.TRUNCATED


def test_a_tiff_that_lost_its_directory_or_its_pixels_is_truncated(bucket: Bucket) -> None:
    body = encode(photo(), "tiff")
    assert rejected(bucket, body[:4] + struct.pack("<I", 10_000_000) + body[8:]).code is ErrorCode.TRUNCATED
    directory = struct.unpack("<I", body[4:8])[0]
    assert directory == 8
    assert rejected(bucket, body[:400]).code is ErrorCode.TRUNCATED


@pytest.mark.parametrize(
    "body",
    [
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", b"\0" * 13) + png_chunk(b"IEND", b""),
        encode(corners(), "png").replace(b"IHDR", b"IHDX"),
        encode(corners(), "webp").replace(b"VP8 ", b"VPX "),
        encode(corners(), "avif").replace(b"meta", b"meat"),
        encode(corners(), "heic").replace(b"ipma", b"ipmx"),
        encode(corners(), "gif")[:13] + b"?" * 3000,
        b"RIFF\x20\0\0\0WEBP" + b"VP8 \x10\0\0\0" + b"\0" * 40,
        segments(encode(corners(), "jpeg"), without=0xC0),
    ],
    ids=["png 0×0", "png chunk", "webp chunk", "avif meta", "heic size", "gif blocks", "webp frame", "jpeg frame"],
)
def test_a_header_without_sense_is_corrupt(bucket: Bucket, body: bytes) -> None:
    assert rejected(bucket, body).code is ErrorCode.CORRUPT


def test_nothing_that_is_cut_or_overwritten_anywhere_is_anybody_elses_fault(bucket: Bucket) -> None:
    """No damage makes probe fail: it measures or it rejects."""
    for format in FORMATS:
        body = encode(photo(32, 32), format, **({"exif": private_exif()} if format in TURNABLE else {}))
        for at in range(12, min(len(body), 600), 7):
            for damaged in (body[:at], body[:at] + b"\xff" * 8 + body[at + 8 :], body[:at] + b"\0" * 8 + body[at + 8 :]):
                outcome = probe_locally(damaged)
                assert outcome is None or outcome.disposition.value == "reject", (format, at)


def probe_locally(body: bytes) -> ErrorCode | None:
    from lambdas.runtime.images.header import read_header

    try:
        file = SourceFile(lambda start, length: body[start : start + length], len(body))
        read_header(file, len(body), LIMITS["max_pixels"])
    except StepError as error:
        return error.code
    return None


def test_neighbours_of_a_bad_file_are_measured(bucket: Bucket) -> None:
    items = [bucket.put(body) for body in (b"garbage", encode(corners(), "png"), b"")]
    first, second, third = outcomes(handler, "probe", LIMITS, *items)
    assert second.result is not None
    assert first.error is not None
    assert third.error is not None


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
    assert fetched == [(0, 65536), (65536, 131072), (458752, 53248), (196608, 315392)]
