"""thumbnail: every accepted picture gets every size, upright and without a trace of where it was taken."""

from __future__ import annotations

import hashlib
import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lambdas.runtime.contract import ErrorCode
from lambdas.thumbnail.handler import handler
from tests.unit.conftest import Bucket, outcomes
from tests.unit.images import (
    BLUE,
    CORNERS,
    bombs,
    corners,
    encode,
    p3_profile,
    photo,
    png_bomb,
    png_with_exif_last,
    private_exif,
    turned,
)
from tests.unit.thumbnails import (
    PARAMETERS,
    SIZES,
    colour,
    corner_colours,
    near,
    rejection,
    thumbnails,
)

FORMATS = ["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic"]
TURNABLE = ["jpeg", "png", "webp", "tiff", "avif", "heic"]


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gets_every_size(bucket: Bucket, format: str) -> None:
    done = thumbnails(bucket, encode(corners(2000, 1500), format))

    assert {size: picture.size for size, picture in done.pictures.items()} == {
        256: (256, 192),
        800: (800, 600),
        1600: (1600, 1200),
    }
    assert done.outcome.result is not None
    assert (done.outcome.result["width"], done.outcome.result["height"]) == (2000, 1500)
    for picture in done.pictures.values():
        assert picture.format == "WEBP"
        assert all(map(near, corner_colours(picture), CORNERS))


@pytest.mark.parametrize("format", FORMATS)
def test_a_thumbnail_looks_like_its_original(bucket: Bucket, format: str) -> None:
    original = photo(3300, 400)
    done = thumbnails(bucket, encode(original, format, **({"quality": 95} if format in ("jpeg", "webp") else {})))
    for picture in done.pictures.values():
        wanted = original.resize(picture.size, Image.Resampling.LANCZOS)
        difference = np.abs(np.asarray(picture.convert("RGB"), int) - np.asarray(wanted, int))
        assert difference.mean() < (8 if format == "gif" else 5)


def test_the_manifest_proves_what_is_stored(bucket: Bucket) -> None:
    item = bucket.put(encode(photo(1000, 700), "jpeg"))
    (outcome,) = outcomes(handler, "thumbnail", PARAMETERS, item)

    assert sorted(bucket.keys(item.output_prefix)) == sorted(output.key for output in outcome.outputs)
    assert {output.key for output in outcome.outputs} == {f"{item.output_prefix}{size}.webp" for size in SIZES}
    for output in outcome.outputs:
        stored = bucket.get(output.key)
        assert output.sha256 == hashlib.sha256(stored).hexdigest()
        assert output.size_bytes == len(stored)
        assert output.content_type == "image/webp"
        picture = Image.open(io.BytesIO(stored))
        assert output.attributes == {"size": output.attributes["size"], "width": picture.width, "height": picture.height}
    assert outcome.metrics.bytes_in == item.size_bytes


def test_a_second_attempt_adopts_what_the_first_one_wrote(bucket: Bucket) -> None:
    item = bucket.put(encode(photo(300, 200), "png"))
    (first,) = outcomes(handler, "thumbnail", PARAMETERS, item)
    (second,) = outcomes(handler, "thumbnail", PARAMETERS | {"quality": 20}, item)

    assert second.outputs == first.outputs
    versions = bucket.s3.list_object_versions(Bucket=bucket.name, Prefix=item.output_prefix)["Versions"]
    assert len(versions) == len(SIZES)


def test_a_small_picture_is_never_enlarged_and_has_every_size(bucket: Bucket) -> None:
    done = thumbnails(bucket, encode(corners(500, 300), "png"))
    assert {size: picture.size for size, picture in done.pictures.items()} == {
        256: (256, 154),
        800: (500, 300),
        1600: (500, 300),
    }
    assert thumbnails(bucket, encode(corners(7, 5), "gif")).pictures[256].size == (7, 5)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (5000, 1), (2, 9999)])
@pytest.mark.parametrize("format", ["jpeg", "png", "tiff"])
def test_a_side_of_one_pixel_stays_one_pixel(bucket: Bucket, format: str, width: int, height: int) -> None:
    done = thumbnails(bucket, encode(Image.new("RGB", (width, height), BLUE), format))
    for size, picture in done.pictures.items():
        assert min(picture.size) == 1
        assert max(picture.size) == min(size, max(width, height))
        assert near(colour(picture), BLUE)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", TURNABLE)
def test_a_turned_picture_is_turned_upright_once(bucket: Bucket, format: str, orientation: int) -> None:
    done = thumbnails(bucket, turned(corners(1200, 800), orientation, format))

    assert done.outcome.result is not None
    assert (done.outcome.result["width"], done.outcome.result["height"]) == (1200, 800)
    assert done.largest.size == (1200, 800)
    for picture in done.pictures.values():
        assert all(map(near, corner_colours(picture), CORNERS))


def test_a_heic_that_is_turned_by_its_container_and_by_exif_is_turned_once(bucket: Bucket) -> None:
    """iPhones write both; the container's word counts, alone."""
    body = turned(corners(400, 300), 6, "heic")
    assert b"irot" in body
    assert b"Exif" in body
    assert all(map(near, corner_colours(thumbnails(bucket, body).largest), CORNERS))

    # EXIF alone says nothing about a HEIC.
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    corners(400, 300).save(buffer, "HEIF", exif=exif)
    assert b"irot" not in buffer.getvalue()
    done = thumbnails(bucket, buffer.getvalue())
    assert done.largest.size == (400, 300)
    assert all(map(near, corner_colours(done.largest), CORNERS))


