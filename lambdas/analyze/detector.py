"""Finds things and where they are: NanoDet-g over the 80 classes of COCO.

Its head is that of generalized focal loss, https://arxiv.org/abs/2006.04388: each cell of three grids scores every class
and gives, for each edge of its box, a distribution over the distances of 0 to 10 strides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from lambdas.analyze.inference import Floats, run
from lambdas.analyze.vocabulary import COCO_NAMES

_INPUT_PIXELS = 416
_STRIDES = (8, 16, 32)
_BINS = 11
# Blue, green, red: the order and the statistics that the model was trained with.
_MEAN = np.array([103.53, 116.28, 123.675], np.float32)
_DEVIATION = np.array([57.375, 57.12, 58.395], np.float32)
# Two boxes that overlap by more than this (intersection over union) are one thing: of one class, of two.
_SAME_CLASS_OVERLAP = 0.6
_OTHER_CLASS_OVERLAP = 0.8


@dataclass(frozen=True)
class Detection:
    """A thing by its COCO name. Edges are fractions of the picture's sides and may lie slightly outside of 0–1."""

    name: str
    confidence: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """The part of the picture that it covers."""
        width = min(self.right, 1) - max(self.left, 0)
        height = min(self.bottom, 1) - max(self.top, 0)
        return max(width, 0) * max(height, 0)


def detect(image: Image.Image, thresholds: Floats) -> list[Detection]:
    """The things in an upright RGB picture, most confident first.

    `thresholds`, shape (80,), are the confidences in COCO_NAMES' order from which a class counts.
    """
    # Letterboxed, never stretched: the model was trained on true proportions.
    scale = _INPUT_PIXELS / max(image.size)
    width, height = (max(round(side * scale), 1) for side in image.size)
    left, top = (_INPUT_PIXELS - width) // 2, (_INPUT_PIXELS - height) // 2
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)[:, :, ::-1]
    canvas = np.zeros((_INPUT_PIXELS, _INPUT_PIXELS, 3), np.float32)
    canvas[top : top + height, left : left + width] = (pixels - _MEAN) / _DEVIATION
    outputs = run("nanodet-g-416.onnx", canvas.transpose(2, 0, 1)[None])

    offset, size = np.array([left, top, left, top]), np.array([width, height, width, height])
    found = []
    for stride in _STRIDES:
        scores = outputs[f"scores_{stride}"][0]
        cells, classes = np.nonzero(scores >= thresholds)
        boxes = (_boxes(outputs[f"edges_{stride}"][0][cells], cells, stride) - offset) / size
        for cell, label, box in zip(cells, classes, boxes.tolist(), strict=True):
            found.append(Detection(COCO_NAMES[label], float(scores[cell, label]), *box))
    return _distinct(sorted(found, key=lambda detection: -detection.confidence))


def _boxes(edges: Floats, cells: np.ndarray[tuple[int], np.dtype[np.intp]], stride: int) -> Floats:
    """Boxes (n, 4) in pixels of the canvas from the distributions (n, 44) of their edges' distances to the cell."""
    weights = np.exp(edges.reshape(-1, 4, _BINS) - edges.reshape(-1, 4, _BINS).max(axis=2, keepdims=True))
    left, top, right, bottom = (weights @ np.arange(_BINS) / weights.sum(axis=2) * stride).T
    row, column = np.divmod(cells, _INPUT_PIXELS // stride)
    x, y = (column + 0.5) * stride, (row + 0.5) * stride
    return np.stack([x - left, y - top, x + right, y + bottom], axis=1)


def _distinct(detections: list[Detection]) -> list[Detection]:
    """Without those that a more confident one already covers."""
    kept: list[Detection] = []
    for candidate in detections:
        if not any(_is_same(candidate, other) for other in kept):
            kept.append(candidate)
    return kept


def _is_same(a: Detection, b: Detection) -> bool:
    return _overlap(a, b) > (_SAME_CLASS_OVERLAP if a.name == b.name else _OTHER_CLASS_OVERLAP)


def _overlap(a: Detection, b: Detection) -> float:
    """Intersection over union."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box.right - box.left) * (box.bottom - box.top) for box in (a, b))
    return width * height / (areas - width * height)
