"""Work, requests and manifests for tests of dispatch."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from lambdas.runtime.contract import ErrorCode, ItemError, ItemOutcome, Manifest, Metrics, OutputObject, StepRequest
from media_assets.dispatch.targets import OnProgress, unheard
from media_assets.eventlog.events import Trace
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.step import Job, Step, Work

NOW = datetime(2026, 3, 1, 14, 30, tzinfo=UTC)
PROBE = STEPS["probe"]
THUMBNAIL = STEPS["thumbnail"]

PROBED = {
    "kind": "image",
    "format": "jpeg",
    "content_type": "image/jpeg",
    "width": 30,
    "height": 20,
    "upright_width": 20,
    "upright_height": 30,
    "orientation": 6,
}
"""What probe answers for a picture."""


@dataclass
class FunctionTarget:
    """A target that is a Python function."""

    answer: Callable[[StepRequest], Manifest]
    cancelled: bool = False
    stopped: list[str] = field(default_factory=list)

    def send(self, request: StepRequest, on_progress: OnProgress = unheard) -> Manifest:
        return self.answer(request)

    def stop(self, attempt_id: str) -> None:
        self.stopped.append(attempt_id)

    def cancel(self) -> None:
        self.cancelled = True


def work(step: str = "probe", *, size_bytes: int = 1000, pixels: int = 0, failures: int = 0) -> Work:
    return Work(
        item_id=uuid.uuid4(),
        user_id="ada",
        bucket="photos",
        key="uploads/ada/cat.jpg",
        version_id="v1",
        size_bytes=size_bytes,
        pixels=pixels,
        hour=datetime(2026, 3, 1, 14, tzinfo=UTC),
        step=step,
        generation=0,
        failures=failures,
        attempt=failures + 1,
        trace=Trace(correlation_id=uuid.uuid4(), causation_id=uuid.uuid4()),
    )


VIDEO: dict[str, Any] = {
    "duration_ms": 10_000,
    "frame_rate": 30.0,
    "variable_frame_rate": False,
    "codec": "h264",
    "bit_depth": 8,
    "hdr": False,
    "rotation": 0,
    "sample_aspect_ratio": [1, 1],
    "video_tracks": 1,
    "audio": [{"codec": "aac", "channels": 2, "sample_rate_hz": 48000, "language": None}],
}
"""What the probe learns of a video of ten seconds."""


def video_work(
    step: str = "segment", *, seconds: float = 10, size_bytes: int = 1_000_000, options: dict[str, Any] | None = None
) -> Work:
    """Work on a video of 1080p; with `options`, a job's."""
    video = {**VIDEO, "duration_ms": round(seconds * 1000)}
    job = Job(uuid.uuid4(), options) if options else None
    return replace(work(step, size_bytes=size_bytes, pixels=1920 * 1080), width=1920, height=1080, video=video, job=job)


def request_for(works: Sequence[Work], step: Step = PROBE) -> StepRequest:
    recipe = step.recipe(Settings())
    return StepRequest(
        batch_id="b1",
        attempt_id="a1",
        attempt=1,
        step=step.name,
        recipe=recipe.digest,
        parameters=dict(recipe.parameters),
        items=tuple(each.batch_item(recipe) for each in works),
    )


def ok(item_id: object, result: dict[str, Any] | None = None, outputs: Sequence[OutputObject] = ()) -> ItemOutcome:
    metrics = Metrics(milliseconds=12, bytes_in=1000, tokens_in=3, tokens_out=4)
    return ItemOutcome(
        item_id=str(item_id), result=PROBED if result is None else result, outputs=tuple(outputs), metrics=metrics
    )


def error(item_id: object, code: ErrorCode, *, retryable: bool = True, message: str = "a sentence") -> ItemOutcome:
    return ItemOutcome(item_id=str(item_id), error=ItemError(code=code, message=message, retryable=retryable))


def answer_to(request: StepRequest, outcomes: Sequence[ItemOutcome] | None = None) -> Manifest:
    """A manifest for the request, with the items' correlation ids; without outcomes, every item is probed."""
    if outcomes is None:
        outcomes = [ok(item.item_id) for item in request.items]
    uploads = {item.item_id: item.correlation_id for item in request.items}
    outcomes = [each.model_copy(update={"correlation_id": uploads.get(each.item_id)}) for each in outcomes]
    return Manifest(
        batch_id=request.batch_id,
        attempt_id=request.attempt_id,
        step=request.step,
        recipe=request.recipe,
        memory_mb=PROBE.memory_mb,
        billed_milliseconds=sum(outcome.metrics.milliseconds for outcome in outcomes),
        outcomes=tuple(outcomes),
    )
