"""Batches by estimated work, so that an invocation takes seconds whatever the files are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from media_assets.settings import Settings
from media_assets.steps.step import Step, Work


@dataclass(frozen=True)
class BatchLimits:
    """What one batch may hold at most; a single larger item is a batch of its own."""

    items: int
    size_bytes: int
    pixels: int


def limits_for(step: Step, settings: Settings) -> BatchLimits:
    pays = step.calls_model and settings.model_provider != "local"
    return BatchLimits(
        items=settings.batch_max_model_calls if pays else settings.batch_max_items,
        size_bytes=settings.batch_max_bytes,
        pixels=settings.batch_max_pixels,
    )


def make_batches(works: Sequence[Work], limits: BatchLimits, parallelism: int) -> list[list[Work]]:
    """Cut `works` into batches in their order, at least as many as can run side by side."""
    most = min(limits.items, ceil(len(works) / parallelism)) if works else 0
    batches: list[list[Work]] = []
    size_bytes = pixels = 0
    for work in works:
        fits = (
            batches
            and len(batches[-1]) < most
            and size_bytes + work.size_bytes <= limits.size_bytes
            and pixels + work.pixels <= limits.pixels
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
