"""The steps there are, in the order in which an item takes them, and the pipelines they form."""

from __future__ import annotations

from media_assets.steps.analyze import Analyze
from media_assets.steps.embed import Embed
from media_assets.steps.probe import Probe
from media_assets.steps.step import Step
from media_assets.steps.thumbnail import MakeThumbnails

IMAGE_PIPELINE: tuple[Step, ...] = (Probe(), MakeThumbnails(), Analyze(), Embed())

STEPS: dict[str, Step] = {step.name: step for step in IMAGE_PIPELINE}


def with_dependents(name: str) -> list[str]:
    """A step and everything computed from its result, in order. Raises KeyError for a step there isn't."""
    chosen = [STEPS[name].name]
    for step in STEPS.values():
        if step.upstream in chosen:
            chosen.append(step.name)
    return chosen
