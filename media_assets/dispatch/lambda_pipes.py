"""A Pipes client that invokes Lambda with a batch; messages and manifest come back in the response payload.

Dagster's own client reads messages from the last 4 KB of the log, where they get lost, and calls an answer without any a
success. Here there is no success without a manifest. boto3's default read timeout of 60 s with retries would invoke a
function that still runs again, up to four times: one attempt, a read timeout above the function's, and keepalive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from dagster import AssetExecutionContext, PipesMessageReader, open_pipes_session
from dagster_aws.pipes import PipesLambdaEventContextInjector
from dagster_pipes import PipesParams

from lambdas.runtime.contract import ErrorCode, Manifest, StepRequest
from media_assets.dispatch.errors import BatchDiedError, ManifestError, TargetUnavailableError
from media_assets.dispatch.manifest import read_manifest

if TYPE_CHECKING:
    from dagster._core.pipes.context import PipesMessageHandler
    from mypy_boto3_lambda import LambdaClient


class PayloadMessageReader(PipesMessageReader):
    """Hands the messages of a response payload to Dagster. One per invocation."""

    def __init__(self) -> None:
        self._handler: PipesMessageHandler | None = None

    @contextmanager
    def read_messages(self, handler: PipesMessageHandler) -> Iterator[PipesParams]:
        self._handler = handler
        try:
            yield {"messages": "response_payload"}
        finally:
            self._handler = None

    def consume(self, messages: Any) -> None:
        """Raises ManifestError for what aren't Pipes messages."""
        assert self._handler is not None, "consume() belongs inside an open Pipes session"
        try:
            for message in messages:
                self._handler.handle_message(message)
        except Exception as error:  # Dagster's handler takes messages apart without looking at them first
            raise ManifestError(f"message of a kind that Pipes doesn't have ({type(error).__name__})") from error

    def no_messages_debug_text(self) -> str:
        return "Attempted to read messages from the payload that the Lambda function returned."


class LambdaBatchClient:
    """Invokes a step's function with a StepRequest. Threads may share one client; each call is a Pipes session of its own."""

    def __init__(self, client: LambdaClient) -> None:
        self._client = client

    @classmethod
    def connect(cls, *, read_timeout_seconds: float, connections: int) -> LambdaBatchClient:
        config = Config(
            read_timeout=read_timeout_seconds,
            connect_timeout=5,
            retries={"total_max_attempts": 1},
            tcp_keepalive=True,
            max_pool_connections=connections,
        )
        return cls(boto3.client("lambda", config=config))

    def run(self, context: AssetExecutionContext, function_name: str, request: StepRequest) -> Manifest:
        """Invoke and return the verified manifest.

        Raises TargetUnavailableError (unreachable, throttled, misconfigured), BatchDiedError (killed in mid-batch) or
        ManifestError (the answer doesn't account for the batch).
        """
        reader = PayloadMessageReader()
        extras = {
            "batch_id": request.batch_id,
            "attempt_id": request.attempt_id,
            "items": len(request.items),
            "correlation_ids": [item.correlation_id for item in request.items],
        }
        with open_pipes_session(
            context=context,
            context_injector=PipesLambdaEventContextInjector(),
            message_reader=reader,
            extras=extras,
        ) as session:
            event = {"request": request.model_dump(mode="json"), **session.get_bootstrap_env_vars()}
            answer = self._invoke(function_name, json.dumps(event))
            if isinstance(answer, dict):
                reader.consume(answer.get("messages", ()))
        return read_manifest(request, answer)

    def _invoke(self, function_name: str, payload: str) -> Any:
        try:
            response = self._client.invoke(FunctionName=function_name, InvocationType="RequestResponse", Payload=payload)
            body = response["Payload"].read()
        except ClientError as error:
            raise TargetUnavailableError(f"{function_name}: {error.response['Error']['Code']}") from error
        except BotoCoreError as error:
            # A connection that broke, or timed out, after it was made: the request may have arrived.
            ran = isinstance(error, HTTPClientError)
            raise TargetUnavailableError(f"{function_name}: {type(error).__name__}", ran=ran) from error
        try:
            answer = json.loads(body, parse_constant=_refuse)
        except ValueError as error:
            raise ManifestError(f"{function_name} answered with {len(body)} bytes that aren't JSON") from error
        if "FunctionError" in response:
            raise function_error(function_name, answer if isinstance(answer, dict) else {})
        return answer


def _refuse(constant: str) -> None:
    """NaN and Infinity, which Python's json module writes and the event log can't hold."""
    raise ValueError(f"{constant} is not JSON")


def function_error(function_name: str, answer: Mapping[str, Any]) -> Exception:
    """What a FunctionError means: killed by its time limit, killed otherwise, or broken whatever it is given.

    The texts are Lambda's own: `Task timed out after 3.00 seconds`, `Runtime exited with error: signal: killed`. What an
    exception in the function says of timeouts is none of them.
    """
    kind, message = str(answer.get("errorType", "")), str(answer.get("errorMessage", ""))
    if re.search(r"Task timed out after \d", message) or kind == "Sandbox.Timedout":
        return BatchDiedError(ErrorCode.TIMEOUT, f"{function_name} ran into its time limit")
    if kind in {"Runtime.ExitError", "Runtime.OutOfMemory"} or any(
        text in message for text in ("Runtime exited", "signal: killed", "Worker process died", "Worker returned no response")
    ):
        return BatchDiedError(ErrorCode.CRASHED, f"{function_name} was killed while it ran")
    return TargetUnavailableError(f"{function_name} failed as a whole: {kind or 'unknown error'}", ran=True)
