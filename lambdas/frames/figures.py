"""What a picture looks like in figures, taken from a small copy of it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

SMALL_SIDE = 320
"""Pixels of the small copy's long side."""
_SMALLEST_SIDE = 4
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_LEVELS_BITS = 3
_ROWS, _COLUMNS = 9, 16
_GRID_SCALE = 100

Signature = NDArray[np.float16]
"""Of what a picture is like: its histogram of 512 colours, and the mean colours of 9 × 16 fields, so scaled that the L1
distance of two is the share of pixels whose colour is gone plus a hundredth of the fields' mean difference in levels of 256.
A cut to something else makes 0.6 and more, a camera that is swung round up to 0.5, things that move some 0.1."""


@dataclass(frozen=True)
class Figures:
    """`brightness` (mean) and `contrast` (standard deviation) are of the luma, 0–255; `sharpness` is the variance of its
    Laplacian. `fingerprint` tells the picture from others of its video."""

    brightness: float
    contrast: float
    sharpness: float
    signature: Signature
    fingerprint: int


class Viewer:
    """Looks at pictures of one video."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def figures(self, frame: VideoFrame) -> Figures:
        return figures_of(self._small(frame))

    def fingerprint(self, frame: VideoFrame) -> int:
        return zlib.crc32(self._small(frame).tobytes())

    def _small(self, frame: VideoFrame) -> NDArray[np.uint8]:
        scale = min(1.0, SMALL_SIDE / max(frame.width, frame.height))
        width, height = (max(_SMALLEST_SIDE, round(side * scale)) for side in (frame.width, frame.height))
        small = self._reformatter.reformat(
            frame, width, height, "rgb24", interpolation=Interpolation.AREA | Interpolation.BITEXACT, threads=1
        )
        return np.asarray(small.to_ndarray(), np.uint8)


def figures_of(rgb: NDArray[np.uint8]) -> Figures:
    """Of a picture (height, width, 3) with at least 4 pixels a side."""
    luma = rgb @ _LUMA
    laplacian = 4 * luma[1:-1, 1:-1] - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]
    return Figures(float(luma.mean()), float(luma.std()), float(laplacian.var()), _signature(rgb), zlib.crc32(rgb.tobytes()))


def _signature(rgb: NDArray[np.uint8]) -> Signature:
    levels = (rgb >> (8 - _LEVELS_BITS)).astype(np.int32)
    colours = (levels[..., 0] << 2 * _LEVELS_BITS) + (levels[..., 1] << _LEVELS_BITS) + levels[..., 2]
    histogram = np.bincount(colours.ravel(), minlength=1 << 3 * _LEVELS_BITS) / colours.size / 2
    rows = np.linspace(0, rgb.shape[0], _ROWS, endpoint=False).astype(int)
    columns = np.linspace(0, rgb.shape[1], _COLUMNS, endpoint=False).astype(int)
    sums = np.add.reduceat(np.add.reduceat(rgb.astype(np.float32), rows, axis=0), columns, axis=1)
    areas = np.diff(np.append(rows, rgb.shape[0]))[:, None, None] * np.diff(np.append(columns, rgb.shape[1]))[None, :, None]
    grid = sums / np.maximum(areas, 1) / (_ROWS * _COLUMNS * 3 * _GRID_SCALE)
    return np.concatenate([histogram, grid.ravel()]).astype(np.float16)


def distance(one: Signature, other: Signature) -> float:
    """How different two pictures are: 0 for the same, see Signature."""
    return float(np.abs(one.astype(np.float32) - other.astype(np.float32)).sum())
