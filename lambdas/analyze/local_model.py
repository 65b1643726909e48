"""The embedded models' analysis of a picture: no key, no network, 50 ms of one CPU.

A classifier says what the whole looks like, a detector what is in it and where. Where both see one kind of thing, the
detector is believed at a lower confidence. Neither reads text nor knows prices: `text` is empty, `estimated_value` null.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from lambdas.analyze.classifier import class_names, classify
from lambdas.analyze.colours import dominant_colours
from lambdas.analyze.schema import MAX_TAGS, Analysis, BoundingBox, Category, DetectedObject
from lambdas.analyze.vocabulary import KINDS, Kind
from lambdas.analyze.wording import description, summary, with_article
from lambdas.runtime.vision.coco import COCO_NAMES
from lambdas.runtime.vision.detection import Detection
from lambdas.runtime.vision.inference import Floats
from lambdas.runtime.vision.nanodet import detect
from lambdas.runtime.vision.picture import opaque

MODEL_NAME = "local/efficientnet-lite0+nanodet-g"

# From which confidence a detection counts: alone, and when the classifier gives its kind at least the third figure.
_DETECTED = 0.4
_DETECTED_AND_CONFIRMED = 0.25
_CONFIRMING = 0.1
# From which probability the classifier's word is taken: as it is, as a guess, for a tag.
_LIKELY = 0.5
_POSSIBLE = 0.25
_TAGGED = 0.15
_MOST_OBJECTS = 50

_KIND_OF_CLASS = {index: kind for kind in KINDS for index in kind.imagenet}
_KIND_OF_THING = {name: kind for kind in reversed(KINDS) for name in kind.coco}


def analyze_image(image: Image.Image, original_width: int, original_height: int, exif: Mapping[str, Any]) -> Analysis:
    """The analysis of an upright picture of any size; transparency counts as white.

    Boxes are in pixels of the original, `original_width` × `original_height`, of which `image` may be a thumbnail. `exif`
    is the probe step's.
    """
    image = opaque(image)
    probabilities = classify(image)
    by_kind = {kind: float(probabilities[list(kind.imagenet)].sum()) for kind in KINDS}
    detections = detect(image, _thresholds(by_kind), _MOST_OBJECTS)
    colours = dominant_colours(image)
    return Analysis(
        category=_category(by_kind, detections),
        summary=summary(_impression(probabilities, by_kind), detections, colours, exif),
        tags=_tags(probabilities, by_kind, detections),
        objects=tuple(_object(detection, original_width, original_height) for detection in detections),
        text=(),
        dominant_colours=colours,
    )


def _thresholds(by_kind: Mapping[Kind, float]) -> Floats:
    """For each COCO class the confidence from which it counts, shape (80,)."""
    confirmed = {name for kind, probability in by_kind.items() if probability >= _CONFIRMING for name in kind.coco}
    return np.array([_DETECTED_AND_CONFIRMED if name in confirmed else _DETECTED for name in COCO_NAMES], np.float32)


def _category(by_kind: Mapping[Kind, float], detections: list[Detection]) -> Category:
    """The category with the most evidence: probability of its kinds, confidence in its things by their extent.

    A person counts twice, since the classifier knows none and would never agree. Kinds of a small probability don't
    count: 398 of the 1,000 classes are animals, so the noise of an unknown picture would add up to an animal.
    """
    evidence: dict[Category, float] = defaultdict(float)
    for kind, probability in by_kind.items():
        evidence[kind.category] += probability if probability >= _CONFIRMING else 0
    for detection in detections:
        weight = 2 if detection.name == "person" else 1
        evidence[_KIND_OF_THING[detection.name].category] += weight * detection.confidence * detection.area**0.5
    best = max(evidence, key=lambda category: evidence[category])
    return best if evidence[best] >= _POSSIBLE else Category.OTHER


def _impression(probabilities: Floats, by_kind: Mapping[Kind, float]) -> str | None:
    """What the whole looks like, as exactly as the classifier is sure of it, or None."""
    top = int(probabilities.argmax())
    name, probability = class_names()[top], float(probabilities[top])
    kind = max(by_kind, key=lambda kind: by_kind[kind])
    if probability >= _LIKELY:
        return f"looks like {with_article(name)}"
    if by_kind[kind] >= _LIKELY:
        guess = f", perhaps {with_article(name)}" if top in kind.imagenet and name != kind.name else ""
        return f"looks like {with_article(kind.name)}{guess}"
    return f"might be {with_article(name)}" if probability >= _POSSIBLE else None


def _tags(probabilities: Floats, by_kind: Mapping[Kind, float], detections: list[Detection]) -> tuple[str, ...]:
    """Search terms, from the particular to the general: classes, detected things, their kinds, their categories."""
    classes = [int(index) for index in np.argsort(-probabilities) if probabilities[index] >= _TAGGED]
    things = [_KIND_OF_THING[detection.name] for detection in detections]
    kinds = [kind for kind in sorted(KINDS, key=lambda kind: -by_kind[kind]) if by_kind[kind] >= _POSSIBLE]
    kinds += [_KIND_OF_CLASS[index] for index in classes] + things
    terms = [class_names()[index].lower() for index in classes]
    terms += [detection.name for detection in detections]
    terms += [term for kind in kinds for term in (kind.name, *kind.further_tags)]
    terms += [kind.category.value for kind in kinds if kind.category is not Category.OTHER]
    return tuple(dict.fromkeys(terms))[:MAX_TAGS]


def _object(detection: Detection, width: int, height: int) -> DetectedObject:
    return DetectedObject(
        caption=detection.name,
        description=description(detection),
        category=_KIND_OF_THING[detection.name].category.value,
        estimated_value=None,
        confidence=round(detection.confidence, 3),
        bounding_box=BoundingBox.clamped(
            detection.left * width,
            detection.top * height,
            detection.right * width,
            detection.bottom * height,
            width,
            height,
        ),
    )
