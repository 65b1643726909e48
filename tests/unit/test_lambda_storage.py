"""What a step reads and writes: the version that was named, each object once, and whose fault it is when S3 says no."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lambdas.runtime.contract import BatchItem, ErrorCode
from lambdas.runtime.entrypoint import Handler, lambda_handler
from lambdas.runtime.step import StepError, StepResult
from lambdas.runtime.storage import Storage, s3_client
from tests.unit.conftest import Bucket, error, item, outcomes


def with_storage(use: Callable[[BatchItem, Storage], dict[str, Any]]) -> Handler:
    return lambda_handler("look", lambda item, context: StepResult(use(item, context.storage)))


def read_all(item: BatchItem, storage: Storage) -> dict[str, Any]:
    return {"bytes": len(storage.read(item, 10_000)), "range": storage.read_range(item, 2, 3).decode()}


def test_the_version_that_was_asked_for_is_read(bucket: Bucket) -> None:
    first = bucket.put(b"abcdefgh")
    bucket.s3.put_object(Bucket=bucket.name, Key=first.key, Body=b"another picture")
    (found,) = outcomes(with_storage(read_all), "look", {}, first)
    assert found.result == {"bytes": 8, "range": "cde"}


def test_ranges_at_the_end_and_beyond(bucket: Bucket) -> None:
    storage, stored = Storage(s3_client()), bucket.put(b"abcdefgh")
    assert storage.read_range(stored, 6, 100) == b"gh"
    assert storage.read_range(stored, 8, 100) == b""
    assert storage.read_range(stored, 5000, 1) == b""
    assert storage.bytes_in == 2


@pytest.mark.parametrize("fate", ["deleted", "never there", "never there in that version", "a delete marker"])
def test_an_upload_that_is_gone_is_gone(bucket: Bucket, fate: str) -> None:
    upload = bucket.put(b"abcdefgh")
    if fate == "deleted":
        bucket.s3.delete_object(Bucket=bucket.name, Key=upload.key, VersionId=upload.version_id)
    if fate == "never there":
        upload = upload.model_copy(update={"key": "uploads/nothing"})
    if fate == "never there in that version":
        upload = upload.model_copy(update={"version_id": "00000000-0000-0000-0000-000000000000"})
    if fate == "a delete marker":
        marker = bucket.s3.delete_object(Bucket=bucket.name, Key=upload.key)["VersionId"]
        upload = upload.model_copy(update={"version_id": marker})
    for read in (lambda i, s: {"": s.read(i, 100)}, lambda i, s: {"": s.read_range(i, 0, 5)}):
        (found,) = outcomes(with_storage(read), "look", {}, upload)
        assert error(found) == (ErrorCode.SOURCE_GONE, "this version of the file no longer exists", False)


def test_a_file_above_the_limit_is_not_read(bucket: Bucket) -> None:
    honest = bucket.put(b"x" * 20_000)
    understated = honest.model_copy(update={"item_id": "understated", "size_bytes": 5})
    for found in outcomes(with_storage(read_all), "look", {}, honest, understated):
        message = "the file has 20,000 bytes; the limit is 10,000"
        assert error(found) == (ErrorCode.TOO_MANY_BYTES, message, False)
        assert found.metrics.bytes_in == 0


def test_a_derived_object_is_written_once_and_the_first_one_counts(bucket: Bucket) -> None:
    storage, key = Storage(s3_client()), f"derived/{time.time_ns()}/256.webp"
    first = storage.write(bucket.name, key, b"first", "image/webp", {"size": 256})
    second = storage.write(bucket.name, key, b"second!", "image/webp", {"size": 256})

    assert second == first
    assert first.sha256 == hashlib.sha256(b"first").hexdigest()
    assert (first.size_bytes, first.content_type, first.attributes) == (5, "image/webp", {"size": 256})
    assert bucket.get(key) == storage.read_key(bucket.name, key) == b"first"


def test_a_source_is_downloaded_whole(bucket: Bucket, tmp_path: Path) -> None:
    body = os.urandom(3_000_001)
    storage, source, path = Storage(s3_client()), bucket.put(body), tmp_path / "source"
    storage.download(source, path, 3_000_001)
    assert path.read_bytes() == body
    assert storage.bytes_in == len(body)


def test_a_source_above_the_limit_is_not_downloaded(bucket: Bucket, tmp_path: Path) -> None:
    honest = bucket.put(b"x" * 20_000)
    for source in (honest, honest.model_copy(update={"size_bytes": 5})):
        with pytest.raises(StepError, match="the file has 20,000 bytes; the limit is 10,000"):
            Storage(s3_client()).download(source, tmp_path / "source", 10_000)
        assert not (tmp_path / "source").exists()


def test_a_download_that_is_gone_is_gone(bucket: Bucket, tmp_path: Path) -> None:
    source = bucket.put(b"abc").model_copy(update={"key": "uploads/nothing"})
    with pytest.raises(StepError) as raised:
        Storage(s3_client()).download(source, tmp_path / "source", 100)
    assert raised.value.code is ErrorCode.SOURCE_GONE


def test_a_file_is_written_once_and_the_first_one_counts(bucket: Bucket, tmp_path: Path) -> None:
    storage, key = Storage(s3_client()), f"derived/{time.time_ns()}/segment_000.mp4"
    first_body, second_body = os.urandom(2_500_000), os.urandom(100)
    (tmp_path / "first").write_bytes(first_body)
    (tmp_path / "second").write_bytes(second_body)

    first = storage.write_file(bucket.name, key, tmp_path / "first", "video/mp4", {"start_ms": 0})
    second = storage.write_file(bucket.name, key, tmp_path / "second", "video/mp4", {"start_ms": 0})

    assert second == first
    assert (first.sha256, first.size_bytes) == (hashlib.sha256(first_body).hexdigest(), len(first_body))
    assert (first.content_type, first.attributes) == ("video/mp4", {"start_ms": 0})
    assert bucket.get(key) == first_body
    stored = bucket.s3.head_object(Bucket=bucket.name, Key=key, ChecksumMode="ENABLED")
    assert base64.b64decode(stored["ChecksumSHA256"]).hex() == first.sha256


def test_who_asks_learns_how_s3_names_the_object(bucket: Bucket, tmp_path: Path) -> None:
    storage, folder = Storage(s3_client()), f"derived/{time.time_ns()}"
    (tmp_path / "frame").write_bytes(b"frame")
    for write in (
        lambda: storage.write(bucket.name, f"{folder}/bytes", b"frame", "image/jpeg", {"width": 5}, identified=True),
        lambda: storage.write_file(
            bucket.name, f"{folder}/file", tmp_path / "frame", "image/jpeg", {"width": 5}, identified=True
        ),
    ):
        first, again = write(), write()
        stored = bucket.s3.head_object(Bucket=bucket.name, Key=first.key)
        assert first.attributes == {"width": 5, "version_id": stored["VersionId"], "etag": stored["ETag"].strip('"')}
        assert again == first


def test_json_of_an_earlier_attempt_is_found_and_counts(bucket: Bucket) -> None:
    storage, key = Storage(s3_client()), f"derived/{time.time_ns()}/result.json"
    assert storage.read_json(bucket.name, key) is None

    written, proof = storage.write_json(bucket.name, key, {"tags": ["cat"], "model": "m"})
    assert written == {"tags": ["cat"], "model": "m"}
    assert storage.read_json(bucket.name, key) == (written, proof)
    assert storage.write_json(bucket.name, key, {"tags": ["dog"]}) == (written, proof)


def test_the_beginning_of_a_derived_object_is_read_without_the_rest(bucket: Bucket) -> None:
    storage, stored, empty = Storage(s3_client()), bucket.put(b"abcdefgh"), bucket.put(b"")
    found = [storage.read_start(bucket.name, stored.key, length) for length in (3, 8, 100)]
    assert found == [b"abc", b"abcdefgh", b"abcdefgh"]
    assert storage.read_start(bucket.name, empty.key, 3) == b""
    assert storage.bytes_in == 3 + 8 + 8
    with pytest.raises(StepError, match="an object that an earlier step wrote is missing"):
        storage.read_start(bucket.name, "derived/nothing", 3)


def test_a_missing_derived_object_is_not_a_removed_upload(bucket: Bucket) -> None:
    handler = with_storage(lambda item, storage: {"": storage.read_key(bucket.name, "derived/nothing")})
    (found,) = outcomes(handler, "look", {}, item("one"))
    assert error(found) == (ErrorCode.STEP_ERROR, "an object that an earlier step wrote is missing", True)


def test_what_is_wrong_with_the_bucket_is_an_outage(bucket: Bucket) -> None:
    (found,) = outcomes(with_storage(read_all), "look", {}, item("one", bucket="no-such-bucket-anywhere"))
    assert error(found) == (ErrorCode.STORAGE_UNAVAILABLE, "S3 answered NoSuchBucket", True)


def test_an_unreachable_s3_is_an_outage(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
    s3_client.cache_clear()
    for use in (read_all, lambda i, s: {"": s.write("bucket", "key", b"", "text/plain")}):
        (found,) = outcomes(with_storage(use), "look", {}, item("one"))
        assert error(found) == (
            ErrorCode.STORAGE_UNAVAILABLE,
            "S3 can't be reached (EndpointConnectionError)",
            True,
        )
