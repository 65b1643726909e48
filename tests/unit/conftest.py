"""A bucket in the emulator, and a way to call a step's handler as Lambda does."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from lambdas.runtime.contract import BatchItem, ErrorCode, ItemOutcome, Manifest
from lambdas.runtime.entrypoint import Handler
from lambdas.runtime.storage import s3_client
from media_assets.local.emulator import CREDENTIALS, REGION


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
        self.s3 = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
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


def item(item_id: str, bucket: str = "bucket") -> BatchItem:
    """An item of a step that never looks at its file."""
    return BatchItem(
        item_id=item_id,
        bucket=bucket,
        key=f"uploads/ada/{item_id}",
        version_id="1",
        size_bytes=10,
        generation=0,
        output_prefix=f"derived/{item_id}/",
    )


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


def error(outcome: ItemOutcome) -> tuple[ErrorCode, str, bool] | None:
    """An outcome's code, message and whether it may be retried; None if it is no error."""
    return (outcome.error.code, outcome.error.message, outcome.error.retryable) if outcome.error else None


@pytest.fixture(scope="session")
def _bucket(aws_endpoint: str) -> Bucket:
    return Bucket(aws_endpoint)


@pytest.fixture
def bucket(aws: str, _bucket: Bucket) -> Iterator[Bucket]:
    """The session's bucket, with an environment in which a step's own client finds it."""
    s3_client.cache_clear()
    yield _bucket
    s3_client.cache_clear()
