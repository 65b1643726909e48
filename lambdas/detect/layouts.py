"""How ONNX files of the usual detectors want their pictures and lay out their answers, told by the shape of the output.

| layout | first output | its rows |
|---|---|---|
| YOLOX | (1, cells, 5 + labels) | centre and size in strides, from the cell; that something is there; each label |
| YOLOv5, v7 | (1, 3 · cells, 5 + labels) | centre and size in pixels; that something is there; each label |
| YOLOv8 and later | (1, 4 + labels, cells) | as columns: centre and size in pixels; each label |
| end to end | (1, any, 6) | left, top, right, bottom in pixels; confidence; the label's number |

Pixels are the canvas's, scores are probabilities. Sources: `YOLOX/demo/ONNXRuntime` of Megvii-BaseDetection/YOLOX (export
as it is by default, without `--decode_in_inference`, or with it), `Detect` of ultralytics/yolov5 and ultralytics/ultralytics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lambdas.runtime.vision.inference import Floats

_PYRAMIDS = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))
"""The strides of a model's grids: as usual, for large pictures, for small things."""
_GREATEST_LOGARITHM = 20  # of a size in strides; beyond it exp overflows sooner or later
PADDING = 114  # grey, where the picture doesn't cover the canvas: what all of these were trained with


@dataclass(frozen=True)
class Candidates:
    """n boxes, shape (n, 4), as left, top, right and bottom in pixels of the canvas, and of each its confidence and label."""

    boxes: Floats
    confidences: Floats
    labels: NDArray[np.intp]


@dataclass(frozen=True)
class Layout:
    """What a model takes, `reverse_channels` (blue, green, red) and `divisor` of 0–255, and how the first output's rows for
    the one picture are read. Where `overlaps`, one thing is found several times."""

    name: str
    reverse_channels: bool
    divisor: float
    overlaps: bool
    candidates: Callable[[Floats], Candidates]


def layout_of(shape: Sequence[object], height: int, width: int, labels: int) -> Layout:
    """The layout of an output of that shape (a side that may vary is no number) of a model with that canvas and so many
    labels. Raises ValueError, with a sentence about what would fit, if it is none of them."""
    sides = tuple(shape)[1:] if len(shape) == 3 else ()
    for strides in _PYRAMIDS:
        cells = _cells(height, width, strides)
        if sides == (len(cells), 5 + labels):
            return Layout("YOLOX", True, 1, True, partial(_yolox, cells=cells, far=max(height, width) / 2))
        if sides == (3 * len(cells), 5 + labels):
            return Layout("YOLOv5", False, 255, True, _with_objectness)
        if sides == (4 + labels, len(cells)):
            return Layout("YOLOv8", False, 255, True, _columns)
    if sides and sides[1] == 6:
        return Layout("end to end", False, 255, False, _end_to_end)
    count = len(_cells(height, width, _PYRAMIDS[0]))
    raise ValueError(
        f"its output is {' × '.join(str(side) for side in shape)}; with {labels} labels and a canvas of {width} × {height} it"
        f" would be 1 × {count} × {5 + labels} (YOLOX), 1 × {3 * count} × {5 + labels} (YOLOv5), 1 × {4 + labels} × {count}"
        " (YOLOv8 and later) or 1 × any × 6 (end to end)"
    )


def _cells(height: int, width: int, strides: tuple[int, ...]) -> Floats:
    """Column, row and stride of each cell, shape (n, 3), in the order of a model's rows."""
    return np.array(
        [(column, row, stride) for stride in strides for row in range(height // stride) for column in range(width // stride)],
        np.float32,
    ).reshape(-1, 3)


def _yolox(rows: Floats, *, cells: Floats, far: float) -> Candidates:
    # Both kinds of export have one shape. Centres in pixels reach the far side of any canvas, offsets in strides never do.
    if rows[:, :2].max() > far:
        return _with_objectness(rows)
    strides = cells[:, 2:]
    centres = (rows[:, :2] + cells[:, :2]) * strides
    sizes = np.exp(np.minimum(rows[:, 2:4], _GREATEST_LOGARITHM)) * strides
    return _with_objectness(np.concatenate([centres, sizes, rows[:, 4:]], axis=1))


def _with_objectness(rows: Floats) -> Candidates:
    return _best(rows[:, :4], rows[:, 4:5] * rows[:, 5:])


def _columns(columns: Floats) -> Candidates:
    return _best(columns[:4].T, columns[4:].T)


def _best(centred: Floats, scores: Floats) -> Candidates:
    """Of boxes (n, 4) as centre and size, and scores (n, labels), each with its best label."""
    labels = scores.argmax(axis=1)
    centres, halves = centred[:, :2], centred[:, 2:] / 2
    return Candidates(np.concatenate([centres - halves, centres + halves], axis=1), scores.max(axis=1), labels)


def _end_to_end(rows: Floats) -> Candidates:
    return Candidates(rows[:, :4], rows[:, 4], np.nan_to_num(rows[:, 5]).round().astype(np.intp))
