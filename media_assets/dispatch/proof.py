"""The last step of a manifest's proof: the objects it tells of are in the bucket, with the bytes it tells of."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from lambdas.runtime.contract import Manifest, OutputObject, StepRequest
from media_assets.dispatch.errors import ManifestError, TargetUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def verify_objects(s3: S3Client, request: StepRequest, manifest: Manifest) -> None:
    """Compare size and SHA-256 of every object with what S3 has of it.

    S3 computed the checksum when the object was written, so this reads no bytes; of an object that was written without
    one it does. Raises ManifestError for one that is missing or other than told, TargetUnavailableError if S3 can't say.
    """
    buckets = {item.item_id: item.bucket for item in request.items}
    for outcome in manifest.outcomes:
        for number, output in enumerate(outcome.outputs, start=1):
            told = f"object {number} of item {outcome.item_id}"
            size_bytes, sha256 = _stored(s3, buckets[outcome.item_id], output, told)
            if size_bytes != output.size_bytes:
                raise ManifestError(f"{told} has {size_bytes} bytes in the bucket; the manifest says {output.size_bytes}")
            if sha256 != output.sha256:
                raise ManifestError(f"{told} has the digest {sha256} in the bucket; the manifest says {output.sha256}")


def _stored(s3: S3Client, bucket: str, output: OutputObject, told: str) -> tuple[int, str]:
    try:
        head = s3.head_object(Bucket=bucket, Key=output.key, ChecksumMode="ENABLED")
        if checksum := head.get("ChecksumSHA256"):
            return head["ContentLength"], base64.b64decode(checksum).hex()
        body = s3.get_object(Bucket=bucket, Key=output.key)["Body"].read()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"404", "NoSuchKey"}:
            raise ManifestError(f"{told} is not in the bucket") from error
        raise TargetUnavailableError(f"S3 answered {code}", ran=True) from error
    except BotoCoreError as error:
        raise TargetUnavailableError(f"S3 can't be reached ({type(error).__name__})", ran=True) from error
    return len(body), hashlib.sha256(body).hexdigest()
