"""The files of a detector of one's own: found in the bucket, held against their digests, loaded once a process."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from functools import lru_cache

from lambdas.detect.own_model import OwnModel
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from lambdas.runtime.storage import Storage, s3_client

_REMEMBERED_SECONDS = 10  # the rest of a batch needn't read again what was just found unusable
_LONGEST_LABEL = 100


@dataclass(frozen=True)
class ModelFiles:
    """Keys of a model and its labels (UTF-8, one a line), and the SHA-256 of each."""

    bucket: str
    model: str
    model_sha256: str
    labels: str
    labels_sha256: str


_unusable: dict[ModelFiles, tuple[str, float]] = {}
"""Why, and until when that is believed."""


def own_model(files: ModelFiles) -> OwnModel:
    """The model, loaded. Raises StepError: MODEL_NOT_CONFIGURED if a file is missing, another one than its digest says, or
    unusable; what the storage raises."""
    reason, until = _unusable.get(files, ("", 0.0))
    if time.monotonic() < until:
        raise StepError(ErrorCode.MODEL_NOT_CONFIGURED, reason)
    try:
        return _load(files)
    except StepError as error:
        if error.code is ErrorCode.MODEL_NOT_CONFIGURED:
            _unusable.clear()
            _unusable[files] = (error.message, time.monotonic() + _REMEMBERED_SECONDS)
        raise


@lru_cache(maxsize=1)
def _load(files: ModelFiles) -> OwnModel:
    labels = _labels(_read(files.bucket, files.labels, files.labels_sha256, "file of labels"))
    return OwnModel(_read(files.bucket, files.model, files.model_sha256, "detection model"), labels)


def _read(bucket: str, key: str, sha256: str, what: str) -> bytes:
    try:
        body = Storage(s3_client()).read_key(bucket, key)  # not the item's storage: the model is no part of its bytes_in
    except StepError as error:
        if error.code is not ErrorCode.STEP_ERROR:
            raise
        raise _not_configured(f"the bucket has no {what} of the recipe's key, or has archived it") from error
    found = hashlib.sha256(body).hexdigest()
    if found != sha256:
        raise _not_configured(f"the {what} has the SHA-256 {found}; the recipe says {sha256}")
    return body


def _labels(body: bytes) -> tuple[str, ...]:
    try:
        lines = tuple(line.strip() for line in body.decode("utf-8-sig").rstrip().splitlines())
    except UnicodeDecodeError:
        raise _not_configured("the file of labels is not UTF-8") from None
    for number, line in enumerate(lines, 1):
        if not 1 <= len(line) <= _LONGEST_LABEL or not line.isprintable():
            raise _not_configured(f"line {number} of the labels is not 1 to {_LONGEST_LABEL} printable characters")
    if not lines:
        raise _not_configured("the file of labels is empty")
    return lines


def _not_configured(why: str) -> StepError:
    return StepError(ErrorCode.MODEL_NOT_CONFIGURED, why)
