"""How alike two pictures are, told from small grey copies."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.float32]
_FLAT = 8.0
"""Standard deviation of a picture without anything in it."""
_USUAL = 50.0


def upright(copy: bytes, side: int, rotation: int) -> Grey:
    """A copy of a video's picture, turned clockwise as the video is shown."""
    stored = np.frombuffer(copy, np.uint8).reshape(side, side).astype(np.float32)
    return np.rot90(stored, -rotation // 90)


def of_jpeg(body: bytes, side: int) -> Grey:
    """Raises OSError for one that doesn't decode."""
    with Image.open(io.BytesIO(body), formats=["JPEG"]) as image:
        small = image.convert("L").resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def difference(one: Grey, other: Grey) -> float:
    """Mean difference in levels of 256. Brightness and contrast, which change as colours are mapped, don't count, unless one of
    the pictures has nothing else."""
    deviations = one.std(), other.std()
    if min(deviations) < _FLAT:
        return float(np.abs(one - other).mean())
    scaled = [(each - each.mean()) / deviation * _USUAL for each, deviation in zip((one, other), deviations, strict=True)]
    return float(np.abs(scaled[0] - scaled[1]).mean())
