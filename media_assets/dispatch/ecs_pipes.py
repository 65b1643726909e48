"""ECS as a target: a task a batch. Event, messages and answer are objects, by the id of the attempt.

Dagster's own client reads messages from CloudWatch without pausing, calls a task without an exit code a success, and can
leave a task behind that was started while its run was cancelled. Here DescribeTasks and the answer decide, a cancelled run
waits for what it is just starting, and what it has started is stopped.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from dagster import AssetExecutionContext
from dagster._core.pipes.utils import PipesEnvContextInjector

from lambdas.runtime.contract import ErrorCode, Manifest, ObjectReference, StepRequest
from media_assets.dispatch.backoff import backoff
from media_assets.dispatch.ecs_tasks import Task, described_tasks, end_without_answer, may_be_tried_again, task_of
from media_assets.dispatch.errors import BatchDiedError, BatchInterruptedError, TargetUnavailableError
from media_assets.dispatch.lambda_pipes import function_error
from media_assets.dispatch.manifest import read_manifest
from media_assets.dispatch.parcels import Parcels, s3_for
from media_assets.dispatch.proof import verify_objects
from media_assets.dispatch.sessions import AnswerMessageReader, batch_session
from media_assets.dispatch.targets import OnProgress, unheard
from media_assets.settings import Settings
from media_assets.steps.step import Step, TaskSize

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient

CONTAINER = "step"
"""The container's name in the task definitions of all steps (infra/stacks)."""
_START_SECONDS = 1.0
_START_TIMES = 5
"""How often RunTask is tried again after a throttle or for want of capacity, after so long at first."""
_BLIND_SECONDS = 60
"""How long ECS may not say how a task is before it counts as unavailable."""
_OVERTIME_SECONDS = 5
_LEAVE_SECONDS = 3
_RUN_ENDED = "the run that sent it has ended"
_NOT_WANTED = "nobody wants its results any more"


