"""Lambda as a target: a Pipes session whose messages and manifest come back in the response payload.

Dagster's own client reads messages from the last 4 KB of the log, where they get lost, and calls an answer without any a
success. Here there is no success without a manifest. boto3's default read timeout of 60 s with retries would invoke a
function that still runs again, up to four times: one attempt, a read timeout above the function's, and keepalive.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from dagster import AssetExecutionContext
from dagster_aws.pipes import PipesLambdaEventContextInjector

from lambdas.runtime.contract import MAX_INLINE_BYTES, ErrorCode, Manifest, StepRequest
from media_assets.dispatch.backoff import backoff
from media_assets.dispatch.errors import BatchDiedError, BatchInterruptedError, ManifestError, TargetUnavailableError
from media_assets.dispatch.manifest import read_manifest
from media_assets.dispatch.parcels import Parcels, refuse_constant, s3_for
from media_assets.dispatch.proof import verify_objects
from media_assets.dispatch.sessions import batch_session
from media_assets.dispatch.targets import OnProgress, unheard
from media_assets.settings import Settings
from media_assets.steps.step import Step

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import InvocationResponseTypeDef

_THROTTLED_SECONDS = 0.2
_THROTTLED_TIMES = 3
"""How often an invocation that was refused for its rate is tried again, after so long at first."""


class LambdaTarget:
    """Invokes a step's function with a StepRequest. Each call is a Pipes session of its own."""

    def __init__(self, context: AssetExecutionContext, function_name: str, client: LambdaClient, parcels: Parcels) -> None:
        self._context = context
        self._function_name = function_name
        self._client = client
        self._parcels = parcels

    @classmethod
    def connect(cls, context: AssetExecutionContext, settings: Settings, step: Step) -> LambdaTarget:
        config = Config(
            read_timeout=settings.invoke_timeout_seconds,
            connect_timeout=5,
            retries={"total_max_attempts": 1},
            tcp_keepalive=True,
            max_pool_connections=settings.dispatch_threads,
        )
        client = boto3.client("lambda", config=config)
        return cls(context, settings.function_name(step.name), client, Parcels(s3_for(settings), settings.bucket, step.name))

    def send(self, request: StepRequest, on_progress: OnProgress = unheard) -> Manifest:
        """Invoke and return the verified manifest. A function's messages come with its answer: there is no progress to hear.

        Raises TargetUnavailableError (unreachable, throttled, misconfigured), BatchDiedError (killed in mid-batch),
        BatchInterruptedError (killed before that) or ManifestError (the answer doesn't account for the batch).
        """
        with batch_session(self._context, PipesLambdaEventContextInjector(), request) as (event, reader):
            answer = self._ask(request.attempt_id, event)
            if isinstance(answer, dict):
                reader.consume(answer.get("messages", ()))
        manifest = read_manifest(request, answer)
        verify_objects(self._parcels.s3, request, manifest)
        return manifest

    def stop(self, attempt_id: str) -> None:
        """Nothing stops an invocation."""

    def cancel(self) -> None:
        """Nothing stops an invocation: those under way end by themselves, and what they have cost is put down."""

    def _ask(self, attempt_id: str, event: dict[str, Any]) -> Any:
        payload = json.dumps(event)
        travels = len(payload) > MAX_INLINE_BYTES
        if travels:
            reference = self._parcels.send(attempt_id, event)
            payload = json.dumps({"event_object": reference.model_dump()})
        try:
            answer = self._invoke(payload)
            if isinstance(answer, dict) and "answer_object" in answer:
                travels = True
                answer = self._parcels.receive(attempt_id, answer["answer_object"])
            return answer
        finally:
            if travels:
                self._parcels.clear(attempt_id)

    def _invoke(self, payload: str) -> Any:
        response = self._respond(payload)
        body = response["Payload"].read()
        try:
            answer = json.loads(body, parse_constant=refuse_constant)
        except ValueError as error:
            raise ManifestError(f"{self._function_name} answered with {len(body)} bytes that aren't JSON") from error
        if "FunctionError" in response:
            raise function_error(self._function_name, answer if isinstance(answer, dict) else {})
        return answer

    def _respond(self, payload: str) -> InvocationResponseTypeDef:
        name = self._function_name
        for wait in (*backoff(_THROTTLED_SECONDS, _THROTTLED_TIMES), None):
            try:
                return self._client.invoke(FunctionName=name, InvocationType="RequestResponse", Payload=payload)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code != "TooManyRequestsException" or wait is None:
                    raise TargetUnavailableError(f"{name}: {code}") from error
                time.sleep(wait)
            except BotoCoreError as error:
                # A connection that broke, or timed out, after it was made: the request may have arrived.
                ran = isinstance(error, HTTPClientError)
                raise TargetUnavailableError(f"{name}: {type(error).__name__}", ran=ran) from error
        raise AssertionError("the last try returns or raises")


def function_error(function_name: str, answer: Mapping[str, Any]) -> Exception:
    """What a FunctionError means: killed by its time limit, killed otherwise, killed before it had the batch, or broken
    whatever it is given.

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
    if "Worker process exited immediately" in message:  # the emulator's; Lambda itself starts another one
        return BatchInterruptedError(f"{function_name} was killed while it started")
    return TargetUnavailableError(f"{function_name} failed as a whole: {kind or 'unknown error'}", ran=True)
