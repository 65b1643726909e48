"""detect: which things are in a picture, and where, from a thumbnail."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from lambdas.runtime.contract import ItemOutcome
from media_assets.eventlog.catalogue import Detection, DetectionsCompleted
from media_assets.settings import Settings
from media_assets.steps.step import Step, TaskSize, Work
from media_assets.steps.thumbnail import picture_facts


class Detect(Step):
    name = "detect"
    asset = "detections"
    kinds = ("image", "frame")
    upstream = "thumbnail"
    version = 1
    memory_mb = 2048
    timeout_seconds = 300
    targets = ("ecs", "lambda")
    gathers = True
    task = TaskSize(vcpus=Decimal(1), memory_mb=2048, timeout_seconds=900)
    description = "Things by their names, with boxes in pixels of the original, as an object detector finds them."

    def parameters(self, settings: Settings) -> dict[str, Any]:
        return {
            "model": settings.detect_model,
            "model_sha256": settings.detect_model_sha256,
            "labels": settings.detect_labels,
            "labels_sha256": settings.detect_labels_sha256,
            "input_px": settings.detect_input_px,
            "min_confidence": settings.detect_min_confidence,
        }

    def inputs(self, connection: Connection, works: Sequence[Work], settings: Settings) -> dict[uuid.UUID, dict[str, Any]]:
        return picture_facts(connection, works, "width", "height")

    def payload(self, work: Work, outcome: ItemOutcome) -> DetectionsCompleted:
        result = outcome.result or {}
        payload = DetectionsCompleted(
            version_id=work.version_id,
            model=result["model"],
            detections=tuple(Detection.model_validate(found) for found in result["detections"]),
        )
        width, height = work.input["width"], work.input["height"]
        for x, y, across, down in (found.bbox for found in payload.detections):
            if not (0 <= x < x + across <= width and 0 <= y < y + down <= height):
                raise ValueError(f"a box of {across} × {down} at ({x}, {y}) leaves a picture of {width} × {height}")
        return payload
