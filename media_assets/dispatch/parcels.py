"""Events and answers that travel as objects: all of a task's, and those of a function that are larger than Lambda takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from lambdas.runtime.contract import ObjectReference, answer_key, event_key, messages_key
from media_assets.dispatch.errors import ManifestError, TargetUnavailableError
from media_assets.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef


def s3_for(settings: Settings) -> S3Client:
    """A client for as many threads as a run sends batches from."""
    config = Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=settings.dispatch_threads,
    )
    return boto3.client("s3", config=config)


@dataclass(frozen=True)
class Parcels:
    """The objects of a step's attempts in a bucket. Methods raise TargetUnavailableError with what S3 answers, a 403 too."""

    s3: S3Client
    bucket: str
    step: str

    def send(self, attempt_id: str, event: Mapping[str, Any]) -> ObjectReference:
        body, key = json.dumps(event).encode(), event_key(self.step, attempt_id)
        with _faults():
            stored = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/json")
        return ObjectReference(
            bucket=self.bucket, key=key, version_id=stored.get("VersionId"), sha256=hashlib.sha256(body).hexdigest()
        )

    def receive(self, attempt_id: str, told: Any) -> Any:
        """The answer that a function refers to. Raises ManifestError if the reference is none, or not of this attempt, or
        not of these bytes."""
        try:
            reference = ObjectReference.model_validate(told)
        except ValidationError:
            raise ManifestError(f"attempt {attempt_id} refers to its answer in a way that is none") from None
        if (reference.bucket, reference.key) != (self.bucket, answer_key(self.step, attempt_id)):
            raise ManifestError(f"attempt {attempt_id} refers to an answer that is another's")
        body = self._get(reference.key)
        if body is None:
            raise ManifestError(f"attempt {attempt_id} refers to an answer that isn't in the bucket")
        if (digest := hashlib.sha256(body).hexdigest()) != reference.sha256:
            raise ManifestError(f"the answer of attempt {attempt_id} has the digest {digest}, not {reference.sha256}")
        return _json(attempt_id, body)

    def answer(self, attempt_id: str) -> dict[str, Any] | None:
        """What a task has answered, or None if it hasn't. Raises ManifestError for what isn't a JSON object."""
        body = self._get(answer_key(self.step, attempt_id))
        if body is None:
            return None
        answer = _json(attempt_id, body)
        if not isinstance(answer, dict):
            raise ManifestError(f"attempt {attempt_id} answered without a manifest")
        return answer

    def messages(self, attempt_id: str, number: int) -> list[Any] | None:
        """A task's messages by the number of their object, or None if there is none yet."""
        body = self._get(messages_key(self.step, attempt_id, number))
        return None if body is None else [_json(attempt_id, line) for line in body.splitlines()]

    def clear(self, attempt_id: str) -> None:
        """Remove every version of the attempt's objects. What S3 doesn't let go now, the bucket's lifecycle removes: an answer
        that was received is worth more."""
        prefix = event_key(self.step, attempt_id).rpartition("/")[0] + "/"
        with suppress(TargetUnavailableError), _faults():
            for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix):
                found: list[ObjectIdentifierTypeDef] = [
                    {"Key": each["Key"], "VersionId": each["VersionId"]} for each in page.get("Versions", [])
                ]
                if found:
                    self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": found, "Quiet": True})

    def _get(self, key: str) -> bytes | None:
        with _faults():
            try:
                return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            except self.s3.exceptions.NoSuchKey:
                return None


def _json(attempt_id: str, body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=refuse_constant)
    except ValueError as error:
        raise ManifestError(f"attempt {attempt_id} answered with {len(body)} bytes that aren't JSON") from error


def refuse_constant(constant: str) -> None:
    """NaN and Infinity, which Python's json module writes and the event log can't hold."""
    raise ValueError(f"{constant} is not JSON")


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise TargetUnavailableError(f"S3 answered {error.response['Error']['Code']}", ran=True) from error
    except BotoCoreError as error:
        raise TargetUnavailableError(f"S3 can't be reached ({type(error).__name__})", ran=True) from error
