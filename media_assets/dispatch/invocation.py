"""A batch under way: what was sent where, how long it took, and what can be said of one that never answered."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

from lambdas.runtime.contract import ItemError, ItemOutcome, Manifest, Metrics, StepRequest
from media_assets.dispatch.billing import memory_mb_of
from media_assets.dispatch.errors import BatchDiedError
from media_assets.dispatch.routing import Route
from media_assets.dispatch.targets import OnProgress, Target, unheard
from media_assets.steps.step import Step, Work


class Batch(NamedTuple):
    """Items to send together, and where."""

    works: list[Work]
    route: Route
    taken_away: int = 0
    """How often in a row its worker was."""


@dataclass
class Invocation:
    """A request to one of a step's targets, begun when it is made."""

    step: Step
    works: list[Work]
    request: StepRequest
    route: Route
    taken_away: int = 0
    """How often in a row before this one its worker was taken away."""
    is_settled: bool = False
    """Whether what it cost has been put down."""
    _began: float = field(default_factory=time.monotonic)
    _ended: float | None = None

    def send(self, target: Target, on_progress: OnProgress = unheard) -> Future[Manifest]:
        """Send it from a thread of its own, which nobody waits for when the process ends."""
        future: Future[Manifest] = Future()

        def work() -> None:
            try:
                future.set_result(target.send(self.request, on_progress))
            except BaseException as error:  # noqa: BLE001 - the future raises it where somebody handles it
                future.set_exception(error)

        threading.Thread(target=work, name=f"dispatch-{self.step.name}", daemon=True).start()
        future.add_done_callback(self._end)
        return future

    def _end(self, _: Future[Manifest]) -> None:
        self._ended = time.monotonic()

    @property
    def milliseconds(self) -> int:
        """What is billed of it, as seen from here: until now or its end, but no longer than it may run."""
        seconds = (self._ended or time.monotonic()) - self._began
        return round(min(seconds, self._longest_seconds) * 1000)

    @property
    def _longest_seconds(self) -> float:
        return self.step.task.timeout_seconds if self.route.target == "ecs" and self.step.task else self.step.timeout_seconds

    def died_alone(self, died: BatchDiedError) -> Manifest:
        """The manifest that a worker killed by its only file couldn't write."""
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
            memory_mb=memory_mb_of(self.step, self.route.target),
            billed_milliseconds=self.milliseconds,
            outcomes=(outcome,),
        )
