"""Batches by estimated work, so that an invocation takes seconds whatever the files are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf

from media_assets.settings import Settings
from media_assets.steps.step import Step, TargetName, Work


@dataclass(frozen=True)
class BatchLimits:
    """What one batch may hold at most; a single larger item is a batch of its own."""

    items: int
    size_bytes: int
    pixels: int
    seconds: float = inf
    """Of estimated work, of steps that estimate it (`Step.seconds`)."""
    fewest: int = 1
    """Items that a batch isn't made smaller for the sake of parallelism."""


_ANY = 2**63


def limits_for(step: Step, settings: Settings, target: TargetName) -> BatchLimits:
    if target == "ecs" and step.gathers:
        return BatchLimits(items=settings.ecs_max_items, size_bytes=_ANY, pixels=_ANY, fewest=settings.ecs_min_items)
    if len(step.targets) > 1 and not step.gathers:
        # A task has hours, a function minutes, and the videos of either are on its disk one after the other.
        seconds = settings.lambda_max_work_seconds * (10 if target == "ecs" else 1)
        return BatchLimits(items=settings.batch_max_items, size_bytes=_ANY, pixels=_ANY, seconds=seconds)
    pays = step.hosted_model(settings) is not None
    return BatchLimits(
        items=settings.batch_max_model_calls if pays else settings.batch_max_items,
        size_bytes=settings.batch_max_bytes,
        pixels=settings.batch_max_pixels,
    )


def make_batches(
    works: Sequence[Work],
    limits: BatchLimits,
    parallelism: int,
    *,
    seconds_of: Callable[[Work], float] = lambda work: 0.0,
    recipe_of: Callable[[Work], str] = lambda work: "",
) -> list[list[Work]]:
    """Cut `works` into batches in their order, as many as can run side by side if each then holds the fewest that it should.

    A batch holds uploads only, or recomputations only: they may have to wait for each other. It is of one recipe.
    """
    side_by_side = max(1, min(parallelism, len(works) // limits.fewest))
    most = min(limits.items, ceil(len(works) / side_by_side))
    batches: list[list[Work]] = []
    size_bytes = pixels = 0
    seconds = 0.0
    for work in works:
        fits = (
            batches
            and len(batches[-1]) < most
            and size_bytes + work.size_bytes <= limits.size_bytes
            and pixels + work.pixels <= limits.pixels
            and seconds + seconds_of(work) <= limits.seconds
            and batches[-1][-1].recomputation == work.recomputation
            and recipe_of(batches[-1][-1]) == recipe_of(work)
        )
        if not fits:
            batches.append([])
            size_bytes = pixels = 0
            seconds = 0.0
        batches[-1].append(work)
        size_bytes += work.size_bytes
        pixels += work.pixels
        seconds += seconds_of(work)
    return batches


def halves(batch: Sequence[Work]) -> list[list[Work]]:
    """A batch that died, in two: repeated, the one item that kills it ends up alone."""
    middle = len(batch) // 2
    return [list(half) for half in (batch[:middle], batch[middle:]) if half]
