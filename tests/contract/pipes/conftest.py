"""One emulator with a container engine for the whole suite, and a machine for each target that a test is about.

A test is run against both targets, unless it is marked `only_lambda` or `only_ecs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from dagster import DagsterInstance

from media_assets.local.container_engine import ContainerEngine
from media_assets.local.emulator import CREDENTIALS, REGION, Emulator
from media_assets.local.ports import free_port
from tests.conftest import (
    Database,
    aws,  # noqa: F401 - the plain one again: tests/contract has one with a bucket and a secret for model calls
)
from tests.contract.pipes.front import Front
from tests.contract.pipes.machine import BUCKET, MARKS_BUCKET, Machine


@pytest.fixture(scope="package")
def aws_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("pipes")
    engine = ContainerEngine(folder / "ecs", folder / "engine.log")
    emulator = Emulator(folder / "emulator", folder / "emulator.log", engine.docker_host)
    port = free_port()
    try:
        engine.start()
        emulator.start(port)
        session = boto3.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
        s3 = session.client("s3", endpoint_url=Emulator.endpoint_url(port))
        for bucket in (BUCKET, MARKS_BUCKET):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield Emulator.endpoint_url(port)
    finally:
        engine.stop()
        emulator.stop()


@pytest.fixture(scope="package")
def serving_front(aws_endpoint: str) -> Iterator[Front]:
    front = Front(aws_endpoint)
    yield front
    front.close()


@pytest.fixture(params=["lambda", "ecs"])
def machine(
    request: pytest.FixtureRequest,
    aws: str,  # noqa: F811
    serving_front: Front,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Machine]:
    """Nothing uploaded and nothing deployed, and the environment in which Dagster's side finds everything."""
    serving_front.forget()
    with DagsterInstance.ephemeral() as instance:
        machine = Machine(request.param, database.store, instance, monkeypatch, tmp_path, serving_front)
        machine.configure(
            MEDIA_STAGE="nothing-deployed",
            MEDIA_BUCKET=BUCKET,
            DATABASE_URL=database.application_url,
            MEDIA_ECS_MIN_ITEMS="1" if request.param == "ecs" else "1000000",
            MEDIA_ECS_GATHER_SECONDS="0",
            MEDIA_ECS_POLL_SECONDS="0.05",
        )
        machine.batches_of(8, threads=2)
        try:
            yield machine
        finally:
            machine.stop_tasks()
