"""One machine on which a client's far half runs in a Lambda function or in ECS tasks, and its near half in Dagster runs."""

from __future__ import annotations

import hashlib
import io
import time
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import boto3
import pytest
from dagster import DagsterInstance, ExecuteInProcessResult
from sqlalchemy import text

import lambdas
from media_assets.defs.assets.steps import step_asset
from media_assets.defs.resource import MediaResource
from media_assets.dispatch.breakers import Breaker, known_breakers
from media_assets.eventlog.catalogue import DetectionsCompleted
from media_assets.eventlog.events import Event, hour_of
from media_assets.eventlog.store import EventStore
from media_assets.settings import get_settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.pending import StepCounts, due_work, step_counts
from media_assets.steps.step import Step, TargetName
from tests.conftest import ARRIVAL
from tests.contract.pipes.client import client_under_test
from tests.contract.pipes.front import Front
from tests.contract.pipes.processes import run_asset, start_run
from tests.unit.eventlog.lives import Life

HOUR = hour_of(ARRIVAL)
DETECT = STEPS["detect"]
BUCKET = "photos"
CONTAINER_MEMORY_MB = 512
CLIENT = client_under_test()
_PROJECT = Path(lambdas.__file__).parents[1]

MARKS_BUCKET = "marks"
MARKS = f"""
import boto3, uuid

def mark(item):
    \"\"\"Leave a trace that this item's turn came, for a test to count.\"\"\"
    boto3.client("s3").put_object(Bucket="{MARKS_BUCKET}", Key=f"{{item.key}}/{{uuid.uuid4()}}", Body=b"")
"""


only_lambda = pytest.mark.parametrize("machine", ["lambda"], indirect=True)
only_ecs = pytest.mark.parametrize("machine", ["ecs"], indirect=True)
"""For tests of what only one target can do."""


@dataclass
class Run:
    """A finished Dagster run of an asset."""

    result: ExecuteInProcessResult
    instance: DagsterInstance
    seconds: float

    @property
    def messages(self) -> list[str]:
        """What Dagster's event log says of the run."""
        return [entry.user_message for entry in self.instance.all_logs(self.result.run_id)]

    @property
    def failure(self) -> str | None:
        """Class and message of what failed the run; None for a success."""
        if self.result.success:
            return None
        ((failed),) = self.result.get_step_failure_events()
        error = failed.step_failure_data.error
        assert error is not None
        error = error.cause or error
        return f"{error.cls_name}: {error.message.strip()}"


