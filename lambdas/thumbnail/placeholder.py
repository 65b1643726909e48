"""ThumbHash: a blurred picture, with its aspect ratio and alpha, in about 25 bytes.

The format is that of https://evanw.github.io/thumbhash/. The PyPI package `thumbhash` 0.1.2 fails on every picture
that isn't opaque and takes 50 ms; this takes less than one.
"""

from __future__ import annotations

import base64
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_Channel = NDArray[np.float64]

MIN_SIDE, MAX_SIDE = 8, 100
"""Pixels. On fewer the cosines of the highest terms can't be told from a constant; more would not change the hash."""


def placeholder(image: Image.Image) -> str:
    """The ThumbHash of a picture of any size, in base64."""
    scale = min(max(1.0, MIN_SIDE / min(image.size)), MAX_SIDE / max(image.size))
    width, height = (max(MIN_SIDE, round(side * scale)) for side in image.size)
    small = image.convert("RGBA").resize((width, height), Image.Resampling.LANCZOS)
    return base64.b64encode(thumbhash(np.asarray(small))).decode()


def thumbhash(rgba: NDArray[np.uint8]) -> bytes:
    """The hash of a picture given as height × width × 4 (RGBA, not premultiplied), sides from MIN_SIDE to MAX_SIDE."""
    height, width, _ = rgba.shape
    if not MIN_SIDE <= min(width, height) <= max(width, height) <= MAX_SIDE:
        raise ValueError(f"{width} × {height} pixels aren't from {MIN_SIDE} to {MAX_SIDE} on each side")
    alpha = rgba[..., 3] / 255
    has_alpha = bool((rgba[..., 3] < 255).any())
    red, green, blue = (_on_average(rgba[..., channel] / 255, alpha) for channel in range(3))

    limit = 5 if has_alpha else 7  # fewer terms of luminance where alpha needs the room
    columns = max(1, _round(limit * width / max(width, height)))
    rows = max(1, _round(limit * height / max(width, height)))
    landscape = width > height

    light = _encode((red + green + blue) / 3, max(3, columns), max(3, rows))
    yellow_blue = _encode((red + green) / 2 - blue, 3, 3)
    red_green = _encode(red - green, 3, 3)

    bits = _Bits()
    bits.add(_round(63 * light.mean), 6)
    bits.add(_round(31.5 + 31.5 * yellow_blue.mean), 6)
    bits.add(_round(31.5 + 31.5 * red_green.mean), 6)
    bits.add(_round(31 * light.scale), 5)
    bits.add(has_alpha, 1)
    bits.add(rows if landscape else columns, 3)
    bits.add(_round(63 * yellow_blue.scale), 6)
    bits.add(_round(63 * red_green.scale), 6)
    bits.add(landscape, 1)
    terms = [*light.terms, *yellow_blue.terms, *red_green.terms]
    if has_alpha:
        opacity = _encode(alpha, 5, 5)
        bits.add(_round(15 * opacity.mean), 4)
        bits.add(_round(15 * opacity.scale), 4)
        terms += opacity.terms
    for term in terms:
        bits.add(_round(15 * term), 4)
    return bits.to_bytes()


class _Encoded(NamedTuple):
    """A channel's mean, and its cosine terms as shares (0–1) of the largest one, `scale`."""

    mean: float
    terms: list[float]
    scale: float


class _Bits:
    """Fields, the first in the lowest bits, little-endian."""

    def __init__(self) -> None:
        self._value = 0
        self._length = 0

    def add(self, field: int, length: int) -> None:
        self._value |= field << self._length
        self._length += length

    def to_bytes(self) -> bytes:
        return self._value.to_bytes((self._length + 7) // 8, "little")


def _on_average(channel: _Channel, alpha: _Channel) -> _Channel:
    """The channel on a ground of its own average colour."""
    average = float((channel * alpha).sum()) / (float(alpha.sum()) or 1.0)
    return average * (1 - alpha) + channel * alpha


def _encode(channel: _Channel, columns: int, rows: int) -> _Encoded:
    """A cosine transform of which the upper left triangle is kept, row by row."""
    height, width = channel.shape
    transformed = _cosines(rows, height) @ channel @ _cosines(columns, width).T / (width * height)
    terms = [float(transformed[y, x]) for y in range(rows) for x in range(columns) if x * rows < columns * (rows - y)]
    mean, terms = terms[0], terms[1:]
    scale = max(abs(term) for term in terms)
    return _Encoded(mean, [0.5 + 0.5 * term / scale for term in terms] if scale else terms, scale)


def _cosines(count: int, length: int) -> _Channel:
    positions = (np.arange(length) + 0.5) * (np.pi / length)
    cosines: _Channel = np.cos(np.outer(np.arange(count), positions))
    return cosines


def _round(value: float) -> int:
    """Half up, as the format's reference does it."""
    return math.floor(value + 0.5)
