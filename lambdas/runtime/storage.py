"""What a remote step reads from S3 and writes to it.

Sources are read by version, so that a step works on exactly the bytes its request names. Derived objects are written
once: a second writer of a key gets the first one's object back and reports that.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.response import StreamingBody
from urllib3.exceptions import HTTPError

from lambdas.runtime.contract import BatchItem, ErrorCode, OutputObject
from lambdas.runtime.step import StepError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TRIES_AT_A_CONTESTED_KEY = 3
_CHUNK_BYTES = 1024 * 1024


@cache
def s3_client() -> S3Client:
    """The process's S3 client, made at first use. Endpoint, region and credentials come from the environment."""
    # A bucket's name is part of a host name at AWS only.
    style: Literal["path", "auto"] = "path" if "AWS_ENDPOINT_URL" in os.environ else "auto"
    return boto3.client(
        "s3",
        config=Config(
            connect_timeout=2,
            read_timeout=15,
            retries={"mode": "standard", "max_attempts": 3},
            tcp_keepalive=True,
            s3={"addressing_style": style},
        ),
    )


class Storage:
    """S3 as one item's step sees it. `bytes_in` counts what was read.

    Every method raises StepError: SOURCE_GONE when the source version no longer exists; STEP_ERROR when a derived
    object is missing or the source is archived; STORAGE_UNAVAILABLE for whatever else S3 answers, or doesn't.
    """

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self.bytes_in = 0

    def read(self, item: BatchItem, limit_bytes: int) -> bytes:
        """The source version, whole. TOO_MANY_BYTES, before its bytes are read, if it is larger than `limit_bytes`."""
        require_bytes(item.size_bytes, limit_bytes)
        with _source_faults():
            answer = self._client.get_object(Bucket=item.bucket, Key=item.key, VersionId=item.version_id)
            require_bytes(answer["ContentLength"], limit_bytes)  # the request's figure is a notification's
            body = answer["Body"].read()
        self.bytes_in += len(body)
        return body

    def download(self, item: BatchItem, path: Path, limit_bytes: int) -> None:
        """The source version as a new file, without holding it in memory. TOO_MANY_BYTES as in `read`."""
        require_bytes(item.size_bytes, limit_bytes)
        with _source_faults():
            answer = self._client.get_object(Bucket=item.bucket, Key=item.key, VersionId=item.version_id)
            self._save(answer, path, limit_bytes)

    def read_range(self, item: BatchItem, start: int, length: int) -> bytes:
        """`length` bytes of the source version from `start`; fewer, or none, where the object ends."""
        try:
            with _source_faults():
                answer = self._client.get_object(
                    Bucket=item.bucket,
                    Key=item.key,
                    VersionId=item.version_id,
                    Range=f"bytes={start}-{start + length - 1}",
                )
                with answer["Body"] as stream:
                    if "ContentRange" not in answer:  # some emulators send the whole object when a version is asked for
                        _skip(stream, start)
                    body = stream.read(length)
        except _BeyondTheEnd:
            return b""
        self.bytes_in += len(body)
        return body

    def read_key(self, bucket: str, key: str) -> bytes:
        """A derived object that an earlier step wrote."""
        try:
            return self._get(bucket, key)[0]
        except _Missing as error:
            raise StepError(ErrorCode.STEP_ERROR, "an object that an earlier step wrote is missing") from error

    def read_start(self, bucket: str, key: str, length: int) -> bytes:
        """The first bytes of a derived object that an earlier step wrote, `length` of them if it has as many."""
        try:
            with _faults():
                answer = self._client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{length - 1}")
                with closing(answer["Body"]) as stream:
                    body = stream.read(length)
        except _Missing as error:
            raise StepError(ErrorCode.STEP_ERROR, "an object that an earlier step wrote is missing") from error
        except _BeyondTheEnd:  # it is empty
            return b""
        self.bytes_in += len(body)
        return body

    def download_key(self, bucket: str, key: str, path: Path, limit_bytes: int) -> None:
        """The same as a new file, without holding it in memory. TOO_MANY_BYTES as in `read`."""
        try:
            with _faults():
                self._save(self._client.get_object(Bucket=bucket, Key=key), path, limit_bytes)
        except _Missing as error:
            raise StepError(ErrorCode.STEP_ERROR, "an object that an earlier step wrote is missing") from error

    def read_json(self, bucket: str, key: str) -> tuple[dict[str, Any], OutputObject] | None:
        """A JSON object and its proof, or None if the key has none. For the `result.json` of an earlier attempt."""
        try:
            body, content_type, _ = self._get(bucket, key)
        except _Missing:
            return None
        return json.loads(body), _describe(key, body, content_type, {})

    def write(
        self,
        bucket: str,
        key: str,
        body: bytes,
        content_type: str,
        attributes: dict[str, Any] | None = None,
        *,
        identified: bool = False,
    ) -> OutputObject:
        """Store a derived object, unless the key has one. The answer describes the object that is stored now.

        `identified`: its attributes get S3's own `version_id` and `etag`.
        """
        stored = self._put(bucket, key, body, hashlib.sha256(body).digest(), content_type)
        if stored is None:
            body, content_type, stored = self._get(bucket, key)
        return _describe(key, body, content_type, (attributes or {}) | (_identity(stored) if identified else {}))

    def write_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        content_type: str,
        attributes: dict[str, Any] | None = None,
        *,
        identified: bool = False,
    ) -> OutputObject:
        """The same with a file of up to 5 GB, without holding it, or the object that was there, in memory."""
        with path.open("rb") as file:
            digest, size_bytes = hashlib.file_digest(file, "sha256").digest(), file.tell()
            stored = self._put(bucket, key, file, digest, content_type)
        if stored is None:
            digest, size_bytes, content_type, stored = self._digest(bucket, key)
        return OutputObject(
            key=key,
            sha256=digest.hex(),
            size_bytes=size_bytes,
            content_type=content_type,
            attributes=(attributes or {}) | (_identity(stored) if identified else {}),
        )

    def write_json(self, bucket: str, key: str, value: dict[str, Any]) -> tuple[dict[str, Any], OutputObject]:
        """Store a JSON object, unless the key has one. The answer is the one that counts, the first, and its proof."""
        body = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        if self._put(bucket, key, body, hashlib.sha256(body).digest(), "application/json") is None:
            body = self._get(bucket, key)[0]
        return json.loads(body), _describe(key, body, "application/json", {})

    def _save(self, answer: Mapping[str, Any], path: Path, limit_bytes: int) -> None:
        require_bytes(answer["ContentLength"], limit_bytes)  # botocore sees to it that the body has as many
        with closing(answer["Body"]) as stream, path.open("xb") as file:
            for chunk in stream.iter_chunks(_CHUNK_BYTES):
                file.write(chunk)
                self.bytes_in += len(chunk)

    def _get(self, bucket: str, key: str) -> tuple[bytes, str, Mapping[str, Any]]:
        """Body, content type and S3's answer."""
        with _faults():
            answer = self._client.get_object(Bucket=bucket, Key=key)
            body = answer["Body"].read()
        self.bytes_in += len(body)
        return body, answer["ContentType"], answer

    def _digest(self, bucket: str, key: str) -> tuple[bytes, int, str, Mapping[str, Any]]:
        """SHA-256, size in bytes, content type and S3's answer."""
        digest, size_bytes = hashlib.sha256(), 0
        with _faults():
            answer = self._client.get_object(Bucket=bucket, Key=key)
            with closing(answer["Body"]) as stream:
                for chunk in stream.iter_chunks(_CHUNK_BYTES):
                    digest.update(chunk)
                    size_bytes += len(chunk)
        self.bytes_in += size_bytes
        return digest.digest(), size_bytes, answer["ContentType"], answer

    def _put(
        self, bucket: str, key: str, body: bytes | IO[bytes], digest: bytes, content_type: str
    ) -> Mapping[str, Any] | None:
        """S3's answer; None if the key has an object already."""
        for _ in range(_TRIES_AT_A_CONTESTED_KEY):
            if not isinstance(body, bytes):
                body.seek(0)
            try:
                with _faults():
                    return self._client.put_object(
                        Bucket=bucket,
                        Key=key,
                        Body=body,
                        ContentType=content_type,
                        IfNoneMatch="*",
                        ChecksumSHA256=b64encode(digest).decode(),  # dispatch asks S3 for it
                    )
            except _Contested:
                continue
            except _AlreadyWritten:
                return None
        raise StepError(ErrorCode.STORAGE_UNAVAILABLE, "another writer holds the key of a derived object")


