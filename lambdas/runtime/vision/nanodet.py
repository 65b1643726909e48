"""Finds things and where they are: NanoDet-g over the 80 classes of COCO.

Its head is that of generalized focal loss, https://arxiv.org/abs/2006.04388: each cell of three grids scores every class
and gives, for each edge of its box, a distribution over the distances of 0 to 10 strides.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from lambdas.runtime.vision.coco import COCO_NAMES
from lambdas.runtime.vision.detection import Detection, distinct
from lambdas.runtime.vision.inference import Floats, run
from lambdas.runtime.vision.picture import Letterbox

_INPUT_PIXELS = 416
_STRIDES = (8, 16, 32)
_BINS = 11
# Blue, green, red: the order and the statistics that the model was trained with.
_MEAN = np.array([103.53, 116.28, 123.675], np.float32)
_DEVIATION = np.array([57.375, 57.12, 58.395], np.float32)


def detect(image: Image.Image, thresholds: Floats, most: int) -> list[Detection]:
    """The things in an upright RGB picture, `most` of them, most confident first.

    `thresholds`, shape (80,), are the confidences in COCO_NAMES' order from which a class counts.
    """
    letterbox = Letterbox.of(image.size, _INPUT_PIXELS, _INPUT_PIXELS)
    canvas = np.zeros((_INPUT_PIXELS, _INPUT_PIXELS, 3), np.float32)
    letterbox.place((letterbox.scaled(image)[:, :, ::-1] - _MEAN) / _DEVIATION, canvas)
    outputs = run("nanodet-g-416.onnx", canvas.transpose(2, 0, 1)[None])

    found = []
    for stride in _STRIDES:
        scores = outputs[f"scores_{stride}"][0]
        cells, classes = np.nonzero(scores >= thresholds)
        boxes = letterbox.fractions(_boxes(outputs[f"edges_{stride}"][0][cells], cells, stride))
        for cell, label, box in zip(cells, classes, boxes.tolist(), strict=True):
            found.append(Detection(COCO_NAMES[label], float(scores[cell, label]), *box))
    return distinct(found, most)


def _boxes(edges: Floats, cells: np.ndarray[tuple[int], np.dtype[np.intp]], stride: int) -> Floats:
    """Boxes (n, 4) in pixels of the canvas from the distributions (n, 44) of their edges' distances to the cell."""
    weights = np.exp(edges.reshape(-1, 4, _BINS) - edges.reshape(-1, 4, _BINS).max(axis=2, keepdims=True))
    left, top, right, bottom = (weights @ np.arange(_BINS) / weights.sum(axis=2) * stride).T
    row, column = np.divmod(cells, _INPUT_PIXELS // stride)
    x, y = (column + 0.5) * stride, (row + 0.5) * stride
    return np.stack([x - left, y - top, x + right, y + bottom], axis=1)
