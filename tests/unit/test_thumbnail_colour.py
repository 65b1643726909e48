"""thumbnail: whatever numbers a file stores, the colours come out as they were meant."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from lambdas.thumbnail.colour import to_srgb
from tests.unit.conftest import Bucket
from tests.unit.images import (
    BLUE,
    P3_PRIMARIES,
    cmyk_profile_of_green_cyan,
    corners,
    encode,
    grey_profile,
    p3_profile,
    plain_cmyk_jpeg,
)
from tests.unit.thumbnails import Colour, colour, near, thumbnails

ORANGE, CYAN_INK = (200, 100, 50), (255, 0, 0, 0)


def flat(mode: str, value: Any, size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.new(mode, size, value)


def centre(bucket: Bucket, body: bytes) -> Colour:
    return colour(thumbnails(bucket, body).largest)


# CMYK


def test_adobe_cmyk_which_is_stored_inverted(bucket: Bucket) -> None:
    body = encode(flat("CMYK", CYAN_INK), "jpeg", quality=95)
    assert b"Adobe" in body
    assert near(centre(bucket, body), (0, 255, 255))


def test_plain_cmyk_which_is_not(bucket: Bucket) -> None:
    body = plain_cmyk_jpeg(flat("CMYK", CYAN_INK))
    assert b"Adobe" not in body
    assert near(centre(bucket, body), (0, 255, 255))


@pytest.mark.parametrize("format", ["jpeg", "tiff"])
def test_cmyk_goes_through_its_profile(bucket: Bucket, format: str) -> None:
    """Under this profile cyan ink is green and black ink is black."""
    for inks, expected in (((255, 0, 0, 0), "green"), ((0, 0, 0, 255), "black"), ((0, 0, 0, 0), "white")):
        body = encode(flat("CMYK", inks), format, icc_profile=cmyk_profile_of_green_cyan())
        red, green, blue = centre(bucket, body)
        seen = {"green": green > 100 > max(red, blue), "black": max(red, green, blue) < 60}
        seen["white"] = min(red, green, blue) > 240
        assert [name for name, holds in seen.items() if holds] == [expected], (red, green, blue)


def test_cmyk_tiff_without_a_profile(bucket: Bucket) -> None:
    assert near(centre(bucket, encode(flat("CMYK", CYAN_INK), "tiff")), (0, 255, 255))


# Profiles


def p3_to_srgb(value: tuple[int, int, int]) -> Colour:
    """What sRGB has for a colour of the test's Display P3, by the book."""
    linear = np.array([(part / 255) ** 2.2 for part in value])
    xyz = np.array(P3_PRIMARIES).T @ linear
    srgb_to_xyz = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    mixed = (np.linalg.inv(srgb_to_xyz) @ xyz).clip(0, 1)
    encoded = np.where(mixed <= 0.0031308, 12.92 * mixed, 1.055 * mixed ** (1 / 2.4) - 0.055)
    return tuple(int(part) for part in (encoded * 255).round())


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "tiff", "avif", "heic"])
def test_display_p3_becomes_srgb(bucket: Bucket, format: str) -> None:
    expected = p3_to_srgb(ORANGE)
    assert not near(expected, ORANGE, 8)
    assert near(centre(bucket, encode(flat("RGB", ORANGE), format, icc_profile=p3_profile())), expected, 5)


def test_alpha_survives_a_profile(bucket: Bucket) -> None:
    body = encode(flat("RGBA", (*ORANGE, 120)), "png", icc_profile=p3_profile())
    assert near(centre(bucket, body), (*p3_to_srgb(ORANGE), 120), 5)


def test_a_grey_profile(bucket: Bucket) -> None:
    light = centre(bucket, encode(flat("L", 100), "png", icc_profile=grey_profile(1.0)))
    assert near(light, (169, 169, 169), 4)
    transparent = centre(bucket, encode(flat("LA", (100, 50)), "png", icc_profile=grey_profile(1.0)))
    assert near(transparent, (169, 169, 169, 50), 4)


@pytest.mark.parametrize(
    "profile",
    [b"garbage", p3_profile()[:100], p3_profile()[:-40], grey_profile(1.0), cmyk_profile_of_green_cyan()],
    ids=["garbage", "cut", "cut at the end", "of grey", "of CMYK"],
)
def test_a_profile_that_is_broken_or_of_something_else_is_ignored(bucket: Bucket, profile: bytes) -> None:
    assert near(centre(bucket, encode(flat("RGB", ORANGE), "png", icc_profile=profile)), ORANGE, 5)


def test_srgb_itself_costs_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = corners()
    assert to_srgb(picture, profile).tobytes() == picture.tobytes()


def test_lab(bucket: Bucket) -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    stored = ImageCms.profileToProfile(flat("RGB", ORANGE), srgb, lab, outputMode="LAB")
    assert stored is not None
    assert near(centre(bucket, encode(stored, "tiff")), ORANGE, 6)


# Alpha and palettes


