"""Working off a batch, wherever it runs: a StepRequest in, a Manifest out, Pipes messages beside it.

The event is `{"request": <StepRequest>, "DAGSTER_PIPES_CONTEXT": …, "DAGSTER_PIPES_MESSAGES": …}`; the Pipes keys are
absent when a person invokes a step. The answer is `{"manifest": <Manifest>, "messages": [<Pipes message>]}`.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from functools import partial
from math import ceil
from typing import Any, Protocol

from pydantic import ValidationError

from lambdas.runtime.contract import (
    BatchItem,
    ErrorCode,
    ItemError,
    ItemOutcome,
    Manifest,
    Metrics,
    StepRequest,
)
from lambdas.runtime.pipes import Listener, PipesSession, pipes_session
from lambdas.runtime.step import BadRequest, Process, StepContext, StepError, StepResult
from lambdas.runtime.storage import Storage, s3_client

RESERVED_MILLISECONDS = 1_000
"""What is kept back for the answer."""


class Limits(Protocol):
    """What the place it runs in allows. Lambda's context object is one."""

    memory_limit_in_mb: int | str

    def get_remaining_time_in_millis(self) -> int: ...


def work_off(
    event: Mapping[str, Any], step: str, process: Process, limits: Limits, listener: Listener | None = None
) -> dict[str, Any]:
    """The answer to an event. `listener` hears each message as it is told.

    Items are processed one after the other. Each gets exactly one outcome: a StepError as it is, any other exception as
    STEP_ERROR with no more than its class's name. An item that can't be expected to finish in the time that is left
    isn't started and gets NOT_STARTED: what is done is kept, and dispatch sends the rest again.

    Raises BadRequest if the event holds no valid request, one for another step, or parameters that the step can't use.
    """
    started = time.monotonic()
    request = _parse(event, step)
    with pipes_session(event, listener) as session:
        outcomes = _process_all(request, process, session, limits)
    manifest = Manifest(
        batch_id=request.batch_id,
        attempt_id=request.attempt_id,
        step=step,
        recipe=request.recipe,
        memory_mb=int(limits.memory_limit_in_mb),
        billed_milliseconds=ceil((time.monotonic() - started) * 1000),
        outcomes=outcomes,
    )
    return {"manifest": manifest.model_dump(mode="json"), "messages": session.messages}


def _parse(event: Mapping[str, Any], step: str) -> StepRequest:
    if "request" not in event:
        raise BadRequest('the event has no "request"')
    try:
        request = StepRequest.model_validate(event["request"])
    except ValidationError as error:
        raise BadRequest.from_validation("request", error) from None
    if request.step != step:
        raise BadRequest(f"the request is for {request.step!r}, this one does {step!r}")
    return request


def _process_all(request: StepRequest, process: Process, session: PipesSession, limits: Limits) -> tuple[ItemOutcome, ...]:
    outcomes: list[ItemOutcome] = []
    _announce(request, session)
    for item in request.items:
        slowest = max((outcome.metrics.milliseconds for outcome in outcomes), default=0)
        # The first item always starts, so that a batch of one can't starve.
        if outcomes and limits.get_remaining_time_in_millis() < slowest + RESERVED_MILLISECONDS:
            outcomes.append(_not_started(item))
            continue
        storage = Storage(s3_client())
        step_context = StepContext(
            step=request.step,
            recipe=request.recipe,
            parameters=request.parameters,
            attempt=request.attempt,
            storage=storage,
            log=session.log,
            remaining_milliseconds=limits.get_remaining_time_in_millis,
            progress=partial(session.progress, item.item_id),
            run_id=session.run_id,
            partition_key=session.partition_key,
        )
        outcomes.append(_process_one(item, process, step_context))
    _report(request, outcomes, session)
    return tuple(outcomes)


def _process_one(item: BatchItem, process: Process, context: StepContext) -> ItemOutcome:
    started = time.monotonic()
    done: StepResult | StepError
    try:
        done = process(item, context)
    except StepError as error:
        done = error
    except BadRequest:
        raise
    except Exception as error:  # noqa: BLE001 - one bad file must not fail its neighbours
        _print_origin(item, error)
        done = StepError(ErrorCode.STEP_ERROR, type(error).__name__)
    metrics = Metrics(
        milliseconds=round((time.monotonic() - started) * 1000),
        bytes_in=context.storage.bytes_in,
        tokens_in=done.tokens_in,
        tokens_out=done.tokens_out,
    )
    if isinstance(done, StepError):
        return _outcome(item, error=_item_error(done), metrics=metrics)
    return _outcome(item, outputs=done.outputs, result=done.result, metrics=metrics)


def _not_started(item: BatchItem) -> ItemOutcome:
    error = StepError(ErrorCode.NOT_STARTED, "the invocation's time ran out before this file's turn")
    return _outcome(item, error=_item_error(error))


def _outcome(item: BatchItem, **told: Any) -> ItemOutcome:
    return ItemOutcome(item_id=item.item_id, correlation_id=item.correlation_id, **told)


def _item_error(error: StepError) -> ItemError:
    return ItemError(code=error.code, message=error.message[:500], retryable=error.retryable)


def _print_origin(item: BatchItem, error: Exception) -> None:
    """Where an unexpected exception came from, to the function's log, without its text: that may quote the file."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    print(json.dumps({"item_id": item.item_id, "unexpected": type(error).__name__, "at": frames}), file=sys.stderr)


def _announce(request: StepRequest, session: PipesSession) -> None:
    """To the function's log before anything is done, so that a search for a correlation id, a run or an attempt finds the
    invocations that were killed too."""
    started = {
        "started": request.step,
        "batch_id": request.batch_id,
        "attempt_id": request.attempt_id,
        "attempt": request.attempt,
        "run_id": session.run_id,
        "partition_key": session.partition_key,
        "correlation_ids": [item.correlation_id for item in request.items if item.correlation_id],
    }
    print(json.dumps(started), file=sys.stderr, flush=True)


def _report(request: StepRequest, outcomes: list[ItemOutcome], session: PipesSession) -> None:
    """Ids, codes, counts and milliseconds: once to Dagster, once to the function's own log."""
    codes = Counter(outcome.error.code.value for outcome in outcomes if outcome.error is not None)
    figures = {
        "step": request.step,
        "batch_id": request.batch_id,
        "attempt_id": request.attempt_id,
        "items": len(outcomes),
        "ok": len(outcomes) - codes.total(),
        "errors": dict(codes),
        "milliseconds": sum(outcome.metrics.milliseconds for outcome in outcomes),
        "bytes_in": sum(outcome.metrics.bytes_in for outcome in outcomes),
    }
    session.log.info(json.dumps(figures))
    print(json.dumps(figures | {"run_id": session.run_id, "partition_key": session.partition_key}), file=sys.stderr)
