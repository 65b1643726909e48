"""Batches by estimated work, so that an invocation takes seconds whatever the files are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from media_assets.settings import Settings
from media_assets.steps.step import Step, TargetName, Work


@dataclass(frozen=True)
class BatchLimits:
    """What one batch may hold at most; a single larger item is a batch of its own."""

    items: int
    size_bytes: int
    pixels: int
    fewest: int = 1
    """Items that a batch isn't made smaller for the sake of parallelism."""


_ANY = 2**63


def limits_for(step: Step, settings: Settings, target: TargetName) -> BatchLimits:
    if target == "ecs":
        return BatchLimits(items=settings.ecs_max_items, size_bytes=_ANY, pixels=_ANY, fewest=settings.ecs_min_items)
    pays = step.calls_model and settings.model_provider != "local"
    return BatchLimits(
        items=settings.batch_max_model_calls if pays else settings.batch_max_items,
        size_bytes=settings.batch_max_bytes,
        pixels=settings.batch_max_pixels,
    )


def make_batches(works: Sequence[Work], limits: BatchLimits, parallelism: int) -> list[list[Work]]:
    """Cut `works` into batches in their order, as many as can run side by side if there are enough of them.

    A batch holds uploads only, or recomputations only: they may have to wait for each other.
    """
    most = min(limits.items, max(limits.fewest, ceil(len(works) / parallelism)))
    batches: list[list[Work]] = []
    size_bytes = pixels = 0
    for work in works:
        fits = (
            batches
            and len(batches[-1]) < most
            and size_bytes + work.size_bytes <= limits.size_bytes
            and pixels + work.pixels <= limits.pixels
            and batches[-1][-1].recomputation == work.recomputation
        )
        if not fits:
            batches.append([])
            size_bytes = pixels = 0
        batches[-1].append(work)
        size_bytes += work.size_bytes
        pixels += work.pixels
    return batches


def halves(batch: Sequence[Work]) -> list[list[Work]]:
    """A batch that died, in two: repeated, the one item that kills it ends up alone."""
    middle = len(batch) // 2
    return [list(half) for half in (batch[:middle], batch[middle:]) if half]