def test_an_orientation_that_follows_the_pixels_counts(bucket: Bucket) -> None:
    stored = corners(400, 300).transpose(Image.Transpose.ROTATE_90)
    done = thumbnails(bucket, png_with_exif_last(stored, 6))
    assert all(map(near, corner_colours(done.largest), CORNERS))


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "tiff", "avif", "heic"])
def test_nothing_private_survives(bucket: Bucket, format: str) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><Secret>52.52N 13.40E</Secret></x:xmpmeta>'
    options: dict[str, Any] = {"exif": private_exif(), "icc_profile": p3_profile()}
    if format in ("jpeg", "webp", "avif", "heic"):
        options["xmp"] = xmp
    if format == "jpeg":
        options["comment"] = b"Secret"
    body = encode(corners(900, 600), format, **options)
    assert b"Secret" in body

    for file in thumbnails(bucket, body).files.values():
        assert [name for name, _ in riff_chunks(file)] == [b"VP8 "]
        assert b"Secret" not in file
        opened = Image.open(io.BytesIO(file))
        assert dict(opened.getexif()) == {}
        assert set(opened.info) <= {"background", "loop"}


def riff_chunks(file: bytes) -> list[tuple[bytes, bytes]]:
    assert file[:4] == b"RIFF"
    chunks, position = [], 12
    while position < len(file):
        name, size = struct.unpack("<4sI", file[position : position + 8])
        chunks.append((name, file[position + 8 : position + 8 + size]))
        position += 8 + size + size % 2
    return chunks


@pytest.mark.parametrize("format", ["gif", "webp", "png", "avif", "tiff"])
def test_of_an_animation_the_first_frame_is_taken(bucket: Bucket, format: str) -> None:
    others = [Image.new("RGB", (600, 400), "black"), Image.new("RGB", (600, 400), "yellow")]
    done = thumbnails(bucket, encode(corners(600, 400), format, save_all=True, append_images=others))
    assert all(map(near, corner_colours(done.largest), CORNERS))


def test_of_a_jpeg_with_more_pictures_in_it_the_first_is_taken(bucket: Bucket) -> None:
    body = encode(corners(3000, 2000), "mpo", save_all=True, append_images=[Image.new("RGB", (100, 100))])
    done = thumbnails(bucket, body)
    assert done.largest.size == (1600, 1067)
    assert all(map(near, corner_colours(done.largest), CORNERS))


def test_the_name_says_nothing(bucket: Bucket) -> None:
    done = thumbnails(bucket, encode(corners(), "png"), name="holiday.jpg")
    assert all(map(near, corner_colours(done.largest), CORNERS))


# What can't be decoded is rejected, with a reason


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_is_cut_in_its_pixels_is_truncated(bucket: Bucket, format: str) -> None:
    body = encode(photo(800, 600), format)
    error = rejection(bucket, body[: len(body) * 6 // 10])
    assert error.code is ErrorCode.TRUNCATED
    assert error.message == f"the {format.upper()} file ends too early, after {len(body) * 6 // 10:,} bytes"
    assert not error.retryable


@pytest.mark.parametrize("format", ["png", "webp", "gif", "avif", "heic", "tiff"])
def test_a_file_whose_pixels_are_overwritten_is_corrupt(bucket: Bucket, format: str) -> None:
    special: dict[str, dict[str, Any]] = {"tiff": {"compression": "tiff_lzw"}, "webp": {"lossless": True}}
    body = encode(photo(800, 600), format, **special.get(format, {}))
    start, damage = len(body) // 2, b"\xff\x00\x5a\xa5" * (len(body) // 16)
    if b"mdat" in body:  # damage in mid-stream is painted over
        start = body.index(b"mdat") + 4
    error = rejection(bucket, body[:start] + damage + body[start + len(damage) :])
    assert error.code is ErrorCode.CORRUPT
    assert error.message == f"the {format.upper()} file's pixels are damaged"
    assert not error.retryable


@pytest.mark.parametrize("format", FORMATS)
def test_a_bomb_is_refused_before_it_is_decoded(bucket: Bucket, format: str) -> None:
    error = rejection(bucket, bombs()[format])
    assert error.code is ErrorCode.TOO_MANY_PIXELS
    assert "the limit is 100,000,000" in error.message


def test_a_picture_beyond_the_recipes_limits(bucket: Bucket) -> None:
    body = encode(corners(200, 100), "png")
    assert rejection(bucket, body, max_pixels=19_999).code is ErrorCode.TOO_MANY_PIXELS
    assert rejection(bucket, body, max_bytes=len(body) - 1).code is ErrorCode.TOO_MANY_BYTES
    thumbnails(bucket, body, max_pixels=20_000, max_bytes=len(body))


def test_neighbours_of_bad_files_are_done(bucket: Bucket) -> None:
    bodies = [b"", b"garbage", png_bomb(), encode(corners(), "jpeg")[:500], encode(corners(), "jpeg")]
    found = outcomes(handler, "thumbnail", PARAMETERS, *map(bucket.put, bodies))
    assert [outcome.error.code if outcome.error else None for outcome in found] == [
        ErrorCode.EMPTY,
        ErrorCode.UNSUPPORTED_FORMAT,
        ErrorCode.TOO_MANY_PIXELS,
        ErrorCode.TRUNCATED,
        None,
    ]
    assert len(found[-1].outputs) == len(SIZES)
