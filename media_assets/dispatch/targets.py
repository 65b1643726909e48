"""What a target is: somewhere that a batch of a step can be sent to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lambdas.runtime.contract import Manifest, StepRequest
from media_assets.steps.step import TargetName


class Target(Protocol):
    """Threads share one target of a run."""

    def send(self, request: StepRequest) -> Manifest:
        """Have a batch worked off, and return its verified manifest. Raises what errors.py names."""
        ...

    def cancel(self) -> None:
        """The run is over: send nothing any more, and stop what can be stopped. Returns within five seconds."""
        ...


Targets = Mapping[TargetName, Target]
