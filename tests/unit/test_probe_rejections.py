"""probe: what is no picture, or can't be one, is rejected with a code and a sentence, whatever is done to its bytes."""

from __future__ import annotations

import struct
import time

import pytest

from lambdas.probe.handler import handler
from lambdas.probe.source import SourceFile
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.images.header import read_header
from lambdas.runtime.step import StepError
from tests.unit.conftest import Bucket, outcomes
from tests.unit.images import bombs, corners, encode, photo, png_chunk, private_exif, segments
from tests.unit.probing import FORMATS, LIMITS, TURNABLE, probe, rejected


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
    outcome = probe(bucket, encode(corners(), "bmp"), max_bytes=1000, max_video_bytes=1000)
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
    try:
        file = SourceFile(lambda start, length: body[start : start + length], len(body))
        read_header(file, len(body), LIMITS["max_pixels"])
    except StepError as error:
        return error.code
    return None


def test_a_header_made_to_keep_us_busy_is_given_up(bucket: Bucket) -> None:
    """A HEIC whose items have 65,535 extents each that take no room; a GIF of a million comments of one letter."""
    items = b"\0\1\0\0\xff\xff" * 10_000
    location = b"iloc" + b"\0\0\0\0" + b"\0\0" + struct.pack(">H", 10_000) + items
    meta = b"meta\0\0\0\0" + struct.pack(">I", len(location) + 4) + location
    heic = b"\0\0\0\x14ftypheic\0\0\0\0mif1" + struct.pack(">I", len(meta) + 4) + meta
    gif = encode(corners(), "gif")[: 13 + 12] + b"!\xfe\1x\0" * 1_000_000
    started = time.monotonic()
    assert rejected(bucket, heic).code is ErrorCode.CORRUPT
    assert rejected(bucket, gif).code is ErrorCode.CORRUPT
    assert time.monotonic() - started < 10


def test_neighbours_of_a_bad_file_are_measured(bucket: Bucket) -> None:
    items = [bucket.put(body) for body in (b"garbage", encode(corners(), "png"), b"")]
    first, second, third = outcomes(handler, "probe", LIMITS, *items)
    assert second.result is not None
    assert first.error is not None
    assert third.error is not None
