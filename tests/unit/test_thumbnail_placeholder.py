"""The placeholder: ThumbHash, decoded here by its published format, shows what the picture shows."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lambdas.thumbnail.placeholder import placeholder, thumbhash
from tests.unit.conftest import Bucket
from tests.unit.images import CORNERS, corners, photo, turned
from tests.unit.thumbnails import colour, corner_colours, near, thumbnails


def shown(code: bytes) -> Image.Image:
    """A ThumbHash decoded: about 32 pixels of RGBA."""
    bits = int.from_bytes(code, "little")

    def take(length: int) -> int:
        nonlocal bits
        value, bits = bits & (1 << length) - 1, bits >> length
        return value

    l_mean, p_mean, q_mean = take(6) / 63, take(6) / 31.5 - 1, take(6) / 31.5 - 1
    l_scale, has_alpha = take(5) / 31, take(1)
    shorter, p_scale, q_scale, landscape = take(3), take(6) / 63, take(6) / 63, take(1)
    longer = 5 if has_alpha else 7
    columns, rows = (longer, shorter) if landscape else (shorter, longer)
    a_mean, a_scale = (take(4) / 15, take(4) / 15) if has_alpha else (1.0, 0.0)

    width = 32 if columns >= rows else round(32 * columns / rows)
    height = 32 if rows >= columns else round(32 * rows / columns)

    def channel(mean: float, scale: float, nx: int, ny: int) -> NDArray[np.float64]:
        values = np.full((height, width), mean)
        x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
        for cy in range(ny):
            for cx in range(nx):
                if cx + cy > 0 and cx * ny < nx * (ny - cy):
                    weight = (take(4) / 7.5 - 1) * scale
                    waves = np.outer(np.cos(math.pi / height * cy * y), np.cos(math.pi / width * cx * x))
                    values += 2 * weight * waves
        return values

    light = channel(l_mean, l_scale, max(3, columns), max(3, rows))
    p, q = channel(p_mean, p_scale * 1.25, 3, 3), channel(q_mean, q_scale * 1.25, 3, 3)
    alpha = channel(a_mean, a_scale, 5, 5) if has_alpha else np.ones_like(light)
    blue = light - 2 / 3 * p
    red = (3 * light - blue + q) / 2
    rgba = np.stack([red, red - q, blue, alpha], axis=-1)
    return Image.fromarray((rgba.clip(0, 1) * 255).round().astype(np.uint8))


def rgba(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("RGBA"))


def test_it_shows_the_picture_upright(bucket: Bucket) -> None:
    done = thumbnails(bucket, turned(corners(1200, 800), 6, "jpeg"))
    assert done.outcome.result is not None
    code = base64.b64decode(done.outcome.result["placeholder"], validate=True)

    assert len(code) < 26
    image = shown(code)
    assert image.width > image.height
    for seen, meant in zip(corner_colours(image), CORNERS, strict=True):
        assert near(seen[:3], meant, 70)


def test_known_answers() -> None:
    """As the reference implementation has them: of opaque pictures its Python port, which can do no others, agrees."""
    assert base64.b64encode(thumbhash(rgba(corners(100, 75)))) == b"4QcOZZiBiobAZ4eHeKiGeIW/+JeN"
    assert base64.b64encode(thumbhash(rgba(photo(60, 100)))) == b"nAcGLAaPeGBXiFp2d3mPIni5UA=="


def test_transparency_shows(bucket: Bucket) -> None:
    picture = Image.new("RGBA", (90, 60), (200, 40, 40, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 45, 60))
    image = shown(thumbhash(rgba(picture)))
    assert colour(image, 4, 10)[3] < 60
    assert near(colour(image, 27, 10), (200, 40, 40, 255), 45)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (100, 100), (3, 2), (1600, 1200)])
def test_any_shape(size: tuple[int, int]) -> None:
    image = shown(base64.b64decode(placeholder(Image.new("RGB", size, (120, 130, 60)))))
    assert near(colour(image, 0, 0), (120, 130, 60, 255), 12)
    assert (image.width > image.height) == (size[0] > size[1])


def test_a_picture_that_is_nothing_but_transparent() -> None:
    assert colour(shown(thumbhash(rgba(Image.new("RGBA", (10, 10))))), 5, 5)[3] == 0


@pytest.mark.parametrize("size", [(101, 50), (50, 101), (7, 50), (50, 7)])
def test_sides_beyond_the_limits_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{size[0]} × {size[1]} pixels"):
        thumbhash(rgba(Image.new("RGB", size)))
