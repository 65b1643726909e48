"""What ECS says of a task, and what that means for the batch it was given.

Sources: Amazon ECS API Reference (RunTask, DescribeTasks, Task: `stopCode`), Amazon ECS Developer Guide ("API failure
reasons", "Stopped task error codes").
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lambdas.runtime.contract import ErrorCode
from media_assets.dispatch.errors import BatchDiedError, BatchInterruptedError, TargetUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.type_defs import TaskTypeDef

_OF_CAPACITY = re.compile(r"^(RESOURCE:|AGENT$)|[Cc]apacity is unavailable|limit on the number of|[Rr]ate exceeded")
_OF_RATE = {"ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException"}
_OF_THE_SERVICE = {"ServerException", "ServiceUnavailable", "ServiceUnavailableException", "InternalFailure"}
_KILLED = {128 + signal.SIGKILL, 128 + signal.SIGTERM}
"""Exit codes of a container whose process somebody ended."""


@dataclass(frozen=True)
class Task:
    """A task as DescribeTasks tells of it; what it doesn't say is None or empty.

    `seconds` is what Fargate bills: from the first pull of the image, else from the task's making, to its end.
    """

    status: str
    stop_code: str = ""
    stopped_reason: str = ""
    exit_code: int | None = None
    container_reason: str = ""
    seconds: Decimal = Decimal(0)

    @property
    def has_stopped(self) -> bool:
        return self.status == "STOPPED"

    @property
    def has_started(self) -> bool:
        return self.status not in {"PROVISIONING", "PENDING", "ACTIVATING"}


def described_tasks(ecs: ECSClient, cluster: str, **which: Any) -> Iterator[TaskTypeDef]:
    """The tasks that ListTasks finds by its parameters `which`, as DescribeTasks tells of them. Raises botocore's errors."""
    for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster, **which):
        if page["taskArns"]:
            yield from ecs.describe_tasks(cluster=cluster, tasks=page["taskArns"])["tasks"]


def task_of(described: Mapping[str, Any], container: str) -> Task:
    """From an entry of `tasks` in DescribeTasks' answer."""
    mine: Mapping[str, Any] = next((each for each in described.get("containers", ()) if each.get("name") == container), {})
    began: datetime | None = described.get("pullStartedAt") or described.get("createdAt")
    ended: datetime | None = described.get("stoppedAt")
    return Task(
        status=described.get("lastStatus", ""),
        stop_code=described.get("stopCode") or "",
        stopped_reason=described.get("stoppedReason") or "",
        exit_code=mine.get("exitCode"),
        container_reason=mine.get("reason") or "",
        seconds=Decimal(str((ended - began).total_seconds())) if began and ended else Decimal(0),
    )


def may_be_tried_again(code: str, message: str) -> bool:
    """Whether a RunTask that failed so, by an error or one of its `failures` (with an empty code), may succeed in a moment."""
    return code in _OF_RATE | _OF_THE_SERVICE or bool(_OF_CAPACITY.search(message))


def end_without_answer(name: str, task: Task, *, began: bool, outlived_its_limit: bool) -> Exception:
    """What it means that a task has stopped and left no answer.

    `began` says that it told of its batch; before that, no file of it can be the reason. An exit code that isn't there, or
    is 0, is no success: nothing is one without a manifest.
    """
    if task.stop_code == "TaskFailedToStart":
        return TargetUnavailableError(f"{name} could not start: {task.stopped_reason}")
    if task.stop_code in {"SpotInterruption", "UserInitiated", "ServiceSchedulerInitiated", "TerminationNotice"}:
        return BatchInterruptedError(f"{name} was stopped: {task.stop_code}, {task.stopped_reason}")
    if not began and task.exit_code in _KILLED and not task.container_reason.startswith("OutOfMemory"):
        return BatchInterruptedError(f"{name} was killed while it started, {_how(task)}")
    if not began:
        return TargetUnavailableError(f"{name} ended before it began, {_how(task)}", ran=True)
    if outlived_its_limit:
        return BatchDiedError(ErrorCode.TIMEOUT, f"{name} ran into its time limit")
    if task.container_reason.startswith("OutOfMemory"):
        return BatchDiedError(ErrorCode.CRASHED, f"{name} ran out of memory")
    return BatchDiedError(ErrorCode.CRASHED, f"{name} was killed while it ran, {_how(task)}")


def _how(task: Task) -> str:
    how = f"with exit code {task.exit_code}" if task.exit_code is not None else "without an exit code"
    reason = task.container_reason or task.stopped_reason
    return f"{how} ({reason})" if reason else how