class EcsTarget:
    """Runs a task of a step's definition a batch, in the deployment's cluster."""

    def __init__(
        self, context: AssetExecutionContext, settings: Settings, step: Step, size: TaskSize, ecs: ECSClient, parcels: Parcels
    ) -> None:
        self._context = context
        self._settings = settings
        self._family = settings.task_family(step.name)
        self._size = size
        self._ecs = ecs
        self._parcels = parcels
        self._cancelled = threading.Event()
        self._lock = threading.Condition()
        self._sending = 0
        self._tasks: dict[str, str] = {}
        """Of batches under way, by the ids of their attempts."""

    @classmethod
    def connect(cls, context: AssetExecutionContext, settings: Settings, step: Step) -> EcsTarget:
        if step.task is None:
            raise ValueError(f"{step.name} has no task on ECS")
        config = Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"total_max_attempts": 1},
            max_pool_connections=settings.dispatch_threads,
        )
        parcels = Parcels(s3_for(settings), settings.bucket, step.name)
        return cls(context, settings, step, step.task, boto3.client("ecs", config=config), parcels)

    def send(self, request: StepRequest, on_progress: OnProgress = unheard) -> Manifest:
        """Run a task and return its verified manifest, with the time that the whole task is billed for.

        Raises TargetUnavailableError (no task could be run, or watched; it is misconfigured), BatchDiedError (killed, or
        out of time, in mid-batch), BatchInterruptedError (stopped by somebody) or ManifestError (the answer doesn't
        account for the batch).
        """
        with self._sent():
            try:
                return self._run(request, on_progress)
            finally:
                self._parcels.clear(request.attempt_id)

    def stop(self, attempt_id: str) -> None:
        """Stop the attempt's task, if it has started."""
        with self._lock:
            arn = self._tasks.get(attempt_id)
        if arn is not None:
            self._stop(arn, _NOT_WANTED)

    def cancel(self) -> None:
        """Stop every task of this run, also the ones that are being started this moment.

        Each is stopped by a thread of its own: ECS may take its time, and one that can't be asked holds up no other.
        """
        with self._lock:
            self._cancelled.set()
            tasks = set(self._tasks.values())
        stopping = [threading.Thread(target=self._stop, args=(task, _RUN_ENDED), daemon=True) for task in tasks]
        for thread in stopping:
            thread.start()
        deadline = time.monotonic() + _LEAVE_SECONDS
        with self._lock:
            self._lock.wait_for(lambda: self._sending == 0, timeout=_LEAVE_SECONDS)
        for thread in stopping:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, request: StepRequest, on_progress: OnProgress) -> Manifest:
        with batch_session(self._context, PipesEnvContextInjector(), request, on_progress) as (event, reader):
            event["task"] = {"seconds": self._size.timeout_seconds, "memory_mb": self._size.memory_mb}
            arn = self._start(request.attempt_id, self._parcels.send(request.attempt_id, event))
            try:
                task, outlived = self._watch(arn, request.attempt_id, reader)
            except BaseException as end:
                self._stop(arn, str(end)[:255])  # whatever it is, nobody waits for the task's answer any more
                raise
            finally:
                with self._lock:
                    self._tasks.pop(request.attempt_id, None)
            answer = self._parcels.answer(request.attempt_id)
            if answer is None:
                raise end_without_answer(self._family, task, began=reader.heard > 0, outlived_its_limit=outlived)
            if isinstance(error := answer.get("error"), dict):
                raise function_error(self._family, error)
            messages = answer.get("messages", ())
            reader.consume(messages[reader.heard :] if isinstance(messages, list) else messages)
        manifest = read_manifest(request, answer)
        verify_objects(self._parcels.s3, request, manifest)
        return manifest.model_copy(update={"billed_milliseconds": ceil(task.seconds * 1000), "memory_mb": self._size.memory_mb})

    def _start(self, attempt_id: str, event: ObjectReference) -> str:
        """The ARN of a new task. Raises TargetUnavailableError with AWS's own reason."""
        for wait in (*backoff(_START_SECONDS, _START_TIMES), None):
            if self._cancelled.is_set():
                raise BatchInterruptedError(f"{self._family} was not started: the run has ended")
            code, message = "", ""
            try:
                answer = self._ecs.run_task(**self._task_for(attempt_id, event))
                if answer["tasks"]:
                    return self._started(attempt_id, answer["tasks"][0]["taskArn"])
                failures = answer["failures"] or [{"reason": "no task and no reason"}]
                message = "; ".join(f"{each.get('reason')} {each.get('detail', '')}".strip() for each in failures)
            except ClientError as error:
                code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            except BotoCoreError as error:
                # A connection that broke, or timed out, after it was made: the request may have arrived.
                if isinstance(error, HTTPClientError) and (arn := self._find(attempt_id)):
                    return self._started(attempt_id, arn)
                raise TargetUnavailableError(f"{self._family}: ECS can't be reached ({type(error).__name__})") from error
            reason = f"{self._family}: RunTask: {f'{code}: ' if code else ''}{message}"
            if wait is None or not may_be_tried_again(code, message):
                raise TargetUnavailableError(reason)
            self._context.log.info(f"{reason}; tried again in {wait:.1f} s")
            self._cancelled.wait(wait)
        raise AssertionError("the last try returns or raises")

    def _find(self, attempt_id: str) -> str | None:
        """The task of this run that was started for an attempt, if ECS says that there is one."""
        cluster = self._settings.ecs_cluster
        try:
            for task in described_tasks(self._ecs, cluster, startedBy=self._context.run.run_id):
                if attempt_id in json.dumps(task.get("overrides", {})):
                    return task["taskArn"]
        except (ClientError, BotoCoreError) as error:
            self._context.log.warning(f"{self._family}: ECS can't be asked for a task ({type(error).__name__})")
        return None

    def _task_for(self, attempt_id: str, event: ObjectReference) -> Any:
        """RunTask's parameters, made anew each time. A repeated attempt id is the same task."""
        settings = self._settings
        network = {
            "awsvpcConfiguration": {
                "subnets": list(settings.ecs_subnets),
                "securityGroups": list(settings.ecs_security_groups),
                "assignPublicIp": "DISABLED",
            }
        }
        return {
            "cluster": settings.ecs_cluster,
            "taskDefinition": self._family,
            "launchType": "FARGATE",
            "startedBy": self._context.run.run_id,
            "clientToken": attempt_id,
            "overrides": {
                "containerOverrides": [
                    {
                        "name": CONTAINER,
                        "environment": [{"name": "MEDIA_EVENT_OBJECT", "value": event.model_dump_json(exclude_none=True)}],
                    }
                ]
            },
            **({"networkConfiguration": network} if settings.ecs_subnets else {}),
        }

    def _started(self, attempt_id: str, arn: str) -> str:
        with self._lock:
            if not self._cancelled.is_set():
                self._tasks[attempt_id] = arn
                return arn
        self._stop(arn, _RUN_ENDED)  # cancelled while RunTask was under way
        raise BatchInterruptedError(f"{self._family} was stopped: the run has ended")

    def _watch(self, arn: str, attempt_id: str, reader: AnswerMessageReader) -> tuple[Task, bool]:
        """The task once it has stopped, its messages handed on; and whether it ran for longer than it may."""
        began = seen = time.monotonic()
        started: float | None = None
        heard_objects = 0
        while True:
            task = self._describe(arn)
            now = time.monotonic()
            if task is not None:
                seen = now
                started = now if started is None and task.has_started else started
            elif now - seen > _BLIND_SECONDS:
                raise TargetUnavailableError(f"{self._family}: ECS didn't say for {_BLIND_SECONDS} s how a task is", ran=True)
            while messages := self._parcels.messages(attempt_id, heard_objects + 1):
                reader.consume(messages)
                heard_objects += 1
            ran = 0.0 if started is None else now - started
            if task is not None and task.has_stopped:
                return task, ran >= self._size.timeout_seconds
            if ran > self._size.timeout_seconds + _OVERTIME_SECONDS:  # it should have ended itself
                raise BatchDiedError(ErrorCode.TIMEOUT, f"{self._family} ran into its time limit")
            if started is None and now - began > self._settings.ecs_start_seconds:
                raise TargetUnavailableError(f"{self._family} didn't start within {self._settings.ecs_start_seconds:.0f} s")
            if self._cancelled.wait(self._settings.ecs_poll_seconds):
                raise BatchInterruptedError(f"{self._family} was stopped: the run has ended")

    def _describe(self, arn: str) -> Task | None:
        """None if ECS can't be asked this time. A task that it doesn't know any more has stopped somehow."""
        try:
            answer = self._ecs.describe_tasks(cluster=self._settings.ecs_cluster, tasks=[arn])
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code.startswith("AccessDenied"):
                raise TargetUnavailableError(f"{self._family}: DescribeTasks: {code}", ran=True) from error
            return None
        except BotoCoreError:
            return None
        if answer["tasks"]:
            return task_of(answer["tasks"][0], CONTAINER)
        reasons = ", ".join(failure.get("reason", "") for failure in answer["failures"])
        return Task("STOPPED", stop_code="TerminationNotice", stopped_reason=f"ECS doesn't know the task any more ({reasons})")

    def _stop(self, arn: str, reason: str) -> None:
        """The cluster is always named: without it ECS looks in another one."""
        try:
            self._ecs.stop_task(cluster=self._settings.ecs_cluster, task=arn, reason=reason)
        except (ClientError, BotoCoreError) as error:
            self._context.log.warning(
                f"{self._family}: a task could not be stopped ({type(error).__name__}); it ends by itself"
            )

    @contextmanager
    def _sent(self) -> Iterator[None]:
        with self._lock:
            self._sending += 1
        try:
            yield
        finally:
            with self._lock:
                self._sending -= 1
                self._lock.notify_all()
