"""Erasing an item from the log, and remembering what is left to do for it: its objects in S3 are removed by sweeps.

The read models forget an item in the transaction that erases it, its key too. So the row of `erasures` that is written with
it says where to sweep until the last sweep is done; then it forgets the key, and what remains is a receipt.

A video takes its frames and its jobs along, in that one transaction, and its row stands for all of them. A frame may be erased
alone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from media_assets.eventlog.events import NewEvent, Trace, item_erased
from media_assets.eventlog.items import ItemNotFoundError
from media_assets.eventlog.job_events import job_event_id
from media_assets.eventlog.store import EventStore

SWEPT = ("object_versions", "derived_objects", "contact_sheets")
"""What sweeps count: versions and delete markers of the original, objects derived from it, contact sheets that showed it."""


@dataclass(frozen=True)
class Erasure:
    """An item that was erased. `removed` counts: payloads, rows (by read model), vectors, and what sweeps have removed.

    `sweep_at` is when the next sweep is due (None: none is); the first one at or after `final_at`, when nothing that began
    before the erasure can still be writing, is the last. `bucket` and `key` are known until then. `frame_ids` and `job_ids`
    were erased along with it, and count in `removed`.
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
    frame_ids: tuple[uuid.UUID, ...] = ()
    job_ids: tuple[uuid.UUID, ...] = ()

    @property
    def complete(self) -> bool:
        return self.sweep_at is None

    def receipt(self) -> dict[str, Any]:
        """As JSON values, without the key."""
        return {
            "item_id": str(self.item_id),
            "user_id": self.user_id,
            "erased_at": self.erased_at.isoformat(),
            "frames": len(self.frame_ids),
            "jobs": len(self.job_ids),
            "removed": self.removed,
            "second_sweep_at": None if self.complete else self.final_at.isoformat(),
            "complete": self.complete,
        }


def erase(
    store: EventStore, item_id: uuid.UUID, *, reason: str, now: datetime, in_flight: Callable[[str | None], timedelta]
) -> tuple[Erasure, bool]:
    """Erase an item from the log and its read models, and note the sweeps that are due now and after `in_flight`, which is
    asked with the item's kind (None: it wasn't probed).

    `store` connects as the eraser. Returns the erasure and whether this call is the one that erased. Raises
    ItemNotFoundError for an item that there never was.
    """
    with store.engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(7236454)"))  # of appends: no frame or job comes meanwhile
        item = connection.execute(
            text("""
                SELECT i.user_id, i.bucket, i.key, i.kind, e.correlation_id
                FROM items i JOIN uploads u USING (item_id, version_id) JOIN events e ON e.event_id = u.event_id
                WHERE i.item_id = :id
            """),
            {"id": item_id},
        ).one_or_none()
        if item is None:
            return find_erasure(connection, item_id), False
        its_own = Erasure(
            item_id=item_id,
            user_id=item.user_id,
            bucket=item.bucket,
            key=item.key,
            erased_at=now,
            sweep_at=now,
            final_at=now + in_flight(item.kind),
            swept_at=None,
            removed=dict.fromkeys(SWEPT, 0),
            frame_ids=_all(connection, "SELECT DISTINCT item_id FROM uploads WHERE parent_item_id = :id ORDER BY 1", item_id),
            job_ids=_all(connection, "SELECT job_id FROM jobs WHERE item_id = :id ORDER BY 1", item_id),
        )
        _note(connection, its_own)
        payloads, rows = store.erase(_events(its_own, reason, item.correlation_id), connection)
        _count(connection, item_id, {"payloads": payloads, "rows": rows, "vectors": rows["embeddings"]})
        return find_erasure(connection, item_id), True


def find_erasure(connection: Connection, item_id: uuid.UUID) -> Erasure:
    """What was erased of an item; of a frame or job that was erased along with its video, the video's erasure. Raises
    ItemNotFoundError if nothing was."""
    row = connection.execute(
        text("""
            SELECT x.* FROM erasures x WHERE x.item_id = :id
            UNION ALL
            SELECT x.* FROM events e JOIN events cause ON cause.event_id = e.causation_id
            JOIN erasures x ON x.item_id = cause.item_id
            WHERE e.type = 'ItemErased' AND cause.type = 'ItemErased'
              AND (e.item_id = :id AND e.job_id IS NULL OR e.job_id = :id)
            LIMIT 1
        """),
        {"id": item_id},
    ).one_or_none()
    if row is None:
        raise ItemNotFoundError(f"no item {item_id}")
    columns = dict(row._mapping)
    return Erasure(**columns | {name: tuple(columns[name]) for name in ("frame_ids", "job_ids")})


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
    """Those of these UploadReceived and FrameReceived events whose items were erased."""
    rows = connection.execute(
        text("""
            SELECT u.event_id FROM events u JOIN events e ON e.item_id = u.item_id
            WHERE u.event_id = ANY(:ids) AND e.type = 'ItemErased' AND e.job_id IS NULL
        """),
        {"ids": list(upload_ids)},
    )
    return set(rows.scalars())


def _all(connection: Connection, query: str, item_id: uuid.UUID) -> tuple[uuid.UUID, ...]:
    return tuple(connection.execute(text(query), {"id": item_id}).scalars())


def _events(erasure: Erasure, reason: str, correlation_id: uuid.UUID) -> list[NewEvent]:
    """The item's end, and those of its frames and jobs, which follow from it."""
    said: dict[str, Any] = {"reason": reason, "user_id": erasure.user_id, "occurred_at": erasure.erased_at}
    own = item_erased(erasure.item_id, **said, trace=Trace(correlation_id=correlation_id))
    frames = [
        item_erased(frame_id, **said, trace=Trace(correlation_id=correlation_id, causation_id=own.event_id))
        for frame_id in erasure.frame_ids
    ]
    jobs = [
        item_erased(
            erasure.item_id,
            **said,
            job_id=job_id,
            trace=Trace(correlation_id=job_event_id(job_id), causation_id=own.event_id),
        )
        for job_id in erasure.job_ids
    ]
    return [own, *frames, *jobs]


def _note(connection: Connection, erasure: Erasure) -> None:
    connection.execute(
        text("""
            INSERT INTO erasures (item_id, user_id, bucket, key, erased_at, sweep_at, final_at, removed, frame_ids, job_ids)
            VALUES (:item_id, :user_id, :bucket, :key, :erased_at, :sweep_at, :final_at, CAST(:removed AS jsonb),
                    CAST(:frame_ids AS uuid[]), CAST(:job_ids AS uuid[]))
        """),
        {
            **{field.name: getattr(erasure, field.name) for field in fields(erasure)},
            "removed": json.dumps(erasure.removed),
            "frame_ids": list(erasure.frame_ids),
            "job_ids": list(erasure.job_ids),
        },
    )


def _count(connection: Connection, item_id: uuid.UUID, counts: Mapping[str, Any]) -> None:
    connection.execute(
        text("UPDATE erasures SET removed = removed || CAST(:counts AS jsonb) WHERE item_id = :id"),
        {"id": item_id, "counts": json.dumps(counts)},
    )
