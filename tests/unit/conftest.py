"""A real S3, from the AWS emulator, and a way to call a step's handler as Lambda does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from lambdas.runtime.contract import BatchItem, ItemOutcome, Manifest
from lambdas.runtime.entrypoint import Handler
from lambdas.runtime.storage import s3_client

_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a fresh emulator that listens on loopback only."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("emulator")
    environment = {"PATH": os.environ["PATH"], "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), **_CREDENTIALS}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "ministack"], env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"the emulator isn't there after 30 s, exit status {process.poll()}")


@dataclass
class LambdaContext:
    """What Lambda passes to a handler besides the event. It says the memory in a string."""

    remaining: Iterator[int] | None = None
    memory_limit_in_mb: int | str = "2048"

    def get_remaining_time_in_millis(self) -> int:
        return next(self.remaining) if self.remaining else 60_000


class Bucket:
    """A versioned bucket, and handlers that work on what is in it."""

    def __init__(self, endpoint: str) -> None:
        self.s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        self.name = f"media-{uuid.uuid4().hex[:8]}"
        self.s3.create_bucket(Bucket=self.name)
        self.s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})

    def put(self, body: bytes, name: str = "picture") -> BatchItem:
        """Upload a file, as an item that a request may name."""
        item_id = uuid.uuid4().hex
        key = f"uploads/ada/{item_id}/{name}"
        version = self.s3.put_object(Bucket=self.name, Key=key, Body=body)["VersionId"]
        return BatchItem(
            item_id=item_id,
            bucket=self.name,
            key=key,
            version_id=version,
            size_bytes=len(body),
            generation=0,
            output_prefix=f"derived/{item_id}/step/recipe/{version}/0/",
        )

    def get(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=self.name, Prefix=prefix).get("Contents", [])]


def request(step: str, parameters: Mapping[str, Any], *items: BatchItem, attempt: int = 1) -> dict[str, Any]:
    """A StepRequest as JSON."""
    return {
        "batch_id": "batch-1",
        "attempt_id": f"batch-1-{attempt}",
        "attempt": attempt,
        "step": step,
        "recipe": "0123456789ab",
        "parameters": dict(parameters),
        "items": [item.model_dump(mode="json") for item in items],
    }


def outcomes(handler: Handler, step: str, parameters: Mapping[str, Any], *items: BatchItem) -> list[ItemOutcome]:
    """What a handler's manifest says of each item, in the items' order."""
    answer = handler({"request": request(step, parameters, *items)}, LambdaContext())
    manifest = Manifest.model_validate(answer["manifest"])
    assert [outcome.item_id for outcome in manifest.outcomes] == [item.item_id for item in items]
    return list(manifest.outcomes)


@pytest.fixture(scope="session")
def _bucket(emulator: str) -> Bucket:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _CREDENTIALS.items():
            patch.setenv(name, value)
        return Bucket(emulator)


@pytest.fixture
def bucket(emulator: str, _bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """The session's bucket, with an environment in which a step's own client finds it."""
    for name, value in {**_CREDENTIALS, "AWS_ENDPOINT_URL": emulator}.items():
        monkeypatch.setenv(name, value)
    s3_client.cache_clear()
    yield _bucket
    s3_client.cache_clear()