@pytest.mark.parametrize("format", ["png", "webp", "tiff", "avif", "heic"])
def test_alpha_is_kept(bucket: Bucket, format: str) -> None:
    picture = corners(400, 300).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((400, 300)))
    done = thumbnails(bucket, encode(picture, format))
    for size, thumbnail in done.pictures.items():
        assert thumbnail.mode == "RGBA", size
        top, middle, bottom = (colour(thumbnail, thumbnail.width // 4, y)[3] for y in (0, thumbnail.height // 2, -1))
        assert top < 6
        assert 118 < middle < 138
        assert bottom > 249


def test_transparent_pixels_do_not_bleed_into_their_neighbours(bucket: Bucket) -> None:
    """Half of the picture is fully transparent green: scaling down must not tint the blue edge."""
    picture = flat("RGBA", (0, 255, 0, 0), (2000, 1000))
    picture.paste((*BLUE, 255), (0, 0, 999, 1000))
    small = thumbnails(bucket, encode(picture, "png")).pictures[256]
    visible = [pixel for x in range(256) if (pixel := colour(small, x, 64))[3] > 40]
    assert all(near(pixel[:3], BLUE, 25) for pixel in visible)


@pytest.mark.parametrize(
    ("mode", "transparency", "expected"),
    [
        ("P", 7, (30, 60, 200, 0)),
        ("P", bytes([255] * 7 + [90]), (30, 60, 200, 90)),
        ("L", 77, (77, 77, 77, 0)),
        ("RGB", (30, 60, 200), (30, 60, 200, 0)),
        ("1", 1, (255, 255, 255, 0)),
    ],
)
def test_transparency_by_colour(bucket: Bucket, mode: str, transparency: Any, expected: Colour) -> None:
    values = {"P": 7, "L": 77, "RGB": (30, 60, 200), "1": 1}
    picture = flat(mode, values[mode])
    if mode == "P":
        picture.putpalette([0, 0, 0] * 7 + [30, 60, 200])
    result = centre(bucket, encode(picture, "png", transparency=transparency))
    assert result[3] == expected[3]
    if expected[3]:
        assert near(result, expected, 8)


def test_a_transparent_gif(bucket: Bucket) -> None:
    picture = Image.new("P", (60, 40), 1)
    picture.putpalette([255, 0, 0, *BLUE])
    picture.paste(0, (0, 0, 30, 40))
    largest = thumbnails(bucket, encode(picture, "gif", transparency=0)).largest
    assert colour(largest, 10, 20)[3] == 0
    assert near(colour(largest, 50, 20), (*BLUE, 255))


def test_opaque_palettes_and_bits(bucket: Bucket) -> None:
    assert near(centre(bucket, encode(flat("RGB", ORANGE).quantize(16), "png")), ORANGE)
    assert near(centre(bucket, encode(flat("1", 1), "png")), (255, 255, 255))
    assert near(centre(bucket, encode(flat("1", 1), "tiff", compression="group4")), (255, 255, 255))
    assert near(centre(bucket, encode(flat("L", 90), "jpeg")), (90, 90, 90))


# More than 8 bits


def ramp(dtype: str, top: float) -> Image.Image:
    """From black at the left to `top` at the right."""
    return Image.fromarray(np.tile(np.linspace(0, top, 512), (64, 1)).astype(dtype))


def is_ramp(picture: Image.Image) -> bool:
    """Black at the left, white at the right, and in between every grey in its place: nothing is cut off."""
    greys = [colour(picture, x, picture.height // 2)[0] for x in range(0, 512, 8)]
    return all(abs(grey - 255 * x / 511) < 5 for x, grey in zip(range(0, 512, 8), greys, strict=True))


@pytest.mark.parametrize(
    ("format", "dtype", "top"),
    [
        ("png", "uint16", 65535),
        ("tiff", "uint16", 65535),
        ("tiff", ">u2", 65535),
        ("tiff", "int32", 65535),
        ("tiff", "int32", 2_000_000_000),
        ("tiff", "float32", 1.0),
        ("tiff", "float32", 255.0),
        ("tiff", "float32", 40_000.0),
    ],
)
def test_deep_grey_is_scaled_and_never_cut_off(bucket: Bucket, format: str, dtype: str, top: float) -> None:
    assert is_ramp(thumbnails(bucket, encode(ramp(dtype, top), format)).largest)


def test_grey_of_16_bits_that_is_stored_inverted(bucket: Bucket) -> None:
    tags = ImageFileDirectory_v2()
    tags[262] = 0
    inverted = Image.fromarray(65535 - np.asarray(ramp("uint16", 65535)))
    assert is_ramp(thumbnails(bucket, encode(inverted, "tiff", tiffinfo=tags)).largest)


def test_grey_of_12_bits(bucket: Bucket) -> None:
    values = np.asarray(ramp("uint16", 4095)).astype(np.uint32)
    first, second = values[:, ::2], values[:, 1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1).astype(np.uint8).tobytes()
    body = bytearray(encode(Image.new("L", (512, len(packed) // 512)), "tiff"))
    body = bytearray(bytes(body[: -len(packed)]) + packed)
    for tag, value in ((258, 12), (257, 64), (278, 64)):
        entry = body.index(tag.to_bytes(2, "little") + (b"\3\0" if tag == 258 else b"\4\0")) + 8
        body[entry : entry + 2] = value.to_bytes(2, "little")
    opened = Image.open(io.BytesIO(bytes(body)))
    assert (opened.mode, opened.size) == ("I;16", (512, 64))
    assert is_ramp(thumbnails(bucket, bytes(body)).largest)


def test_not_a_number_is_dark_and_harms_nothing_else(bucket: Bucket) -> None:
    values = np.asarray(ramp("float32", 1.0)).copy()
    values[:4] = np.nan
    values[4:8] = np.inf
    assert is_ramp(thumbnails(bucket, encode(Image.fromarray(values), "tiff")).largest)


def test_a_flat_float_picture(bucket: Bucket) -> None:
    assert near(centre(bucket, encode(flat("F", 0.5), "tiff")), (128, 128, 128))
    assert near(centre(bucket, encode(flat("F", -3.0), "tiff")), (0, 0, 0))
    assert near(centre(bucket, encode(flat("F", float("nan")), "tiff")), (0, 0, 0))
