"""The ECS entry point that all steps share: one batch, and the process ends.

The event is an object that the environment variable MEDIA_EVENT_OBJECT refers to (JSON of an ObjectReference), since a task
can't be sent one. It is what a function gets (batch.py), and `"task": {"seconds", "memory_mb"}`, the task's own limits. The
answer is an object too, written last, as are the messages while it works; contract.py has their keys.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import time
from typing import Any

from dagster_pipes import PipesMessage

from lambdas.runtime.batch import work_off
from lambdas.runtime.claim_check import redeem
from lambdas.runtime.contract import ObjectReference, answer_key, messages_key
from lambdas.runtime.step import Process
from lambdas.runtime.storage import Storage, s3_client

_MESSAGES_SECONDS = 1.0


def run(step: str, process: Process) -> None:
    """Work off the task's batch. A failure of the whole is an answer too, `{"error": {"errorType", "errorMessage"}}` as
    Lambda has it, and exit status 1.

    At SIGTERM no further file is started: what is done is answered, the rest is NOT_STARTED. A task that outlives its time
    limit ends itself, whatever holds it, with the places of its code on stderr and exit status 1.
    """
    event = redeem(ObjectReference.model_validate_json(os.environ["MEDIA_EVENT_OBJECT"]))
    limits = _TaskLimits(event["task"]["seconds"], event["task"]["memory_mb"])
    faulthandler.dump_traceback_later(limits.seconds, exit=True)
    bucket, attempt_id = event["request"]["items"][0]["bucket"], event["request"]["attempt_id"]
    messages = _MessageObjects(bucket, step, attempt_id)
    answer: dict[str, Any]
    try:
        answer = work_off(event, step, process, limits, messages.write)
    except Exception as error:  # noqa: BLE001 - dispatch has nobody else to ask what was wrong
        answer = {"error": {"errorType": type(error).__name__, "errorMessage": str(error)[:500]}}
    # A second delivery of the attempt finds the answer of the first one, and leaves it.
    Storage(s3_client()).write(bucket, answer_key(step, attempt_id), json.dumps(answer).encode(), "application/json")
    sys.exit("error" in answer)


class _TaskLimits:
    def __init__(self, seconds: float, memory_mb: int) -> None:
        self.seconds = seconds
        self.memory_limit_in_mb: int | str = memory_mb
        self._deadline = time.monotonic() + seconds
        signal.signal(signal.SIGTERM, self._stop)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self._deadline - time.monotonic()) * 1000))

    def _stop(self, *_: object) -> None:
        self._deadline = 0.0


class _MessageObjects:
    """Puts messages where dispatch looks while the task works: the first at once, then what a second brings.

    They are for people who watch; the answer has all of them. So one that can't be stored is only told to the log.
    """

    def __init__(self, bucket: str, step: str, attempt_id: str) -> None:
        self._bucket, self._step, self._attempt_id = bucket, step, attempt_id
        self._waiting: list[PipesMessage] = []
        self._number = 0
        self._stored_at = 0.0

    def write(self, message: PipesMessage) -> None:
        self._waiting.append(message)
        if time.monotonic() - self._stored_at < _MESSAGES_SECONDS:
            return
        body = "\n".join(json.dumps(each) for each in self._waiting).encode()
        key = messages_key(self._step, self._attempt_id, self._number + 1)
        try:
            s3_client().put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/x-ndjson")
        except Exception as error:  # noqa: BLE001 - whatever it is, the work goes on
            print(json.dumps({"messages_not_stored": type(error).__name__}), file=sys.stderr)
        else:
            self._number += 1
            self._waiting.clear()
        self._stored_at = time.monotonic()