def require_bytes(size_bytes: int, limit_bytes: int) -> None:
    """Raise StepError TOO_MANY_BYTES if a file is larger than the limit."""
    if size_bytes > limit_bytes:
        raise StepError(ErrorCode.TOO_MANY_BYTES, f"the file has {size_bytes:,} bytes; the limit is {limit_bytes:,}")


def _skip(stream: StreamingBody, length: int) -> None:
    while length > 0 and (skipped := stream.read(min(length, _CHUNK_BYTES))):
        length -= len(skipped)


def _describe(key: str, body: bytes, content_type: str, attributes: dict[str, Any]) -> OutputObject:
    digest = hashlib.sha256(body).hexdigest()
    return OutputObject(key=key, sha256=digest, size_bytes=len(body), content_type=content_type, attributes=attributes)


def _identity(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"version_id": answer["VersionId"], "etag": answer["ETag"].strip('"')}


class _Missing(Exception):
    """404: no such key or version. 405: the version is a delete marker."""


class _BeyondTheEnd(Exception):
    """416: the range begins after the last byte."""


class _AlreadyWritten(Exception):
    """412: If-None-Match found an object."""


class _Contested(Exception):
    """409: another conditional write of the key was under way."""


_ANSWERS: dict[str, type[Exception]] = {
    "NoSuchKey": _Missing,
    "NoSuchVersion": _Missing,
    "MethodNotAllowed": _Missing,
    "InvalidRange": _BeyondTheEnd,
    "PreconditionFailed": _AlreadyWritten,
    "ConditionalRequestConflict": _Contested,
}


@contextmanager
def _faults() -> Iterator[None]:
    """Turn what S3 answers into one of the above. Whatever isn't about the object itself is an outage."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _ANSWERS:
            raise _ANSWERS[code] from error
        if code == "InvalidObjectState":
            raise StepError(ErrorCode.STEP_ERROR, "the file is archived and has to be restored first") from error
        raise StepError(ErrorCode.STORAGE_UNAVAILABLE, f"S3 answered {code}") from error
    except ParamValidationError:  # a fault of this program
        raise
    except (BotoCoreError, HTTPError) as error:
        raise StepError(ErrorCode.STORAGE_UNAVAILABLE, f"S3 can't be reached ({type(error).__name__})") from error


@contextmanager
def _source_faults() -> Iterator[None]:
    """The same, where a missing object means that the upload was removed."""
    try:
        with _faults():
            yield
    except _Missing as error:
        raise StepError(ErrorCode.SOURCE_GONE, "this version of the file no longer exists") from error
