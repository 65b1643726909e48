"""The AWS emulator is closed to the network, keeps objects through a crash, and leaves no worker behind."""

from __future__ import annotations

import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from media_assets.local.container_engine import ContainerEngine
from media_assets.local.emulator import CREDENTIALS, REGION, WORKER_NICENESS, Emulator
from media_assets.local.ports import free_port
from media_assets.local.processes import marked

FUNCTION = """
import os, time
def handler(event, context):
    time.sleep(event["seconds"])
    return {"environment": dict(os.environ), "pid": os.getpid()}
"""


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path / "emulator", tmp_path / "emulator.log")
    yield emulator
    emulator.stop()


def client(service: Any, port: int) -> Any:
    session = boto3.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
    return session.client(service, endpoint_url=Emulator.endpoint_url(port))


def create_function(port: int) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", FUNCTION)
    client("lambda", port).create_function(
        FunctionName="sleeper",
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="index.handler",
        Timeout=60,
        Code={"ZipFile": code.getvalue()},
    )


def listening_hosts(processes: list[psutil.Process]) -> set[str]:
    connections = [connection for process in processes for connection in process.net_connections("inet")]
    return {connection.laddr.ip for connection in connections if connection.status == "LISTEN"}


def test_it_listens_on_loopback_only(emulator: Emulator) -> None:
    port = free_port()
    emulator.start(port)
    client("transfer", port).create_server()  # what opens ports of its own
    client("s3", port).list_buckets()
    assert listening_hosts(marked(f"emulator:{emulator.folder}")) == {"127.0.0.1"}


def test_functions_see_no_secret_of_ours(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with monkeypatch.context() as ours:
        for name in ("OPENAI_API_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "DATABASE_URL"):
            ours.setenv(name, "s3cret")
        emulator.start(port)
    create_function(port)
    answer = client("lambda", port).invoke(FunctionName="sleeper", Payload=json.dumps({"seconds": 0}))
    environment = json.load(answer["Payload"])["environment"]
    assert "s3cret" not in environment.values()
    assert environment["MEDIA_WORKER_NICE"] == str(WORKER_NICENESS)


def test_functions_stay_warm_processes_beside_a_container_engine(tmp_path: Path) -> None:
    engine = ContainerEngine(tmp_path / "ecs", tmp_path / "engine.log")
    emulator = Emulator(tmp_path / "emulator", tmp_path / "emulator.log", engine.docker_host)
    port = free_port()
    try:
        engine.start()
        emulator.start(port)
        create_function(port)
        invoke = partial(client("lambda", port).invoke, FunctionName="sleeper", Payload=json.dumps({"seconds": 0}))
        first, second = (json.load(invoke()["Payload"]) for _ in range(2))
        assert first["pid"] == second["pid"]
        assert first["pid"] in {process.pid for process in marked(f"emulator:{emulator.folder}")}
        assert [*(engine.folder / "containers").iterdir()] == []
    finally:
        engine.stop()
        emulator.stop()


def test_a_worker_that_outlives_a_killed_emulator_is_ended(emulator: Emulator) -> None:
    port = free_port()
    record = emulator.start(port)
    create_function(port)
    client("lambda", port).invoke(FunctionName="sleeper", InvocationType="Event", Payload=json.dumps({"seconds": 600}))
    mark = f"emulator:{emulator.folder}"
    while len(marked(mark)) < 2:
        time.sleep(0.05)
    os.kill(record.pid, signal.SIGKILL)

    emulator.stop()

    assert marked(mark) == []


def test_objects_and_their_versions_survive_sigkill(emulator: Emulator) -> None:
    port = free_port()
    record = emulator.start(port)
    s3 = client("s3", port)
    s3.create_bucket(Bucket="photos")
    s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="photos", Key="a key", Body=b"first")["VersionId"]
    second = s3.put_object(Bucket="photos", Key="a key", Body=b"second")["VersionId"]
    os.kill(record.pid, signal.SIGKILL)
    emulator.stop()

    emulator.start(port)

    def body(version: str) -> bytes:
        return s3.get_object(Bucket="photos", Key="a key", VersionId=version)["Body"].read()

    assert (body(first), body(second)) == (b"first", b"second")
