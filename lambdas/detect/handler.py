"""The `detect` step: which things are in a picture, and where, by the embedded detector or by a model of one's own.

It works on a thumbnail, as `analyze` does, so it decodes nothing that a stranger sent.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from lambdas.detect.model_files import ModelFiles, own_model
from lambdas.runtime.contract import BatchItem, ErrorCode
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.step import StepContext, StepError, StepResult
from lambdas.runtime.vision import nanodet
from lambdas.runtime.vision.coco import COCO_NAMES
from lambdas.runtime.vision.detection import Detection
from lambdas.runtime.vision.picture import opaque
from lambdas.runtime.vision.thumbnails import PictureFacts

EMBEDDED_MODEL = "local/nanodet-g-416"
MOST_DETECTIONS = 100


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """EMBEDDED_MODEL, or the key of an ONNX file; then the others say what is in it and what it calls things."""
    model_sha256: str | None = None
    labels: str | None = None
    labels_sha256: str | None = None
    input_px: int
    """Which of the thumbnails is looked at: the size of its long side."""
    min_confidence: float = Field(gt=0, le=1)


def process(item: BatchItem, context: StepContext) -> StepResult:
    """result = {"model", "detections": [{"label", "confidence", "bbox": [x, y, width, height]}]}, at most 100, most
    confident first. Boxes are in pixels of the upright original and inside of it.

    Raises BadRequest for parameters that no recipe has; StepError MODEL_NOT_CONFIGURED for a model that can't be used or a
    thumbnail size there isn't, MODEL_ANSWER_INVALID when the model fails at this picture, and what the storage raises.
    """
    parameters = context.parameters_as(_Parameters)
    facts = PictureFacts.model_validate(item.input)
    facts.require(parameters.input_px)
    picture = opaque(facts.read(item, context, parameters.input_px))
    detections = []
    for found in _detect(picture, parameters, item.bucket):
        bbox = found.pixels(facts.width, facts.height)
        if bbox is not None:
            detections.append({"label": found.name, "confidence": round(found.confidence, 4), "bbox": list(bbox)})
    return StepResult({"model": parameters.model, "detections": detections})


def _detect(picture: Image.Image, parameters: _Parameters, bucket: str) -> list[Detection]:
    if parameters.model == EMBEDDED_MODEL:
        thresholds = np.full(len(COCO_NAMES), parameters.min_confidence, np.float32)
        return nanodet.detect(picture, thresholds, MOST_DETECTIONS)
    if parameters.model_sha256 is None or parameters.labels is None or parameters.labels_sha256 is None:
        raise StepError(
            ErrorCode.MODEL_NOT_CONFIGURED,
            f"{parameters.model} is not the embedded detector, {EMBEDDED_MODEL}, and the recipe lacks its digest or its labels",
        )
    files = ModelFiles(bucket, parameters.model, parameters.model_sha256, parameters.labels, parameters.labels_sha256)
    return own_model(files).detect(picture, parameters.min_confidence, MOST_DETECTIONS)


handler = lambda_handler("detect", process)
