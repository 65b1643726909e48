"""The steps' targets as Python functions, for runs that need no Lambda; tests/contract/pipes has real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import boto3
from dagster import AssetExecutionContext

from lambdas.runtime.contract import BatchItem, ItemOutcome, Manifest, Metrics, OutputObject, StepRequest
from media_assets.defs.resource import MediaResource
from media_assets.dispatch.targets import Target
from media_assets.settings import get_settings
from media_assets.steps.step import Step, TargetName
from tests.unit.defs.cinema import jpeg
from tests.unit.defs.gallery import ANALYSIS, HEIGHT, WIDTH, webp
from tests.unit.dispatch.works import FunctionTarget


def outcome_of(step: str, item: BatchItem) -> ItemOutcome:
    """What a step answers for a picture of 1200x800, or for a video of which it was told."""
    results: dict[str, dict[str, Any] | Callable[[BatchItem], dict[str, Any]]] = {
        "probe": {
            "kind": "image",
            "format": "jpeg",
            "content_type": "image/jpeg",
            "orientation": 1,
            "upright_width": WIDTH,
            "upright_height": HEIGHT,
        },
        "thumbnail": {"placeholder": "3OcRJYB4d3h/iIeHeEh3eIhw+j3A"},
        "analyze": {"provider": "local", "model": "local/test", "analysis": ANALYSIS},
        "embed": {"model": "local/test", "dimensions": 2, "vector": [0.6, 0.8]},
        "detect": {
            "model": get_settings().detect_model,
            "detections": [{"label": "cat", "confidence": 0.875, "bbox": [100, 50, 1000, 700]}],
        },
        "frames": _frames,
        "segment": _segments,
    }
    return ItemOutcome(
        item_id=item.item_id,
        result=answer(item) if callable(answer := results[step]) else answer,
        outputs=tuple(_thumbnail(item, size) for size in (256, 800, 1600)) if step == "thumbnail" else (),
        metrics=Metrics(milliseconds=7, bytes_in=item.size_bytes),
    )


def _frames(item: BatchItem) -> dict[str, Any]:
    """Two, the second one the poster."""
    frames = []
    for time_ms in (480, 4000):
        key, body = f"{item.output_prefix}{time_ms:08d}.jpg", jpeg(640, 272, time_ms // 40)
        stored = boto3.client("s3").put_object(Bucket=item.bucket, Key=key, Body=body, ContentType="image/jpeg")
        frames.append(
            {
                "timecode_ms": time_ms,
                "key": key,
                "version_id": stored["VersionId"],
                "etag": stored["ETag"].strip('"'),
                "sha256": hashlib.sha256(body).hexdigest(),
                "size_bytes": len(body),
                "width": 640,
                "height": 272,
                "is_poster": time_ms == 4000,
            }
        )
    return {"frames": frames, "shots": 3}


def _segments(item: BatchItem) -> dict[str, Any]:
    """As planned, without files."""
    texts = item.input["texts"]
    segments = [
        {
            "index": index,
            "start_ms": start_ms,
            "end_ms": end_ms,
            "key": f"{item.output_prefix}segment_{index:03d}.mp4",
            "sha256": "0" * 64,
            "size_bytes": 1000,
            "text": texts and texts[min(index, len(texts) - 1)],
        }
        for index, (start_ms, end_ms) in enumerate(item.input["cuts_ms"])
    ]
    return {"mode": "encoded" if texts else "copied", "duration_ms": segments[-1]["end_ms"], "segments": segments}


def _thumbnail(item: BatchItem, size: int) -> OutputObject:
    scale = min(1, size / WIDTH)
    width, height = round(WIDTH * scale), round(HEIGHT * scale)
    body = webp(width, height)
    key = f"{item.output_prefix}{size}.webp"
    boto3.client("s3").put_object(Bucket=item.bucket, Key=key, Body=body, ContentType="image/webp")
    return OutputObject(
        key=key,
        sha256=hashlib.sha256(body).hexdigest(),
        size_bytes=len(body),
        content_type="image/webp",
        attributes={"size": size, "width": width, "height": height},
    )


class ProcessingHere(MediaResource):
    """Sends batches to functions of this process."""

    def targets(self, context: AssetExecutionContext, step: Step) -> dict[TargetName, Target]:
        return {
            name: FunctionTarget(lambda request: _answer(request, lambda item: outcome_of(step.name, item)))
            for name in step.targets
        }


def _answer(request: StepRequest, outcome: Callable[[BatchItem], ItemOutcome]) -> Manifest:
    outcomes = tuple(map(outcome, request.items))
    return Manifest(
        batch_id=request.batch_id,
        attempt_id=request.attempt_id,
        step=request.step,
        recipe=request.recipe,
        memory_mb=512,
        billed_milliseconds=sum(each.metrics.milliseconds for each in outcomes),
        outcomes=outcomes,
    )
