"""Events and answers that travel as objects, because they are too large to be sent or because nobody could receive them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lambdas.runtime.contract import ObjectReference
from lambdas.runtime.step import BadRequest
from lambdas.runtime.storage import s3_client


def redeem(reference: ObjectReference) -> dict[str, Any]:
    """The JSON object that a reference stands for. Raises BadRequest if it isn't what was deposited, and botocore's errors."""
    body = s3_client().get_object(Bucket=reference.bucket, Key=reference.key)["Body"].read()
    if hashlib.sha256(body).hexdigest() != reference.sha256:
        raise BadRequest(f"the event's object has {len(body)} bytes that aren't those that were sent")
    event = json.loads(body)
    if not isinstance(event, dict):
        raise BadRequest(f"the event's object holds a {type(event).__name__}")
    return event


def deposit(bucket: str, key: str, body: bytes) -> ObjectReference:
    """Store an answer, whatever was there. Raises botocore's errors."""
    stored = s3_client().put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    return ObjectReference(bucket=bucket, key=key, version_id=stored.get("VersionId"), sha256=hashlib.sha256(body).hexdigest())
