"""The colours that cover most of a picture, by the names that people search for."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lambdas.analyze.schema import DominantColour

_SAMPLE_PIXELS = 64  # on each side: 4,096 samples give shares to within a per cent or two
_SMALLEST_SHARE = 0.05
_MOST_COLOURS = 5

# Basic colour terms and a typical shade or two of each; a pixel takes the name of the nearest shade.
_SHADES = (
    ("black", "#000000"), ("black", "#1c1b1b"), ("dark grey", "#454545"), ("grey", "#808080"),
    ("light grey", "#bebebe"), ("white", "#ffffff"), ("white", "#ececea"),
    ("red", "#d01c1f"), ("dark red", "#7a1215"), ("pink", "#f4a3bb"), ("pink", "#e0528c"),
    ("orange", "#f07f13"), ("orange", "#de642d"), ("beige", "#d9c2a0"), ("beige", "#b89b7c"),
    ("brown", "#6b4423"), ("brown", "#8b5e3c"), ("brown", "#a8623a"), ("dark brown", "#3a2416"),
    ("yellow", "#f2d22e"), ("olive", "#76762b"), ("light green", "#9ccc77"), ("green", "#3f8f3c"),
    ("dark green", "#24401f"), ("dark green", "#0a4a45"), ("turquoise", "#2fb5a8"),
    ("light blue", "#9cc7e8"), ("blue", "#2f66c4"), ("dark blue", "#16244f"),
    ("lilac", "#c3a5d9"), ("purple", "#7a3f9d"),
)  # fmt: skip


def dominant_colours(image: Image.Image) -> tuple[DominantColour, ...]:
    """At most five colours of an RGB picture, largest share first, each with the mean of its pixels as its shade."""
    small = image.resize((_SAMPLE_PIXELS, _SAMPLE_PIXELS), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float64).reshape(-1, 3)
    shades = np.array([tuple(bytes.fromhex(shade[1:])) for _, shade in _SHADES], np.float64)
    distances = np.linalg.norm(_lab(pixels)[:, None, :] - _lab(shades)[None, :, :], axis=2)
    names = np.array([name for name, _ in _SHADES])[distances.argmin(axis=1)]
    colours = []
    for name in dict.fromkeys(name for name, _ in _SHADES):
        members = pixels[names == name]
        share = math.floor(1000 * len(members) / len(pixels)) / 1000  # rounded down: a sum never exceeds 1
        if share >= _SMALLEST_SHARE:
            red, green, blue = (round(channel) for channel in members.mean(axis=0))
            colours.append(DominantColour(hex=f"#{red:02x}{green:02x}{blue:02x}", name=name, share=share))
    return tuple(sorted(colours, key=lambda colour: -colour.share)[:_MOST_COLOURS])


def _lab(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB (D65) from sRGB 0–255, shape (n, 3): distances in it are close to what people see. IEC 61966-2-1, CIE 15."""
    encoded = srgb / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    relative = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(relative > 216 / 24389, np.cbrt(relative), (24389 / 27 * relative + 16) / 116)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
