"""An invocation under way: what was sent, how long it took, and what can be said of one that never answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lambdas.runtime.contract import ItemError, ItemOutcome, Manifest, Metrics, StepRequest
from media_assets.dispatch.errors import BatchDiedError
from media_assets.steps.step import Step, Work


@dataclass
class Invocation:
    """A request to a step's function, begun when it is made."""

    step: Step
    works: list[Work]
    request: StepRequest
    _began: float = field(default_factory=time.monotonic)
    _ended: float | None = None

    def send(self, invoke: Callable[[StepRequest], Manifest]) -> Manifest:
        try:
            return invoke(self.request)
        finally:
            self._ended = time.monotonic()

    @property
    def milliseconds(self) -> int:
        """What is billed of it, as seen from here: until now or its end, but no longer than its function may run."""
        seconds = (self._ended or time.monotonic()) - self._began
        return round(min(seconds, self.step.timeout_seconds) * 1000)

    def died_alone(self, died: BatchDiedError) -> Manifest:
        """The manifest that a function killed by its only file couldn't write."""
        [item] = self.request.items
        outcome = ItemOutcome(
            item_id=item.item_id,
            correlation_id=item.correlation_id,
            error=ItemError(code=died.code, message=str(died), retryable=True),
            metrics=Metrics(milliseconds=self.milliseconds),
        )
        return Manifest(
            batch_id=self.request.batch_id,
            attempt_id=self.request.attempt_id,
            step=self.request.step,
            recipe=self.request.recipe,
            memory_mb=self.step.memory_mb,
            billed_milliseconds=self.milliseconds,
            outcomes=(outcome,),
        )
