"""What a batch cost, and which part of it is each item's.

An invocation is billed as a whole, an item's tokens are its own. Parts are integer micro-dollars and add up to the bill.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from lambdas.runtime.contract import Manifest
from media_assets.settings import Settings
from media_assets.steps.prices import lambda_invocation
from media_assets.steps.step import Step, Work


def charges(manifest: Manifest, step: Step, settings: Settings) -> dict[uuid.UUID, int]:
    """By item: its part of the invocation, by the time it took, and its tokens."""
    bill = lambda_invocation(settings, milliseconds=manifest.billed_milliseconds, memory_mb=manifest.memory_mb)
    parts = split(bill, [outcome.metrics.milliseconds for outcome in manifest.outcomes])
    return {
        uuid.UUID(outcome.item_id): part
        + step.tokens_micro_dollars(settings, outcome.metrics.tokens_in, outcome.metrics.tokens_out)
        for outcome, part in zip(manifest.outcomes, parts, strict=True)
    }


def unanswered(works: Sequence[Work], step: Step, settings: Settings, milliseconds: int) -> dict[uuid.UUID, int]:
    """By item: its part, by estimated work, of an invocation that came back without a manifest after so long."""
    bill = lambda_invocation(settings, milliseconds=milliseconds, memory_mb=step.memory_mb)
    parts = split(bill, [estimated_work(step, work) for work in works])
    return {work.item_id: part for work, part in zip(works, parts, strict=True)}


def estimated_work(step: Step, work: Work) -> int:
    """In a unit of the step's own: pixels, or bytes before they are known. Models are shown thumbnails, all alike."""
    return 1 if step.calls_model else work.pixels or work.size_bytes


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
