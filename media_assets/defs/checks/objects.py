"""What S3 says of an object: whether it is there with the bytes that were recorded."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Stored:
    size_bytes: int
    sha256: str


Head = Callable[[str], Stored | None]
"""Of a key; None if it has no object."""


def heads_in(s3: S3Client, bucket: str) -> Head:
    """S3's own answer. An object that was stored without a checksum is read. Raises what botocore does when S3 is away."""

    def head(key: str) -> Stored | None:
        try:
            answer = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise
        if checksum := answer.get("ChecksumSHA256"):
            return Stored(answer["ContentLength"], base64.b64decode(checksum).hex())
        digest = hashlib.sha256()
        for chunk in s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(_CHUNK_BYTES):
            digest.update(chunk)
        return Stored(answer["ContentLength"], digest.hexdigest())

    return head


def difference(stored: Stored | None, size_bytes: int, sha256: str) -> str | None:
    """What is wrong with an object; None if it is as recorded."""
    if stored is None:
        return "is not in the bucket"
    if stored.size_bytes != size_bytes:
        return f"has {stored.size_bytes} bytes, recorded are {size_bytes}"
    return None if stored.sha256 == sha256 else "has other bytes than were recorded"