@dataclass
class Machine:
    """The emulator, whose tasks are processes, a database, and a Dagster instance. Work goes to `target`: the other one of
    `detect`'s two is down, and stays so."""

    target: TargetName
    store: EventStore
    instance: DagsterInstance
    environment: pytest.MonkeyPatch
    folder: Path
    front: Front
    _task_seconds: int = 30
    _uploads: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.prefix = f"uploads/ada/{uuid.uuid4().hex}"
        self.s3 = boto3.client("s3")
        self.ecs = boto3.client("ecs")
        self._lambda = boto3.client("lambda")
        self._of_others = self._stored()
        other: TargetName = "lambda" if self.target == "ecs" else "ecs"
        with self.store.engine.begin() as connection:
            connection.execute(
                text("INSERT INTO breakers VALUES (:other, 1, now() + interval '1 day', 'not in this test')"),
                {"other": DETECT.breaker(other)},
            )

    # What there is.

    @property
    def name(self) -> str:
        """Of the function, or of the task's family."""
        settings = get_settings()
        return settings.function_name("detect") if self.target == "lambda" else settings.task_family("detect")

    @property
    def cluster(self) -> str:
        return get_settings().ecs_cluster

    def configure(self, **variables: str) -> None:
        """Change settings by their environment variables."""
        for name, value in variables.items():
            self.environment.setenv(name, value)
        get_settings.cache_clear()

    def batches_of(self, items: int, threads: int = 1) -> None:
        """How many items a batch holds, and how many batches are under way at once."""
        self.configure(MEDIA_BATCH_MAX_ITEMS=str(items), MEDIA_ECS_MAX_ITEMS=str(items), MEDIA_DISPATCH_THREADS=str(threads))

    def deploy(self, program: str = "", timeout_seconds: int = 30, **container: Any) -> None:
        """Have a function, or a task definition, that does what a program's `process` and `edit` do.

        A stage belongs to a program, so that tests of one share a warm function. `container` changes the task's container
        definition.
        """
        stage = f"{self.target} {timeout_seconds} {container} {program}"
        self.configure(MEDIA_STAGE="t" + hashlib.sha256(stage.encode()).hexdigest()[:12])
        self._task_seconds = timeout_seconds
        source = CLIENT.source(self.target, program)
        if self.target == "ecs":
            self._define_task(source, container)
        else:
            self._make_function(source, timeout_seconds)

    def _make_function(self, source: str, timeout_seconds: int) -> None:
        try:
            self._lambda.create_function(
                FunctionName=self.name,
                Runtime="python3.13",
                Role="arn:aws:iam::000000000000:role/any",
                Handler="handler.handler",
                Code={"ZipFile": bundle(source)},
                Timeout=timeout_seconds,
                MemorySize=512,
            )
        except self._lambda.exceptions.ResourceConflictException:
            return

    def _define_task(self, source: str, container: Mapping[str, Any]) -> None:
        program = self.folder / "program.py"
        program.write_text(source)
        definition: Any = {
            "name": "step",
            "image": "tasks",
            "command": ["python", str(program)],
            "environment": [{"name": "PYTHONPATH", "value": str(_PROJECT)}],
            "memory": CONTAINER_MEMORY_MB,
            "stopTimeout": 2,
            **container,
        }
        self.ecs.create_cluster(clusterName=self.cluster)
        self.ecs.register_task_definition(
            family=self.name,
            containerDefinitions=[definition],
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="1024",
            memory="2048",
        )

    def reserve(self, executions: int | None) -> None:
        """Set the function's reserved concurrency, or lift it."""
        if executions is None:
            self._lambda.delete_function_concurrency(FunctionName=self.name)
        else:
            self._lambda.put_function_concurrency(FunctionName=self.name, ReservedConcurrentExecutions=executions)

    def by_way_of_the_front(self, *services: str) -> None:
        """Dispatch, and nobody else, asks these AWS services through `front`."""
        self.configure(**{f"AWS_ENDPOINT_URL_{service.upper()}": self.front.url for service in services})

    def upload(self, *names: str, at: datetime = ARRIVAL) -> list[str]:
        """Uploads that are due for detect; their item ids."""
        events = []
        for name in names:
            life = Life(f"{self.prefix}/{name}")
            upload = life.upload(at=at)
            trace = {"correlation_id": upload.event_id, "causation_id": upload.event_id}
            events += [upload, life.probed().model_copy(update=trace), life.thumbnails().model_copy(update=trace)]
            self._uploads[name] = str(life.item_id)
        self.store.append(events)
        return [self._uploads[name] for name in names]

    # What is done.

    def run(
        self,
        hours: Sequence[datetime] = (HOUR,),
        media: MediaResource | None = None,
        step: Step | None = None,
    ) -> Run:
        """Materialize detections in one run, in this process. A task may take as long as `deploy` said."""
        began = time.monotonic()
        asset = step_asset(step or timed(self._task_seconds))
        result = run_asset(asset, hours, self.instance, media or CLIENT.media(), {})
        return Run(result, self.instance, time.monotonic() - began)

    @contextmanager
    def running(self, hours: Sequence[datetime] = (HOUR,), **tags: str) -> Iterator[BaseProcess]:
        """The same in a process of its own, which is dead in the end."""
        process = start_run(DETECT, hours, {f"media-assets/{name}": value for name, value in tags.items()})
        try:
            yield process
        finally:
            process.kill()
            process.join()

    # What came of it.

    def marked(self, name: str) -> int:
        """How often the turn of the upload of this name came."""
        return len(self.s3.list_objects_v2(Bucket=MARKS_BUCKET, Prefix=f"{self.prefix}/{name}/").get("Contents", []))

    def events(self, *types: str) -> list[Event]:
        return [event for event in self.store.all() if event.payload.type in types]

    def outcomes(self) -> list[Event]:
        """Everything that was recorded of detect."""
        return [event for event in self.store.all() if event.step == "detect"]

    def done(self) -> dict[str, DetectionsCompleted]:
        """Results by the names of the uploads."""
        found = {str(event.item_id): event.payload for event in self.events("DetectionsCompleted")}
        return {
            name: payload
            for name, item_id in self._uploads.items()
            if isinstance(payload := found.get(item_id), DetectionsCompleted)
        }

    def counts(self) -> StepCounts:
        with self.store.engine.connect() as connection:
            return step_counts(connection)["detect"]

    def failures(self) -> dict[str, tuple[int, str]]:
        """Failed attempts and the last one's code, by the names of uploads that have any."""
        with self.store.engine.connect() as connection:
            rows = connection.execute(text("SELECT item_id, failures, error_code FROM steps WHERE failures > 0"))
            found = {str(item_id): (failures, code) for item_id, failures, code in rows}
        return {name: found[item_id] for name, item_id in self._uploads.items() if item_id in found}

    def owing(self) -> int:
        """Items that owe for an attempt without an outcome."""
        with self.store.engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM claims WHERE owed_micro_dollars > 0")).scalar_one())

    def claimed(self) -> int:
        """Items under a lease."""
        with self.store.engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM claims WHERE lease_expires_at > now()")).scalar_one())

    def breaker(self) -> Breaker | None:
        """That of the target, if it is open."""
        with self.store.engine.connect() as connection:
            known = {breaker.target: breaker for breaker in known_breakers(connection)}
        breaker = known.get(DETECT.breaker(self.target))
        return breaker if breaker and breaker.is_open else None

    def is_due(self) -> bool:
        with self.store.engine.connect() as connection:
            return any((due.pipeline, due.hour) == ("detection", HOUR) for due in due_work(connection, get_settings()))

    def let_time_pass(self) -> None:
        """Until the target's breaker has closed."""
        with self.store.engine.begin() as connection:
            connection.execute(
                text("UPDATE breakers SET open_until = now() WHERE target = :target"), {"target": DETECT.breaker(self.target)}
            )

    def tasks(self) -> list[str]:
        """ARNs of the stage's tasks that run."""
        return list(self.ecs.list_tasks(cluster=self.cluster, desiredStatus="RUNNING")["taskArns"])

    def parcels(self, ending: str = "") -> list[str]:
        """Keys of this test's objects in which events, messages and answers travel; every version counts."""
        return [key for key in sorted(self._stored() - self._of_others) if key.endswith(ending)]

    def _stored(self) -> set[str]:
        found = self.s3.list_object_versions(Bucket=BUCKET, Prefix="dispatch/")
        return {each["Key"] for each in found.get("Versions", [])}

    def stop_tasks(self) -> None:
        """Those of killed and cancelled runs, and what a test started for itself; returns when they have ended."""
        for task in self.tasks():
            self.ecs.stop_task(cluster=self.cluster, task=task)


def timed(seconds: int) -> Step:
    """The step, with a task that may run for so long."""
    assert DETECT.task is not None
    kind = type("Timed", (type(DETECT),), {"task": replace(DETECT.task, timeout_seconds=seconds)})
    step: Step = kind()
    return step


def bundle(source: str) -> bytes:
    """A function's zip: the shared runtime, and a handler."""
    root = Path(lambdas.__file__).parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("lambdas/__init__.py", "")
        for path in sorted((root / "runtime").glob("*.py")):
            archive.writestr(f"lambdas/runtime/{path.name}", path.read_text())
        archive.writestr("handler.py", source)
    return buffer.getvalue()


def hours_before(number: int) -> datetime:
    return HOUR - timedelta(hours=number)
