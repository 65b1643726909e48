"""Where a step's work is computed: a pure function of the work, the settings, and which targets are down.

A task takes up to a minute to start and is paid for a minute at least, but holds hundreds of items and runs for long. A
function answers at once, for some minutes at most.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from media_assets.settings import Settings
from media_assets.steps.step import Step, TargetName


@dataclass(frozen=True)
class Route:
    """A target and, in a word, why: it goes into the events of what is computed there."""

    target: TargetName
    reason: str


def route(step: Step, items: int, settings: Settings, paused: Collection[str] = ()) -> Route:
    """Where `items` of a step that are due together go. `paused` are the names of open circuit breakers.

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
