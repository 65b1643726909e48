"""What a FunctionError means: the texts are Lambda's own, and the emulator's where it has others."""

from __future__ import annotations

import pytest

from lambdas.runtime.contract import ErrorCode
from media_assets.dispatch.errors import BatchDiedError, BatchInterruptedError, TargetUnavailableError
from media_assets.dispatch.lambda_pipes import function_error


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"errorMessage": "2026-03-01T14:00:00.000Z 6f1c3a52 Task timed out after 3.00 seconds"}, ErrorCode.TIMEOUT),
        ({"errorType": "Sandbox.Timedout",
          "errorMessage": "RequestId: 6f1c Error: Task timed out after 900.00 seconds"}, ErrorCode.TIMEOUT),
        ({"errorType": "Runtime.ExitError",
          "errorMessage": "RequestId: 6f1c Error: Runtime exited with error: signal: killed"}, ErrorCode.CRASHED),
        ({"errorType": "Runtime.ExitError",
          "errorMessage": "RequestId: 6f1c Error: Runtime exited with error: exit status 1"}, ErrorCode.CRASHED),
        ({"errorType": "Runtime.ExitError",
          "errorMessage": "RequestId: 6f1c Error: Runtime exited without providing a reason"}, ErrorCode.CRASHED),
        ({"errorType": "Runtime.OutOfMemory", "errorMessage": "RequestId: 6f1c Error: memory size reached"},
         ErrorCode.CRASHED),
        ({"errorType": "Runtime.HandlerError", "errorMessage": "Worker process died"}, ErrorCode.CRASHED),
    ],
)  # fmt: skip
def test_a_function_that_was_killed_took_a_batch_along(answer: dict[str, str], code: ErrorCode) -> None:
    died = function_error("media-assets-local-probe", answer)
    assert isinstance(died, BatchDiedError)
    assert died.code is code


@pytest.mark.parametrize(
    "answer",
    [
        {"errorType": "Runtime.ImportModuleError", "errorMessage": "Unable to import module 'handler'"},
        {"errorType": "Runtime.HandlerNotFound", "errorMessage": "Handler 'handler' missing"},
        {"errorType": "BadRequest", "errorMessage": "the request is for 'probe', this function does 'thumbnail'"},
        {"errorType": "ReadTimeoutError", "errorMessage": "AWSHTTPSConnectionPool: Read timed out. (read timeout=15)"},
        {"errorType": "ConnectTimeoutError", "errorMessage": "connection timed out"},
        {"errorType": "RuntimeError", "errorMessage": "Worker init failed: No module named 'PIL'"},
        {},
    ],
    ids=lambda answer: answer.get("errorType", "nothing said"),
)
def test_a_function_that_fails_whatever_it_is_given_is_no_files_fault(answer: dict[str, str]) -> None:
    broken = function_error("media-assets-local-probe", answer)
    assert isinstance(broken, TargetUnavailableError)
    assert broken.ran  # and is billed


def test_a_function_that_was_killed_before_it_had_the_batch_was_taken_away() -> None:
    answer = {"errorType": "RuntimeError", "errorMessage": "Worker process exited immediately. stderr: "}
    taken = function_error("media-assets-local-probe", answer)
    assert isinstance(taken, BatchInterruptedError)
    assert str(taken) == "media-assets-local-probe was killed while it started"


def test_the_reason_names_the_function_and_no_more_than_the_kind() -> None:
    broken = function_error("media-assets-local-probe", {"errorType": "KeyError", "errorMessage": "'uploads/ada/cat.jpg'"})
    assert str(broken) == "media-assets-local-probe failed as a whole: KeyError"
