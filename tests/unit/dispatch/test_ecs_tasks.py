"""What ECS says, and what it means: which failures of RunTask pass, and how a task has ended that left no answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from media_assets.dispatch.ecs_tasks import Task, end_without_answer, may_be_tried_again, task_of
from media_assets.dispatch.errors import BatchDiedError, BatchInterruptedError, TargetUnavailableError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("code", "message", "again"),
    [
        ("ThrottlingException", "Rate exceeded", True),
        ("ClientException", "Rate exceeded", True),
        ("ClientException", "You've reached the limit on the number of tasks you can run concurrently", True),
        ("ServerException", "Service Unavailable. Please try again later.", True),
        ("", "Capacity is unavailable at this time. Please try again later or in a different availability zone", True),
        ("", "RESOURCE:MEMORY", True),
        ("", "RESOURCE:FARGATE", True),
        ("", "AGENT", True),
        ("", "MISSING", False),
        ("", "ATTRIBUTE", False),
        ("", "no task and no reason", False),
        ("ClientException", "Unable to find task definition: none", False),
        ("ClusterNotFoundException", "Cluster not found.", False),
        ("AccessDeniedException", "User is not authorized to perform: ecs:RunTask", False),
        ("InvalidParameterException", "subnets can not be empty", False),
    ],
)
def test_what_may_pass_is_tried_again(code: str, message: str, again: bool) -> None:
    assert may_be_tried_again(code, message) is again


EXITED = "EssentialContainerExited"


@pytest.mark.parametrize(
    ("task", "began", "outlived", "kind", "says"),
    [
        (
            Task("STOPPED", "TaskFailedToStart", "CannotPullContainerError: not found"),
            False,
            False,
            TargetUnavailableError,
            "could not start: CannotPullContainerError: not found",
        ),
        (Task("STOPPED", "SpotInterruption", "Your Spot Task was interrupted."), True, False, BatchInterruptedError, "Spot"),
        (Task("STOPPED", "SpotInterruption", exit_code=0), True, False, BatchInterruptedError, "SpotInterruption"),
        (Task("STOPPED", "UserInitiated", "maintenance", exit_code=0), True, False, BatchInterruptedError, "maintenance"),
        (Task("STOPPED", "UserInitiated", exit_code=0), False, False, BatchInterruptedError, "UserInitiated"),
        (Task("STOPPED", EXITED, exit_code=1), False, False, TargetUnavailableError, "ended before it began, with exit code 1"),
        (Task("STOPPED", EXITED), False, False, TargetUnavailableError, "ended before it began, without an exit code"),
        (Task("STOPPED", EXITED, exit_code=137), False, False, BatchInterruptedError, "killed while it started, with"),
        (Task("STOPPED", EXITED, exit_code=143), False, False, BatchInterruptedError, "while it started, with exit code 143"),
        (
            Task("STOPPED", EXITED, exit_code=137, container_reason="OutOfMemoryError: Container killed due to memory usage"),
            False,
            False,
            TargetUnavailableError,
            "ended before it began",
        ),
        (Task("STOPPED", EXITED, exit_code=1), True, True, BatchDiedError, "ran into its time limit"),
        (Task("STOPPED", EXITED, exit_code=137), True, False, BatchDiedError, "was killed while it ran, with exit code 137"),
        (Task("STOPPED", EXITED, exit_code=0), True, False, BatchDiedError, "was killed while it ran, with exit code 0"),
        (Task("STOPPED", EXITED), True, False, BatchDiedError, "without an exit code"),
        (Task("STOPPED"), True, False, BatchDiedError, "without an exit code"),
        (
            Task("STOPPED", EXITED, exit_code=137, container_reason="OutOfMemoryError: Container killed due to memory usage"),
            True,
            False,
            BatchDiedError,
            "ran out of memory",
        ),
    ],
)
def test_an_end_without_an_answer_is_never_a_success(
    task: Task, began: bool, outlived: bool, kind: type[Exception], says: str
) -> None:
    error = end_without_answer("media-assets-dev-detect", task, began=began, outlived_its_limit=outlived)
    assert type(error) is kind
    assert says in str(error)
    if isinstance(error, BatchDiedError):
        assert error.code == ("timeout" if outlived else "crashed")
    if isinstance(error, TargetUnavailableError):
        assert error.ran is (task.stop_code != "TaskFailedToStart")  # what never ran isn't billed


def test_a_task_is_billed_from_the_pull_of_its_image_to_its_end() -> None:
    described = {
        "lastStatus": "STOPPED",
        "stopCode": EXITED,
        "stoppedReason": "Essential container in task exited",
        "createdAt": NOON,
        "pullStartedAt": NOON + timedelta(seconds=10),
        "stoppedAt": NOON + timedelta(seconds=75, milliseconds=250),
        "containers": [{"name": "sidecar", "exitCode": 1}, {"name": "step", "exitCode": 0}],
    }
    assert task_of(described, "step") == Task(
        "STOPPED", EXITED, "Essential container in task exited", 0, seconds=Decimal("65.25")
    )
    assert task_of({**described, "pullStartedAt": None}, "step").seconds == Decimal("75.25")


def test_a_task_that_has_not_stopped_says_little() -> None:
    task = task_of({"lastStatus": "PENDING", "containers": [{"name": "step"}], "createdAt": NOON}, "step")
    assert task == Task("PENDING")
    assert not task.has_started
    assert not task.has_stopped
    assert task_of({"lastStatus": "RUNNING", "containers": []}, "step").has_started
