"""The steps there are, in the order in which an item takes them, and the pipelines they form."""

from __future__ import annotations

from media_assets.steps.analyze import Analyze
from media_assets.steps.detect import Detect
from media_assets.steps.embed import Embed
from media_assets.steps.frames import ExtractFrames
from media_assets.steps.probe import Probe
from media_assets.steps.segment import SegmentVideo
from media_assets.steps.step import Step
from media_assets.steps.thumbnail import MakeThumbnails
from media_assets.steps.vary import VaryText

IMAGE_PIPELINE: tuple[Step, ...] = (Probe(), MakeThumbnails(), Analyze(), Embed())
DETECTION_PIPELINE: tuple[Step, ...] = (Detect(),)
TEXT_PIPELINE: tuple[Step, ...] = (VaryText(),)
VIDEO_PIPELINE: tuple[Step, ...] = (ExtractFrames(), SegmentVideo())

PIPELINES: dict[str, tuple[Step, ...]] = {
    "image": IMAGE_PIPELINE,
    "detection": DETECTION_PIPELINE,
    "text": TEXT_PIPELINE,
    "video": VIDEO_PIPELINE,
}
"""By kind of work. Each has a job and runs of its own, so that a slow kind never holds up a quick one."""

STEPS: dict[str, Step] = {step.name: step for steps in PIPELINES.values() for step in steps}

PIPELINE_OF: dict[str, str] = {step.name: pipeline for pipeline, steps in PIPELINES.items() for step in steps}


def steps_before(name: str) -> list[str]:
    """What a step is computed from, directly or not, in order. Raises KeyError for a step there isn't."""
    upstream = STEPS[name].upstream
    return [] if upstream is None else [*steps_before(upstream), upstream]


def with_dependents(name: str) -> list[str]:
    """A step and everything computed from its result, in order. Raises KeyError for a step there isn't."""
    chosen = [STEPS[name].name]
    for step in STEPS.values():
        if step.upstream in chosen:
            chosen.append(step.name)
    return chosen
