"""Asking for results to be computed anew: a request per item and step raises the generation that counts.

A request that is still open is answered, not repeated: whoever asks again while nothing has come of it, and nothing has
failed, gets what was asked for first.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from media_assets.eventlog.events import Trace, reprocess_requested
from media_assets.eventlog.store import EventStore
from media_assets.steps.catalogue import STEPS

_AT_ONCE = 500
"""Events in one append: others wait for it, uploads included."""
_READ_AT_ONCE = 10_000


def request_reprocessing(
    store: EventStore,
    item_ids: Sequence[uuid.UUID],
    steps: Sequence[str],
    *,
    reason: str,
    before: datetime | None = None,
    on_progress: Callable[[int], None] = lambda items: None,
) -> int:
    """Append a request for each of the items' steps; sensors start the work. Returns how many requests were new. Steps that
    aren't for what an item is are left out.

    `on_progress` hears how many items each part of the work was about. A step whose computation is due or under way, no
    attempt having failed, isn't asked for again; unless one that it is computed from is, since what is under way may be
    reading the older result. Nor is one whose result isn't from `before` then: it has come since the asking began. Two
    people asking at the same time ask for the same generation, and it is computed once.

    A request belongs to the story of the current upload, a frame's to that of its video. Its cause is what it supersedes: the
    result of the generation before it, else that one's last failure, else the request for that one, else the upload.
    """
    new = 0
    for part in _parts(item_ids, max(1, _AT_ONCE // max(1, len(steps)))):
        with store.engine.connect() as connection:
            rows = _to_ask_for(connection, part, steps, before)
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
        if events:
            new += sum(inserted for _, inserted in store.append(events))
        on_progress(len(part))
    return new


def would_request(connection: Connection, item_ids: Sequence[uuid.UUID], steps: Sequence[str]) -> Counter[str]:
    """How many requests `request_reprocessing` would append now, by step."""
    return Counter(row.step for part in _parts(item_ids, _READ_AT_ONCE) for row in _to_ask_for(connection, part, steps))


def _to_ask_for(
    connection: Connection, item_ids: Sequence[uuid.UUID], steps: Sequence[str], before: datetime | None = None
) -> list[Row[Any]]:
    rows = connection.execute(
        text("""
            SELECT i.item_id, i.user_id, s.step, coalesce(g.generation, 0) AS generation,
                   coalesce(video.event_id, u.event_id) AS correlation_id,
                   coalesce(r.event_id, f.event_id, g.event_id, u.event_id) AS causation_id,
                   (r.event_id IS NULL AND f.event_id IS NULL) OR coalesce(r.finished_at >= :before, false) AS answered
            FROM items i JOIN uploads u USING (item_id, version_id)
            CROSS JOIN unnest(CAST(:steps AS text[])) WITH ORDINALITY AS s (step, place)
            JOIN step_graph() a ON a.step = s.step AND (a.kind = i.kind OR (a.kind IS NULL AND i.kind IS DISTINCT FROM 'frame'))
            LEFT JOIN uploads video ON video.item_id = u.parent_item_id AND video.version_id = u.parent_version_id
            LEFT JOIN requested_generations g ON g.item_id = i.item_id AND g.step = s.step
            LEFT JOIN step_results r ON r.item_id = i.item_id AND r.version_id = i.version_id AND r.step = s.step
                                    AND r.generation = coalesce(g.generation, 0)
            LEFT JOIN step_failures f ON f.item_id = i.item_id AND f.version_id = i.version_id AND f.step = s.step
                                     AND f.generation = coalesce(g.generation, 0)
            WHERE i.item_id = ANY(:ids) AND i.state <> 'removed'
            ORDER BY i.item_id, s.place
        """),
        {"ids": list(item_ids), "steps": [name for name in STEPS if name in steps], "before": before},
    )
    asked: set[tuple[uuid.UUID, str | None]] = set()
    wanted = []
    for row in rows:
        if not row.answered or (row.item_id, STEPS[row.step].upstream) in asked:
            asked.add((row.item_id, row.step))
            wanted.append(row)
    return wanted


def _parts(item_ids: Sequence[uuid.UUID], size: int) -> Iterator[Sequence[uuid.UUID]]:
    return (item_ids[start : start + size] for start in range(0, len(item_ids), size))
