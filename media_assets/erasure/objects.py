"""Versions of objects in S3, found and removed for good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AT_ONCE = 1000
"""The most that DeleteObjects takes."""


class ObjectsRemainError(RuntimeError):
    """S3 refused to remove object versions. The text counts them by S3's error code and names no key."""


class ObjectVersion(NamedTuple):
    """A version of an object, or a delete marker. `is_latest`: it is what a GET without a version finds."""

    key: str
    version_id: str
    is_latest: bool
    is_marker: bool


def versions_of(s3: S3Client, bucket: str, key: str) -> list[ObjectVersion]:
    """Every version and delete marker of one key."""
    found: list[ObjectVersion] = []
    for page in _pages(s3, bucket, key):
        of_key = [version for version in page if version.key == key]
        found += of_key
        if len(of_key) < len(page):
            break  # a listing is in the order of keys, and the longer ones follow
    return found


def versions_under(s3: S3Client, bucket: str, prefix: str) -> list[ObjectVersion]:
    """Every version and delete marker of all keys with a prefix."""
    return [version for page in _pages(s3, bucket, prefix) for version in page]


def remove(s3: S3Client, bucket: str, versions: Sequence[ObjectVersion]) -> None:
    """Remove versions for good; what is gone already counts as removed. Raises ObjectsRemainError, and botocore's errors."""
    refused: Counter[str] = Counter()
    for is_text, group in groupby(versions, lambda version: version.key.isprintable()):
        batch = list(group)
        if not is_text:
            # DeleteObjects tells keys in XML, which has no control characters and turns \r into \n.
            for version in batch:
                s3.delete_object(Bucket=bucket, Key=version.key, VersionId=version.version_id)
            continue
        for start in range(0, len(batch), _AT_ONCE):
            objects = [{"Key": v.key, "VersionId": v.version_id} for v in batch[start : start + _AT_ONCE]]
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})  # type: ignore[typeddict-item]
            refused.update(error.get("Code", "unknown") for error in answer.get("Errors", []))
    if refused:
        raise ObjectsRemainError(f"S3 removed all but {refused.total()} of {len(versions)} object versions: {_told(refused)}")


def _pages(s3: S3Client, bucket: str, prefix: str) -> Iterator[list[ObjectVersion]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        yield [ObjectVersion(v["Key"], v["VersionId"], v["IsLatest"], False) for v in page.get("Versions", [])] + [
            ObjectVersion(m["Key"], m["VersionId"], m["IsLatest"], True) for m in page.get("DeleteMarkers", [])
        ]


def _told(codes: Counter[str]) -> str:
    return ", ".join(f"{code} {count}" for code, count in codes.most_common())
