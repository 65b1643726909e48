"""The Lambda entry point that all steps share. What goes in and out is in batch.py, or an object that holds it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from lambdas.runtime.batch import Limits, work_off
from lambdas.runtime.claim_check import deposit, redeem
from lambdas.runtime.contract import MAX_INLINE_BYTES, ObjectReference, answer_key
from lambdas.runtime.step import Process

Handler = Callable[[Mapping[str, Any], Limits], dict[str, Any]]


def lambda_handler(step: str, process: Process) -> Handler:
    """Make a Lambda handler of a step.

    An event that is too large arrives as `{"event_object": <ObjectReference>}`, an answer that is leaves as
    `{"answer_object": <ObjectReference>}`. The handler raises BadRequest, which Lambda reports as a FunctionError, for an
    event that the step can't work off.
    """
    if niceness := os.environ.get("MEDIA_WORKER_NICE"):
        os.nice(int(niceness))

    def handler(event: Mapping[str, Any], context: Limits) -> dict[str, Any]:
        if "event_object" in event:
            event = redeem(ObjectReference.model_validate(event["event_object"]))
        answer = work_off(event, step, process, context)
        body = json.dumps(answer).encode()
        if len(body) <= MAX_INLINE_BYTES:
            return answer
        request = event["request"]
        reference = deposit(request["items"][0]["bucket"], answer_key(step, request["attempt_id"]), body)
        return {"answer_object": reference.model_dump()}

    return handler
