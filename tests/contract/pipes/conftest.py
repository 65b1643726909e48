"""Real Lambda functions in the emulator, invoked from real Dagster runs of our assets."""

from __future__ import annotations

import hashlib
import io
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import boto3
import pytest
from dagster import AssetsDefinition, DagsterInstance, ExecuteInProcessResult, materialize
from sqlalchemy import text

import lambdas
from media_assets.defs.assets.steps import step_assets
from media_assets.defs.partitions import key_of
from media_assets.defs.resource import MediaResource
from media_assets.dispatch.breakers import OpenBreaker, open_breakers
from media_assets.eventlog.events import Event, hour_of
from media_assets.eventlog.store import EventStore
from media_assets.settings import get_settings
from media_assets.steps.pending import StepCounts, due_hours, step_counts
from tests.conftest import (
    Database,
    aws,  # noqa: F401 - the plain emulator again: tests/contract has one with a bucket and a secret for model calls
    aws_endpoint,  # noqa: F401
    received,
)

HOUR = hour_of(datetime.now(UTC))
MEDIA_INFO = next(asset for asset in step_assets if asset.key.to_user_string() == "media_info")

PROBED = """
PROBED = {
    "kind": "image", "format": "jpeg", "content_type": "image/jpeg", "width": 3, "height": 2, "orientation": 1,
    "upright_width": 3, "upright_height": 2, "exif": {},
}
"""

MARKS_BUCKET = "marks"
MARKS = f"""
import boto3, uuid

def mark(item):
    \"\"\"Leave a trace that this item's turn came, for a test to count.\"\"\"
    boto3.client("s3").put_object(Bucket="{MARKS_BUCKET}", Key=f"{{item.key}}/{{uuid.uuid4()}}", Body=b"")
"""


@dataclass
class Run:
    """A finished Dagster run of an asset."""

    result: ExecuteInProcessResult
    instance: DagsterInstance

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
        return f"{error.cls_name}: {error.message}"


@dataclass
class Machine:
    """The emulator with a function for `probe`, a database, and a Dagster instance."""

    store: EventStore
    instance: DagsterInstance
    environment: pytest.MonkeyPatch

    def __post_init__(self) -> None:
        self.folder = f"uploads/ada/{uuid.uuid4().hex}"
        self._lambda = boto3.client("lambda")
        self._s3 = boto3.client("s3")
        self._s3.create_bucket(Bucket=MARKS_BUCKET)

    @property
    def function_name(self) -> str:
        return get_settings().function_name("probe")

    def configure(self, **variables: str) -> None:
        """Change settings by their environment variables."""
        for name, value in variables.items():
            self.environment.setenv(name, value)
        get_settings.cache_clear()

    def deploy(self, source: str, timeout_seconds: int = 30) -> None:
        """Have a function of `handler.py`'s source; `lambdas.runtime` is beside it, as in a real bundle.

        A stage, and so a function, belongs to a source: tests of one source share a warm function.
        """
        self.configure(MEDIA_STAGE="t" + hashlib.sha256(f"{timeout_seconds} {source}".encode()).hexdigest()[:12])
        try:
            self._lambda.create_function(
                FunctionName=self.function_name,
                Runtime="python3.13",
                Role="arn:aws:iam::000000000000:role/any",
                Handler="handler.handler",
                Code={"ZipFile": bundle(source)},
                Timeout=timeout_seconds,
                MemorySize=512,
            )
        except self._lambda.exceptions.ResourceConflictException:
            return

    def reserve(self, executions: int | None) -> None:
        """Set the function's reserved concurrency, or lift it."""
        if executions is None:
            self._lambda.delete_function_concurrency(FunctionName=self.function_name)
        else:
            self._lambda.put_function_concurrency(FunctionName=self.function_name, ReservedConcurrentExecutions=executions)

    def marked(self, name: str) -> int:
        """How often the turn of the upload of this name came."""
        return len(self._s3.list_objects_v2(Bucket=MARKS_BUCKET, Prefix=f"{self.folder}/{name}/").get("Contents", []))

    def upload(self, *names: str, at: datetime = HOUR) -> list[str]:
        """Uploads that are due for probe; their item ids."""
        events = [received(f"{self.folder}/{name}", at=at) for name in names]
        self.store.append(events)
        return [str(event.item_id) for event in events]

    def run(
        self,
        hours: Sequence[datetime] = (HOUR,),
        asset: AssetsDefinition = MEDIA_INFO,
        media: MediaResource | None = None,
    ) -> Run:
        """Materialize an asset for some adjoining hours in one run."""
        keys = sorted(map(key_of, hours))
        tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        result = materialize(
            [asset],
            instance=self.instance,
            resources={"media": media or MediaResource()},
            raise_on_error=False,
            **({"partition_key": keys[0]} if len(keys) == 1 else {"tags": tags}),
        )
        return Run(result, self.instance)

    def events(self, *types: str) -> list[Event]:
        return [event for event in self.store.all() if event.payload.type in types]

    def counts(self) -> StepCounts:
        with self.store.engine.connect() as connection:
            return step_counts(connection)["probe"]

    def failures(self) -> dict[str, tuple[int, str]]:
        """Failed attempts and the last one's code, by item id, of items that have any."""
        with self.store.engine.connect() as connection:
            rows = connection.execute(text("SELECT item_id, failures, error_code FROM steps WHERE failures > 0"))
            return {str(item_id): (failures, code) for item_id, failures, code in rows}

    def breaker(self) -> OpenBreaker | None:
        with self.store.engine.connect() as connection:
            return next(iter(open_breakers(connection)), None)

    def is_due(self) -> bool:
        with self.store.engine.connect() as connection:
            return HOUR in due_hours(connection, get_settings())

    def let_time_pass(self) -> None:
        """Until every breaker has closed."""
        with self.store.engine.begin() as connection:
            connection.execute(text("UPDATE breakers SET open_until = now()"))


def bundle(source: str) -> bytes:
    """A function's zip: the shared runtime, and a handler."""
    root = Path(lambdas.__file__).parent
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("lambdas/__init__.py", "")
        for path in sorted((root / "runtime").glob("*.py")):
            archive.writestr(f"lambdas/runtime/{path.name}", path.read_text())
        archive.writestr("handler.py", dedent(source))
    return buffer.getvalue()


@pytest.fixture
def machine(aws: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:  # noqa: F811
    """Nothing uploaded and nothing deployed, and the environment in which Dagster's side finds everything."""
    with DagsterInstance.ephemeral() as instance:
        machine = Machine(database.store, instance, monkeypatch)
        machine.configure(
            MEDIA_STAGE="nothing-deployed",
            MEDIA_BUCKET="photos",
            DATABASE_URL=database.application_url,
            MEDIA_BATCH_MAX_ITEMS="8",
            MEDIA_DISPATCH_THREADS="2",
        )
        yield machine


def hours_before(number: int) -> datetime:
    return HOUR - timedelta(hours=number)
