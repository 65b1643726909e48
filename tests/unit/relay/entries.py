"""Entries of streams named by letters, as plain values."""

from __future__ import annotations

import uuid

from media_assets.eventlog.published import Entry
from tests.unit.eventlog.lives import NOON


def entry(position: int, stream: str = "", *, detail: str = "{}") -> Entry:
    """By default the only one of its stream."""
    return Entry(
        position=position,
        event_id=uuid.UUID(int=position),
        stream_id=stream or f"stream-{position}",
        detail_type="ImageProcessed",
        occurred_at=NOON,
        detail=detail,
    )
