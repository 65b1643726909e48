"""What a target is: somewhere that a batch of a step can be sent to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from lambdas.runtime.contract import Manifest, StepRequest
from media_assets.steps.step import TargetName

OnProgress = Callable[[str, int], None]
"""Hears how much of an item of a batch is done: its id, and percent."""


def unheard(item_id: str, percent: int) -> None:
    """For whoever doesn't want to know."""


class Target(Protocol):
    """Threads share one target of a run."""

    def send(self, request: StepRequest, on_progress: OnProgress = unheard) -> Manifest:
        """Have a batch worked off, and return its verified manifest. A target that hears of progress while a worker is at it
        hands it on. Raises what errors.py names."""
        ...

    def stop(self, attempt_id: str) -> None:
        """Nobody wants what comes of this attempt any more: end it if that is possible. What it sends back still counts."""
        ...

    def cancel(self) -> None:
        """The run is over: send nothing any more, and stop what can be stopped. Returns within five seconds."""
        ...


Targets = Mapping[TargetName, Target]
