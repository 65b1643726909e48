"""A target that answers at once what a step's function would say of a small photo: what is left is the orchestrator's cost.

Its three thumbnails are real objects, the same for all items, so that checks and contact sheets find what they look for.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
from dagster import AssetExecutionContext
from PIL import Image

from lambdas.runtime.contract import ItemOutcome, Manifest, Metrics, OutputObject, StepRequest
from media_assets.defs.resource import MediaResource
from media_assets.dispatch.targets import OnProgress, Target, unheard
from media_assets.settings import Settings
from media_assets.steps.step import Step, TargetName

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WIDTH, HEIGHT = 64, 48
_ANALYSIS = {
    "category": "animal",
    "summary": "A tabby cat sleeps on a green sofa beside a lamp and a pile of books, in the light of an afternoon window.",
    "tags": ["tabby", "cat", "sofa", "books", "lamp", "window"],
    "objects": [],
    "text": [],
    "dominant_colours": [{"hex": "#7a5c3e", "name": "brown", "share": 0.5}, {"hex": "#2f6b3c", "name": "green", "share": 0.25}],
}


class FixedTarget(Target):
    """Takes any step and any number of items. Threads may share it."""

    def __init__(self, settings: Settings, thumbnails: tuple[OutputObject, ...]) -> None:
        self._settings = settings
        self._thumbnails = thumbnails

    def send(self, request: StepRequest, on_progress: OnProgress = unheard) -> Manifest:
        outcomes = tuple(
            ItemOutcome(
                item_id=item.item_id,
                correlation_id=item.correlation_id,
                result=self._result(request.step, item.item_id),
                outputs=self._thumbnails if request.step == "thumbnail" else (),
                metrics=Metrics(milliseconds=100),
            )
            for item in request.items
        )
        return Manifest(
            batch_id=request.batch_id,
            attempt_id=request.attempt_id,
            step=request.step,
            recipe=request.recipe,
            memory_mb=1024,
            billed_milliseconds=100 * len(outcomes),
            outcomes=outcomes,
        )

    def stop(self, attempt_id: str) -> None:
        """There is nothing to stop: every answer is given at once."""

    def cancel(self) -> None:
        """Nor is there then."""

    def _result(self, step: str, item_id: str) -> dict[str, Any]:
        settings = self._settings
        if step == "embed":
            vector = np.random.default_rng(uuid.UUID(item_id).int).standard_normal(settings.embed_dimensions)
            unit = (vector / np.linalg.norm(vector)).round(7).tolist()
            return {"model": settings.embed_model, "dimensions": settings.embed_dimensions, "vector": unit}
        results: dict[str, dict[str, Any]] = {
            "probe": {
                **{"kind": "image", "format": "jpeg", "content_type": "image/jpeg", "orientation": 1, "exif": {}},
                **{"width": WIDTH, "height": HEIGHT, "upright_width": WIDTH, "upright_height": HEIGHT},
            },
            "thumbnail": {"placeholder": "1QcSHQRnh493V4dIh4eXh1h4kJUI", "width": WIDTH, "height": HEIGHT},
            "analyze": {"analysis": _ANALYSIS, "provider": settings.model_provider, "model": settings.analyze_model},
            "detect": {
                "model": settings.detect_model,
                "detections": [{"label": "cat", "confidence": 0.87, "bbox": [4, 6, 40, 30]}],
            },
        }
        return results[step]


class FixedAnswers(MediaResource):
    """What the assets work with, with that target in place of all others."""

    def targets(self, context: AssetExecutionContext, step: Step) -> dict[TargetName, Target]:
        target = FixedTarget(self.settings, thumbnails(self.s3, self.settings))
        return dict.fromkeys(step.targets, target)


def thumbnails(s3: S3Client, settings: Settings) -> tuple[OutputObject, ...]:
    """Write the three objects, and tell of them."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB").save(buffer, "WEBP")
    body = buffer.getvalue()
    outputs = []
    for size in settings.thumbnail_sizes_px:
        key = f"derived/fixed/{size}.webp"
        s3.put_object(Bucket=settings.bucket, Key=key, Body=body, ContentType="image/webp")
        outputs.append(
            OutputObject(
                key=key,
                sha256=hashlib.sha256(body).hexdigest(),
                size_bytes=len(body),
                content_type="image/webp",
                attributes={"size": size, "width": WIDTH, "height": HEIGHT},
            )
        )
    return tuple(outputs)
