"""The bytes that the hash chain is made of, in Python: what chain.sql computes, for stores and verifiers without it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

GENESIS = bytes(32)
"""The hash before the first event."""

CHAINED = (
    "position", "event_id", "stream_id", "version", "type", "schema_version", "occurred_at", "recorded_at", "user_id",
    "item_id", "job_id", "step", "recipe", "generation", "target", "target_reason", "run_id", "attempt_id", "milliseconds",
    "memory_mb", "tokens_in", "tokens_out", "micro_dollars", "correlation_id", "causation_id", "payload_sha256",
)  # fmt: skip
"""The clear columns that an event's hash covers."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IN_ORDER = sorted(CHAINED, key=lambda name: (len(name), name))
_encode = json.JSONEncoder(ensure_ascii=False).encode
"""Canonical for objects in order that hold no more than strings and integers; much quicker than the general way."""


def canonical_json(value: Any) -> str:
    """The text that PostgreSQL gives a jsonb value (manual, "JSON Types").

    Objects by length, then bytes of their keys; `, ` and `: ` between; strings as UTF-8, escaped only where JSON has to be;
    numbers in full, without an exponent, with the digits after the point that they were written with. Raises ValueError
    for numbers that JSON doesn't have.
    """
    match value:
        case bool() | None:
            return json.dumps(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case int():
            return str(value)
        case float():
            number = Decimal(json.dumps(value, allow_nan=False))
            return format(abs(number) if number.is_zero() else number, "f")
        case list() | tuple():
            return f"[{', '.join(map(canonical_json, value))}]"
        case _:
            fields = sorted(value.items(), key=lambda field: (len(field[0].encode()), field[0].encode()))
            return f"{{{', '.join(f'{canonical_json(name)}: {canonical_json(each)}' for name, each in fields)}}}"


def payload_digest(body: Any) -> bytes:
    """SHA-256 of a payload's canonical JSON, 32 bytes."""
    return hashlib.sha256(canonical_json(body).encode()).digest()


def event_bytes(columns: Mapping[str, Any]) -> bytes:
    """Canonical JSON of an event's clear columns that aren't None: times as microseconds since 1970 UTC, ids and digests
    in lower-case hex."""
    values = {name: _plain(columns[name]) for name in _IN_ORDER if columns.get(name) is not None}
    return _encode(values).encode()


def link(previous: bytes, event: bytes) -> bytes:
    """The hash of an event from the hash before it and its bytes."""
    return hashlib.sha256(previous + event).digest()


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return (value - _EPOCH) // timedelta(microseconds=1)
        case UUID():
            return str(value)
        case bytes():
            return value.hex()
        case _:
            return value
