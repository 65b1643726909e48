"""What a batch cost, and which part of it is each item's.

An invocation or a task is billed as a whole, an item's tokens are its own. Parts are integer micro-dollars and add up to the
bill.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal

from lambdas.runtime.contract import Manifest
from media_assets.settings import Settings
from media_assets.steps.prices import fargate_task, lambda_invocation
from media_assets.steps.step import Step, TargetName, Work


def charges(manifest: Manifest, step: Step, settings: Settings, target: TargetName) -> dict[uuid.UUID, int]:
    """By item: its part of the invocation or task, by the time it took, and its tokens."""
    bill = _bill(step, settings, target, manifest.billed_milliseconds, manifest.memory_mb)
    parts = split(bill, [outcome.metrics.milliseconds for outcome in manifest.outcomes])
    return {
        uuid.UUID(outcome.item_id): part
        + step.tokens_micro_dollars(settings, outcome.metrics.tokens_in, outcome.metrics.tokens_out)
        for outcome, part in zip(manifest.outcomes, parts, strict=True)
    }


def unanswered(
    works: Sequence[Work], step: Step, settings: Settings, target: TargetName, milliseconds: int
) -> dict[uuid.UUID, int]:
    """By item: its part, by estimated work, of an invocation or task that came back without a manifest after so long."""
    bill = _bill(step, settings, target, milliseconds, memory_mb_of(step, target))
    parts = split(bill, [estimated_work(step, work, settings) for work in works])
    return {work.item_id: part for work, part in zip(works, parts, strict=True)}


def memory_mb_of(step: Step, target: TargetName) -> int:
    return step.task.memory_mb if target == "ecs" and step.task else step.memory_mb


def _bill(step: Step, settings: Settings, target: TargetName, milliseconds: int, memory_mb: int) -> int:
    if target == "ecs" and step.task:
        return fargate_task(
            settings, seconds=Decimal(milliseconds) / 1000, vcpus=step.task.vcpus, memory_mb=step.task.memory_mb
        )
    return lambda_invocation(settings, milliseconds=milliseconds, memory_mb=memory_mb)


def estimated_work(step: Step, work: Work, settings: Settings) -> int:
    """In a unit of the step's own: milliseconds of a video, else pixels, or bytes before they are known. Models are shown
    thumbnails, all alike."""
    if step.calls_model:
        return 1
    return round(step.seconds(work, settings) * 1000) or work.pixels or work.size_bytes


def split(bill: int, weights: Sequence[int]) -> list[int]:
    """Parts in proportion to `weights` (all equal if all are 0), each within one of its exact share.

    What doesn't divide is carried from item to item, and the last one pays what is left: the parts add up to `bill`.
    """
    weights = weights if any(weights) else [1] * len(weights)
    total, paid, weighed, parts = sum(weights), 0, 0, []
    for weight in weights:
        weighed += weight
        parts.append(bill * weighed // total - paid)
        paid += parts[-1]
    return parts
