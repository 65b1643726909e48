"""Asking for results to be computed anew: a request per item and step raises the generation that counts."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import text

from media_assets.eventlog.events import reprocess_requested
from media_assets.eventlog.store import EventStore

_AT_ONCE = 500
"""Events in one append: others wait for it, uploads included."""


def request_reprocessing(store: EventStore, item_ids: Sequence[uuid.UUID], steps: Sequence[str], *, reason: str) -> int:
    """Append a request for each of the items' steps; sensors start the work. Returns how many requests were new.

    Two people asking at the same time ask for the same generation, and it is computed once.
    """
    with store.engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT i.item_id, i.user_id, s.step, coalesce(g.generation, 0) AS generation
                FROM items i CROSS JOIN unnest(CAST(:steps AS text[])) AS s (step)
                LEFT JOIN requested_generations g ON g.item_id = i.item_id AND g.step = s.step
                WHERE i.item_id = ANY(:ids) AND i.state <> 'removed'
            """),
            {"ids": list(item_ids), "steps": list(steps)},
        ).all()
    now = datetime.now(UTC)
    events = [
        reprocess_requested(row.item_id, row.step, row.generation + 1, reason=reason, user_id=row.user_id, occurred_at=now)
        for row in rows
    ]
    appended = (store.append(events[start : start + _AT_ONCE]) for start in range(0, len(events), _AT_ONCE))
    return sum(inserted for positions in appended for _, inserted in positions)


def dead_items(store: EventStore, step: str | None = None) -> dict[str, list[uuid.UUID]]:
    """Items whose step is dead, by step."""
    found: dict[str, list[uuid.UUID]] = {}
    with store.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT step, item_id FROM steps WHERE state = 'dead' AND (CAST(:s AS text) IS NULL OR step = :s)"),
            {"s": step},
        )
        for name, item_id in rows:
            found.setdefault(name, []).append(item_id)
    return found
