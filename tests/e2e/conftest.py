"""One running stack for the tests that use the system as people do: through the command line, S3, SQL and the UI's API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from media_assets.local.loopback_http import post_json
from media_assets.local.stack import Stack
from media_assets.settings import Settings

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


class RunningStack:
    """A stack in a folder of its own, with what people use it by."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        # What a killed run had claimed, and a target that was down, is tried again sooner than by default. A dozen photos,
        # or ten seconds of work on a video, are worth a task on ECS.
        self.stack = Stack(
            Settings(state_dir=state_dir, lease_seconds=10, retry_base_seconds=3, ecs_min_items=10, lambda_max_work_seconds=8)
        )
        self.environment: dict[str, str] = {}

    def up(self) -> None:
        self.environment = self.stack.up().environment

    def cli(self, *arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """`media-assets …` in a plain shell that knows nothing but where the stack is."""
        plain = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        done = subprocess.run(
            [Path(sys.executable).with_name("media-assets"), *map(str, arguments)],
            env={**plain, "MEDIA_STATE_DIR": str(self.state_dir)},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == expect, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str | Path, expect: int = 0) -> Any:
        return json.loads(self.cli(*arguments, "--json", expect=expect).stdout)

    def s3(self) -> Any:
        environment = self.environment
        return boto3.client(
            "s3",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name=environment["AWS_REGION"],
        )

    def put(self, key: str, body: bytes) -> str:
        """Upload as any S3 client would; the object's version id."""
        return str(self.s3().put_object(Bucket=self.environment["MEDIA_BUCKET"], Key=key, Body=body)["VersionId"])

    def sql(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a person gets at psql with DATABASE_URL."""
        with psycopg.connect(self.environment["DATABASE_URL"]) as connection:
            return connection.execute(query, parameters).fetchall()

    def graphql(self, query: str) -> Any:
        answer = post_json(f"{self.environment['DAGSTER_URL']}/graphql", {"query": query})
        assert not answer.get("errors"), answer["errors"]
        return answer["data"]

    def checks(self) -> dict[str, bool]:
        """Whether each asset check that looked at its asset's newest materialization passed."""
        answer = self.graphql("""{ assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks {
            name executionForLatestMaterialization { status evaluation { success } } } } } } }""")
        return {
            check["name"]: execution["evaluation"]["success"]
            for node in answer["assetNodes"]
            for check in node["assetChecksOrError"].get("checks", [])
            if (execution := check["executionForLatestMaterialization"]) and execution["evaluation"]
        }

    def eventually(self, holds: Callable[[], Any], *, seconds: float = 120) -> Any:
        """What `holds()` returns once it is true."""
        deadline = time.monotonic() + seconds
        while not (result := holds()):
            assert time.monotonic() < deadline, f"still not so after {seconds} s: {self.cli('status').stdout}"
            time.sleep(0.5)
        return result

    def state_of(self, key: str) -> tuple[Any, ...] | None:
        """(version_id, state) of the item at a key."""
        rows = self.sql("SELECT version_id, state FROM items WHERE key = %s", key)
        return rows[0] if rows else None


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("running"))
    running.up()
    try:
        yield running
    finally:
        running.stack.down()
