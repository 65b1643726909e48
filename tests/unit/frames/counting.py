"""Videos whose pictures say which one they are: eight fields, bright or dark, are the digits of its number in binary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.unit.videos import Videos

RATE = 10
_WIDTH, _HEIGHT, _FIELDS = 160, 48, 8
_NUMBERED = rf"geq=lum=40+160*mod(floor((N+1)/pow(2\,floor(X/{_WIDTH // _FIELDS})))\,2):cb=128:cr=128"


def counting(videos: Videos, *options: str, rate: int = RATE, select: str = "") -> Path:
    """A video of 3 seconds, whose first is number 0; `select` is a filter that leaves some out. The last option
    is the name's ending."""
    source = f"color=black:size={_WIDTH}x{_HEIGHT}:rate={rate}:duration=3,{_NUMBERED}"
    return videos.make("-f", "lavfi", "-i", f"{source},{select}" if select else source, *options)


def number(rgb: NDArray[np.uint8]) -> int:
    """Which picture it is, of whatever size."""
    bits = [field.mean() > 120 for field in np.array_split(rgb, _FIELDS, axis=1)]
    return sum(1 << position for position, bit in enumerate(bits) if bit) - 1
