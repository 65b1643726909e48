"""The contract between dispatch and a remote step: a StepRequest goes out, a Manifest comes back.

Every item of a request appears in its manifest exactly once, either `ok` with the objects that were written and their
digests, or with an error from a closed list. One bad file never fails its neighbours.

What is larger than a function may be sent, and all that a task is sent, travels as an object whose reference is sent.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Disposition(StrEnum):
    """What dispatch does about an error."""

    REJECT = "reject"  # the file can't be processed, now or ever: UploadRejected, never retried
    FAIL = "fail"  # attributable to this file: counts towards dead
    OUTAGE = "outage"  # ours or a dependency's: costs the file no attempt
    AGAIN = "again"  # it wasn't attempted: due again at once
    GONE = "gone"  # the object version no longer exists: UploadRemoved


class ErrorCode(StrEnum):
    """Why an item has no result. The list is closed; a new code comes with its disposition."""

    EMPTY = "empty"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_LONG = "too_long"
    UNSAFE = "unsafe"

    MODEL_REFUSED = "model_refused"
    MODEL_ANSWER_INVALID = "model_answer_invalid"
    STEP_ERROR = "step_error"
    TIMEOUT = "timeout"
    CRASHED = "crashed"

    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_NOT_CONFIGURED = "model_not_configured"
    STORAGE_UNAVAILABLE = "storage_unavailable"

    NOT_STARTED = "not_started"
    SOURCE_GONE = "source_gone"

    @property
    def disposition(self) -> Disposition:
        return _DISPOSITIONS[self]


_DISPOSITIONS = {
    ErrorCode.EMPTY: Disposition.REJECT,
    ErrorCode.TRUNCATED: Disposition.REJECT,
    ErrorCode.CORRUPT: Disposition.REJECT,
    ErrorCode.UNSUPPORTED_FORMAT: Disposition.REJECT,
    ErrorCode.TOO_MANY_BYTES: Disposition.REJECT,
    ErrorCode.TOO_MANY_PIXELS: Disposition.REJECT,
    ErrorCode.TOO_MANY_FRAMES: Disposition.REJECT,
    ErrorCode.TOO_LONG: Disposition.REJECT,
    ErrorCode.UNSAFE: Disposition.REJECT,
    ErrorCode.MODEL_REFUSED: Disposition.FAIL,
    ErrorCode.MODEL_ANSWER_INVALID: Disposition.FAIL,
    ErrorCode.STEP_ERROR: Disposition.FAIL,
    ErrorCode.TIMEOUT: Disposition.FAIL,
    ErrorCode.CRASHED: Disposition.FAIL,
    ErrorCode.MODEL_UNAVAILABLE: Disposition.OUTAGE,
    ErrorCode.MODEL_NOT_CONFIGURED: Disposition.OUTAGE,
    ErrorCode.STORAGE_UNAVAILABLE: Disposition.OUTAGE,
    ErrorCode.NOT_STARTED: Disposition.AGAIN,
    ErrorCode.SOURCE_GONE: Disposition.GONE,
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BatchItem(_Frozen):
    """One file of a batch: an object version and what earlier steps learned about it."""

    item_id: str
    bucket: str
    key: str
    version_id: str
    size_bytes: int = Field(ge=0)
    generation: int = Field(ge=0)
    output_prefix: str
    """Where this result's objects go: `derived/<item_id>/<step>/<recipe>/<version>/<generation>/`."""
    input: dict[str, Any] = {}
    """Facts from earlier steps that this one reads, e.g. the analysis text for `embed`."""
    correlation_id: str | None = None
    """Id of the event of the upload that this work is for; None for work that no upload began."""
    causation_id: str | None = None
    """Id of the event that made this work due."""


class StepRequest(_Frozen):
    """A batch of items for one step under one recipe. `parameters` are the recipe's own."""

    batch_id: str
    attempt_id: str
    attempt: int = Field(ge=1)
    """1 for a first try. A later one may find `result.json` of an earlier attempt and return it instead of paying again."""
    step: str
    recipe: str
    parameters: dict[str, Any]
    items: tuple[BatchItem, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _items_are_distinct(self) -> StepRequest:
        ids = [item.item_id for item in self.items]
        if len(set(ids)) != len(ids):
            raise ValueError(f"batch {self.batch_id} names an item twice: {ids}")
        return self


class OutputObject(_Frozen):
    """An object that the step wrote. `sha256` is 64 hex digits of its bytes, `attributes` are step-specific (e.g. width)."""

    key: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)
    content_type: str
    attributes: dict[str, Any] = {}


class Metrics(_Frozen):
    """What one item's outcome cost."""

    milliseconds: int = Field(default=0, ge=0)
    bytes_in: int = Field(default=0, ge=0)
    tokens_in: int = Field(default=0, ge=0)
    tokens_out: int = Field(default=0, ge=0)


class ItemError(_Frozen):
    """`message` is one sentence for a person; it never holds file content, keys or URLs."""

    code: ErrorCode
    message: str = Field(max_length=500)
    retryable: bool


class ItemOutcome(_Frozen):
    """Exactly one of `result` (with `outputs`, maybe empty) and `error` is set."""

    item_id: str
    outputs: tuple[OutputObject, ...] = ()
    result: dict[str, Any] | None = None
    error: ItemError | None = None
    metrics: Metrics = Metrics()
    correlation_id: str | None = None
    """The item's own, from the request."""

    @model_validator(mode="after")
    def _either_result_or_error(self) -> ItemOutcome:
        if (self.result is None) == (self.error is None):
            raise ValueError(f"outcome of item {self.item_id} must have either a result or an error")
        if self.error is not None and self.outputs:
            raise ValueError(f"outcome of item {self.item_id} has an error and {len(self.outputs)} outputs")
        return self


class Manifest(_Frozen):
    """The answer to a StepRequest."""

    batch_id: str
    attempt_id: str
    step: str
    recipe: str
    memory_mb: int = Field(ge=0)
    billed_milliseconds: int = Field(ge=0)
    """How long the whole invocation took. Its items' own milliseconds divide what that costs among them."""
    outcomes: tuple[ItemOutcome, ...]


MAX_INLINE_BYTES = 5_000_000
"""An event or an answer of more bytes travels as an object: Lambda takes 6 MB each way."""


class ObjectReference(_Frozen):
    """Stands for an event or an answer that is an object in the bucket. `sha256` is of its bytes."""

    bucket: str
    key: str
    version_id: str | None = None
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def event_key(step: str, attempt_id: str) -> str:
    """The object that holds the event of an attempt."""
    return f"dispatch/{step}/{attempt_id}/event.json"


def answer_key(step: str, attempt_id: str) -> str:
    """The object that holds its answer."""
    return f"dispatch/{step}/{attempt_id}/answer.json"


def messages_key(step: str, attempt_id: str, number: int) -> str:
    """The objects, from 1 on, that hold the Pipes messages of a task while it works: JSON, one message a line."""
    return f"dispatch/{step}/{attempt_id}/messages/{number}.json"


def recipe_digest(step: str, version: int, parameters: dict[str, Any]) -> str:
    """The identity of a way to compute: first 12 hex digits of SHA-256 over the canonical JSON of step, version, parameters."""
    canonical = json.dumps([step, version, parameters], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
