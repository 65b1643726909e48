"""Asking for results to be computed anew: a request per item and step raises the generation that counts."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import text

from media_assets.eventlog.events import Trace, reprocess_requested
from media_assets.eventlog.store import EventStore

_AT_ONCE = 500
"""Events in one append: others wait for it, uploads included."""


def request_reprocessing(store: EventStore, item_ids: Sequence[uuid.UUID], steps: Sequence[str], *, reason: str) -> int:
    """Append a request for each of the items' steps; sensors start the work. Returns how many requests were new.

    Two people asking at the same time ask for the same generation, and it is computed once. A request belongs to the
    current upload's story. Its cause is what it supersedes: the result of the generation before it, else that one's last
    failure, else the request for that one, else the upload.
    """
    with store.engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT i.item_id, i.user_id, s.step, coalesce(g.generation, 0) AS generation, u.event_id AS correlation_id,
                       coalesce(r.event_id, f.event_id, g.event_id, u.event_id) AS causation_id
                FROM items i JOIN uploads u USING (item_id, version_id)
                CROSS JOIN unnest(CAST(:steps AS text[])) WITH ORDINALITY AS s (step, place)
                LEFT JOIN requested_generations g ON g.item_id = i.item_id AND g.step = s.step
                LEFT JOIN step_results r ON r.item_id = i.item_id AND r.version_id = i.version_id AND r.step = s.step
                                        AND r.generation = coalesce(g.generation, 0)
                LEFT JOIN step_failures f ON f.item_id = i.item_id AND f.version_id = i.version_id AND f.step = s.step
                                         AND f.generation = coalesce(g.generation, 0)
                WHERE i.item_id = ANY(:ids) AND i.state <> 'removed'
                ORDER BY i.item_id, s.place
            """),
            {"ids": list(item_ids), "steps": list(steps)},
        ).all()
    now = datetime.now(UTC)
    events = [
        reprocess_requested(
            row.item_id,
            row.step,
            row.generation + 1,
            reason=reason,
            user_id=row.user_id,
            occurred_at=now,
            trace=Trace(correlation_id=row.correlation_id, causation_id=row.causation_id),
        )
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
