"""From a manifest's outcomes to events: what is recorded of a result, a rejection, a failure, an outage."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import ValidationError

from lambdas.runtime.contract import Disposition, ErrorCode, ItemError, ItemOutcome, Manifest
from media_assets.dispatch.errors import ManifestError
from media_assets.dispatch.routing import Route
from media_assets.eventlog.catalogue import StepAbandoned, StepFailed, UploadRejected
from media_assets.eventlog.events import (
    Execution,
    NewEvent,
    StepRef,
    step_abandoned,
    step_failed,
    step_succeeded,
    upload_removed,
)
from media_assets.eventlog.job_events import job_failed
from media_assets.steps.step import Recipe, Step, Work


@dataclass(frozen=True)
class RetryPolicy:
    """A file's own failures: wait `base_seconds`, doubling to `max_seconds`; dead after `max_attempts`."""

    max_attempts: int
    base_seconds: float
    max_seconds: float

    def retry_at(self, failures: int, retryable: bool, now: datetime) -> datetime | None:
        """When to try again after the `failures`-th failure; None: never."""
        if not retryable or failures >= self.max_attempts:
            return None
        return now + timedelta(seconds=min(self.base_seconds * 2 ** (failures - 1), self.max_seconds))


@dataclass
class Recorded:
    """What becomes of a batch. `postponed` items have no outcome: not attempted, or kept from one by `outages`. What that
    cost they owe from now on, in micro-dollars."""

    events: list[NewEvent] = field(default_factory=list)
    processed: list[Work] = field(default_factory=list)
    rejected: list[Work] = field(default_factory=list)
    failed: list[Work] = field(default_factory=list)
    postponed: list[Work] = field(default_factory=list)
    owed: dict[uuid.UUID, int] = field(default_factory=dict)
    outages: list[str] = field(default_factory=list)


def record(
    works: Sequence[Work],
    manifest: Manifest,
    *,
    step: Step,
    recipe_of: Callable[[Work], Recipe],
    policy: RetryPolicy,
    route: Route,
    run_id: str | None,
    now: datetime,
    charges: Mapping[uuid.UUID, int],
    owed: Mapping[uuid.UUID, int],
) -> Recorded:
    """Events for what a verified manifest says of `works`; `charges` are what this batch cost each,
    `owed` what earlier attempts did, in micro-dollars.

    Raises ManifestError if a result isn't what the step promises.
    """
    by_item = {str(work.item_id): work for work in works}
    recorded = Recorded()
    for outcome in manifest.outcomes:
        if outcome.item_id not in by_item:
            continue
        work = by_item[outcome.item_id]
        execution = Execution(
            target=route.target,
            target_reason=route.reason,
            run_id=run_id,
            attempt_id=manifest.attempt_id,
            memory_mb=manifest.memory_mb,
            milliseconds=outcome.metrics.milliseconds,
            tokens_in=outcome.metrics.tokens_in,
            tokens_out=outcome.metrics.tokens_out,
            micro_dollars=charges[work.item_id] + owed.get(work.item_id, 0),
        )
        if outcome.error is None:
            result = _result(step, recipe_of(work), work, outcome, execution, now)
            recorded.events += [result, *step.consequences(work, outcome, result)]
            recorded.processed.append(work)
        else:
            _error(recorded, recipe_of(work), work, outcome.error, execution, charges[work.item_id], policy, now)
    return recorded


def came_to_nothing(work: Work, recipe: Recipe, execution: Execution, now: datetime) -> NewEvent:
    """An attempt at a job that ended while it was under way, and that nobody heard of again: it has cost something."""
    message = "the job had ended when this attempt came to nothing"
    failure = StepFailed(version_id=work.version_id, code=ErrorCode.STEP_ERROR, message=message, retry_at=None)
    return step_failed(work.ref(recipe), failure, execution=execution, occurred_at=now)


def _result(step: Step, recipe: Recipe, work: Work, outcome: ItemOutcome, execution: Execution, now: datetime) -> NewEvent:
    try:
        payload = step.payload(work, outcome)
    except (ValidationError, KeyError, ValueError, TypeError) as error:
        raise ManifestError(
            f"{step.name} answered for item {work.item_id} with a result that is not one: {type(error).__name__}"
        ) from error
    return step_succeeded(work.ref(recipe), payload, execution=execution, occurred_at=now)


def _error(
    recorded: Recorded,
    recipe: Recipe,
    work: Work,
    error: ItemError,
    execution: Execution,
    charge: int,
    policy: RetryPolicy,
    now: datetime,
) -> None:
    ref = work.ref(recipe)
    match error.code.disposition:
        case Disposition.REJECT if work.job is not None:
            # The video has its own results; it is this job that can't be done.
            _fail(recorded, ref, work, error, execution, None, now)
            recorded.rejected.append(work)
        case Disposition.REJECT:
            rejection = UploadRejected(version_id=work.version_id, code=error.code, message=error.message)
            recorded.events.append(step_succeeded(ref, rejection, execution=execution, occurred_at=now))
            recorded.rejected.append(work)
        case Disposition.GONE:
            removal = upload_removed(
                ref.item_id,
                work.version_id,
                user_id=work.user_id,
                occurred_at=now,
                trace=work.trace,
                step=work.step,
                execution=execution,
            )
            recorded.events.append(removal)
            if work.job is not None:
                _give_up(recorded, ref, work, error, execution.free(), work.failures + 1, now)
            recorded.rejected.append(work)
        case Disposition.AGAIN:
            recorded.postponed.append(work)
            recorded.owed[work.item_id] = charge
        case Disposition.OUTAGE:
            recorded.postponed.append(work)
            recorded.owed[work.item_id] = charge
            recorded.outages.append(f"{error.code}: {error.message}")
        case Disposition.FAIL:
            retry_at = policy.retry_at(work.failures + 1, error.retryable, now)
            _fail(recorded, ref, work, error, execution, retry_at, now)
            recorded.failed.append(work)


def _fail(
    recorded: Recorded,
    ref: StepRef,
    work: Work,
    error: ItemError,
    execution: Execution,
    retry_at: datetime | None,
    now: datetime,
) -> None:
    """A failed attempt, which bears the cost, and the end if there is no other one."""
    failure = StepFailed(version_id=work.version_id, code=error.code, message=error.message, retry_at=retry_at)
    failed = step_failed(ref, failure, execution=execution, occurred_at=now)
    recorded.events.append(failed)
    if retry_at is None:
        led_to_it = ref.trace.model_copy(update={"causation_id": failed.event_id})
        ref = ref.model_copy(update={"trace": led_to_it})
        _give_up(recorded, ref, work, error, execution.free(), work.failures + 1, now)


def _give_up(
    recorded: Recorded, ref: StepRef, work: Work, error: ItemError, execution: Execution, failures: int, now: datetime
) -> None:
    """No further attempt at a step, and so none at the job that it is of."""
    end = StepAbandoned(version_id=work.version_id, code=error.code, message=error.message, failures=failures)
    abandoned = step_abandoned(ref, end, execution=execution, occurred_at=now)
    recorded.events.append(abandoned)
    if work.job is not None:
        cause, run_id = abandoned.event_id, execution.run_id
        told = {"code": error.code, "message": error.message}
        recorded.events.append(job_failed(work.job_ref, **told, occurred_at=now, causation_id=cause, run_id=run_id))
