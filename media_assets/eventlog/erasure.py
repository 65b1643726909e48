"""Erasing an item from the log, and remembering what is left to do for it: its objects in S3 are removed by sweeps.

The read models forget an item in the transaction that erases it, its key too. So the row of `erasures` that is written with
it says where to sweep until the last sweep is done; then it forgets the key, and what remains is a receipt.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from media_assets.eventlog.events import Trace, item_erased
from media_assets.eventlog.items import ItemNotFoundError
from media_assets.eventlog.store import EventStore

SWEPT = ("object_versions", "derived_objects", "contact_sheets")
"""What sweeps count: versions and delete markers of the original, objects derived from it, contact sheets that showed it."""


@dataclass(frozen=True)
class Erasure:
    """An item that was erased. `removed` counts: payloads, rows (by read model), vectors, and what sweeps have removed.

    `sweep_at` is when the next sweep is due (None: none is); the first one at or after `final_at`, when nothing that began
    before the erasure can still be writing, is the last. `bucket` and `key` are known until then.
    """

    item_id: uuid.UUID
    user_id: str
    bucket: str | None
    key: str | None
    erased_at: datetime
    sweep_at: datetime | None
    final_at: datetime
    swept_at: datetime | None
    removed: dict[str, Any]

    @property
    def complete(self) -> bool:
        return self.sweep_at is None

    def receipt(self) -> dict[str, Any]:
        """As JSON values, without the key."""
        return {
            "item_id": str(self.item_id),
            "user_id": self.user_id,
            "erased_at": self.erased_at.isoformat(),
            "removed": self.removed,
            "second_sweep_at": None if self.complete else self.final_at.isoformat(),
            "complete": self.complete,
        }


def erase(store: EventStore, item_id: uuid.UUID, *, reason: str, now: datetime, in_flight: timedelta) -> tuple[Erasure, bool]:
    """Erase an item from the log and its read models, and note the sweeps that are due now and after `in_flight`.

    `store` connects as the eraser. Returns the erasure and whether this call is the one that erased. Raises
    ItemNotFoundError for an item that there never was.
    """
    with store.engine.begin() as connection:
        item = connection.execute(
            text("""
                SELECT i.user_id, i.bucket, i.key, u.event_id AS correlation_id
                FROM items i JOIN uploads u USING (item_id, version_id) WHERE i.item_id = :id
            """),
            {"id": item_id},
        ).one_or_none()
        if item is None or not _note(connection, item_id, item._mapping, now, now + in_flight):
            return find_erasure(connection, item_id), False
        trace = Trace(correlation_id=item.correlation_id)
        event = item_erased(item_id, reason=reason, user_id=item.user_id, occurred_at=now, trace=trace)
        payloads, rows = store.erase([event], connection)
        _count(connection, item_id, {"payloads": payloads, "rows": rows, "vectors": rows["embeddings"]})
        return find_erasure(connection, item_id), True


def find_erasure(connection: Connection, item_id: uuid.UUID) -> Erasure:
    """What was erased of an item. Raises ItemNotFoundError if it wasn't."""
    row = connection.execute(text("SELECT * FROM erasures WHERE item_id = :id"), {"id": item_id}).one_or_none()
    if row is None:
        raise ItemNotFoundError(f"no item {item_id}")
    return Erasure(**row._mapping)


def due_sweeps(connection: Connection, now: datetime, limit: int) -> list[uuid.UUID]:
    """Erased items whose next sweep is due, the longest overdue first."""
    rows = connection.execute(
        text("SELECT item_id FROM erasures WHERE sweep_at <= :now ORDER BY sweep_at LIMIT :n"), {"now": now, "n": limit}
    )
    return list(rows.scalars())


def sweep(
    store: EventStore, item_id: uuid.UUID, remove: Callable[[Connection, Erasure], Mapping[str, int]], *, now: datetime
) -> Erasure:
    """Have `remove` remove an erased item's objects, if a sweep is due, and add what it counts (of SWEPT) to the receipt.

    One sweep of an item at a time: whoever comes second waits and finds nothing due. If `remove` raises, or dies, the sweep
    stays due and what it had removed isn't counted. Raises ItemNotFoundError.
    """
    with store.engine.begin() as connection:
        connection.execute(text("SELECT FROM erasures WHERE item_id = :id FOR UPDATE"), {"id": item_id})
        erasure = find_erasure(connection, item_id)
        if erasure.sweep_at is None or erasure.sweep_at > now:
            return erasure
        counts = remove(connection, erasure)
        _count(connection, item_id, {name: erasure.removed[name] + counts[name] for name in SWEPT})
        is_last = "CAST(:now AS timestamptz) >= final_at"
        connection.execute(
            text(f"""
                UPDATE erasures
                SET swept_at = :now, sweep_at = CASE WHEN {is_last} THEN NULL ELSE final_at END,
                    bucket = CASE WHEN {is_last} THEN NULL ELSE bucket END, key = CASE WHEN {is_last} THEN NULL ELSE key END
                WHERE item_id = :id
            """),
            {"id": item_id, "now": now},
        )
        return find_erasure(connection, item_id)


def postpone_sweep(store: EventStore, item_id: uuid.UUID, until: datetime) -> None:
    """Let other items' sweeps come first."""
    with store.engine.begin() as connection:
        connection.execute(
            text("UPDATE erasures SET sweep_at = :until WHERE item_id = :id AND sweep_at < :until"),
            {"id": item_id, "until": until},
        )


def uploads_of_erased_items(connection: Connection, upload_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these UploadReceived events whose items were erased."""
    rows = connection.execute(
        text("""
            SELECT u.event_id FROM events u JOIN events e ON e.item_id = u.item_id AND e.type = 'ItemErased'
            WHERE u.event_id = ANY(:ids)
        """),
        {"ids": list(upload_ids)},
    )
    return set(rows.scalars())


def _note(connection: Connection, item_id: uuid.UUID, item: Mapping[Any, Any], erased_at: datetime, final_at: datetime) -> bool:
    """False if somebody else has erased it, and has committed by now."""
    noted = connection.execute(
        text("""
            INSERT INTO erasures (item_id, user_id, bucket, key, erased_at, sweep_at, final_at, removed)
            VALUES (:id, :user_id, :bucket, :key, :now, :now, :final_at, CAST(:nothing AS jsonb)) ON CONFLICT DO NOTHING
        """),
        {
            "id": item_id,
            "user_id": item["user_id"],
            "bucket": item["bucket"],
            "key": item["key"],
            "now": erased_at,
            "final_at": final_at,
            "nothing": json.dumps(dict.fromkeys(SWEPT, 0)),
        },
    )
    return bool(noted.rowcount)


def _count(connection: Connection, item_id: uuid.UUID, counts: Mapping[str, Any]) -> None:
    connection.execute(
        text("UPDATE erasures SET removed = removed || CAST(:counts AS jsonb) WHERE item_id = :id"),
        {"id": item_id, "counts": json.dumps(counts)},
    )
