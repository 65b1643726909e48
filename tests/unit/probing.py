"""Running the probe step on one file."""

from __future__ import annotations

from typing import Any

from lambdas.probe.handler import handler
from lambdas.runtime.contract import ItemError, ItemOutcome
from tests.unit.conftest import Bucket, outcomes

LIMITS = {"max_bytes": 100_000_000, "max_pixels": 100_000_000}
FORMATS = ["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic"]
TURNABLE = ["jpeg", "png", "webp", "tiff", "avif", "heic"]


def probe(bucket: Bucket, body: bytes, name: str = "picture", **limits: int) -> ItemOutcome:
    return outcomes(handler, "probe", LIMITS | limits, bucket.put(body, name))[0]


def measured(bucket: Bucket, body: bytes, name: str = "picture") -> dict[str, Any]:
    outcome = probe(bucket, body, name)
    assert outcome.result is not None, outcome.error
    return outcome.result


def rejected(bucket: Bucket, body: bytes, **limits: int) -> ItemError:
    outcome = probe(bucket, body, "picture", **limits)
    assert outcome.error is not None, outcome.result
    assert not outcome.error.retryable
    return outcome.error
