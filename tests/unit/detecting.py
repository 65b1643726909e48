"""Running the detect step on a picture as the pipeline does: through the real thumbnail step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image

from lambdas.detect.handler import handler
from lambdas.runtime.contract import BatchItem, ItemOutcome
from lambdas.thumbnail.handler import handler as thumbnail_handler
from tests.unit.conftest import Bucket, outcomes
from tests.unit.images import encode
from tests.unit.thumbnails import PARAMETERS as THUMBNAIL_PARAMETERS

PARAMETERS: dict[str, Any] = {
    "model": "local/nanodet-g-416",
    "model_sha256": None,
    "labels": None,
    "labels_sha256": None,
    "input_px": 800,
    "min_confidence": 0.4,
}


@dataclass(frozen=True)
class Found:
    label: str
    confidence: float
    bbox: tuple[int, int, int, int]

    def overlap(self, left: int, top: int, right: int, bottom: int) -> float:
        """Intersection over union with the edges that a person would draw."""
        x, y, width, height = self.bbox
        across, down = min(x + width, right) - max(x, left), min(y + height, bottom) - max(y, top)
        intersection = max(across, 0) * max(down, 0)
        return intersection / (width * height + (right - left) * (bottom - top) - intersection)


def thumbnailed(bucket: Bucket, body: bytes) -> BatchItem:
    """The item that `detect` gets of an upload."""
    item = bucket.put(body)
    (outcome,) = outcomes(thumbnail_handler, "thumbnail", THUMBNAIL_PARAMETERS, item)
    assert outcome.result is not None, outcome.error
    thumbnails = {str(output.attributes["size"]): output.key for output in outcome.outputs}
    size = {name: outcome.result[name] for name in ("width", "height")}
    return item.model_copy(update={"input": size | {"thumbnails": thumbnails}})


def outcome_of(item: BatchItem, **parameters: object) -> ItemOutcome:
    return outcomes(handler, "detect", PARAMETERS | parameters, item)[0]


def detections_of(item: BatchItem, **parameters: object) -> list[Found]:
    outcome = outcome_of(item, **parameters)
    assert outcome.result is not None, outcome.error
    assert set(outcome.result) == {"model", "detections"}
    return [Found(each["label"], each["confidence"], tuple(each["bbox"])) for each in outcome.result["detections"]]


def detections(bucket: Bucket, picture: bytes | Image.Image, **parameters: object) -> list[Found]:
    """What is found in an upload; a picture is uploaded as PNG."""
    body = picture if isinstance(picture, bytes) else encode(picture, "PNG")
    return detections_of(thumbnailed(bucket, body), **parameters)
