"""Where a step's work is computed: a pure function of the work, the settings, and which targets are down.

A task takes up to a minute to start and is paid for a minute at least, but holds hundreds of items and runs for long. A
function answers at once, for some minutes at most.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from media_assets.settings import Settings
from media_assets.steps.step import Step, TargetName, Work


@dataclass(frozen=True)
class Route:
    """A target and, in a word, why: it goes into the events of what is computed there."""

    target: TargetName
    reason: str


def routes(
    step: Step, works: Sequence[Work], settings: Settings, paused: Collection[str] = ()
) -> list[tuple[Route, list[Work]]]:
    """Where works of a step that are due together go, in their order. `paused` are the names of open circuit breakers."""
    if len(step.targets) == 1 or step.gathers:
        return [(route(step, len(works), settings, paused), list(works))] if works else []
    ways: dict[Route, list[Work]] = {}
    for work in works:
        if reason := step.needs_task(work):
            way = Route("ecs", reason)
        else:
            way = route_large(step, work.size_bytes, step.seconds(work, settings), settings, paused)
            if way.target == "lambda" and work.failures:  # its time or memory may have been too little, whatever the estimate
                way = Route("ecs", "failed_before")
        ways.setdefault(way, []).append(work)
    return list(ways.items())


def route(step: Step, items: int, settings: Settings, paused: Collection[str] = ()) -> Route:
    """Where `items` of a step that are due together go, however large they are.

    A step with one target goes there. Of two, ECS takes many items and Lambda the few that no task is worth; what is
    paused leaves its work to the other, unless both are.
    """
    if len(step.targets) == 1:
        return Route(step.targets[0], "only_target")
    many = items >= settings.ecs_min_items
    chosen: Route = Route("ecs", "many_items") if many else Route("lambda", "few_items")
    other: TargetName = "lambda" if many else "ecs"
    if step.breaker(chosen.target) in paused and step.breaker(other) not in paused:
        return Route(other, f"{chosen.target}_paused")
    return chosen


def route_large(step: Step, size_bytes: int, seconds: float, settings: Settings, paused: Collection[str] = ()) -> Route:
    """Where a single item goes that may be too much for a function: by its bytes, and by the seconds that it is likely to
    take. What a function can do goes to ECS too while functions are paused, unless tasks are as well."""
    if size_bytes > settings.lambda_max_video_bytes:
        return Route("ecs", "many_bytes")
    if seconds > settings.lambda_max_work_seconds:
        return Route("ecs", "long_work")
    if step.breaker("lambda") in paused and step.breaker("ecs") not in paused:
        return Route("ecs", "lambda_paused")
    return Route("lambda", "small")
