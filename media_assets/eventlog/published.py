"""What the log tells others: which events are published, under which name, and what each one says.

Identities and keys only, so that a message is small and what people uploaded stays where it is. docs/events.md shows
every kind to those who consume them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from media_assets.eventlog.catalogue import (
    AnalysisCompleted,
    DetectionsCompleted,
    EmbeddingStored,
    ItemErased,
    JobCompleted,
    JobFailed,
    ThumbnailCreated,
    UploadRejected,
    VideoSegmented,
)

PUBLISHED = {
    ThumbnailCreated.type: "ImageProcessed",
    DetectionsCompleted.type: "DetectionsCompleted",
    AnalysisCompleted.type: "AnalysisComplete",
    EmbeddingStored.type: "EmbeddingStored",
    UploadRejected.type: "UploadRejected",
    VideoSegmented.type: "VideoSegmented",
    JobCompleted.type: "JobCompleted",
    JobFailed.type: "JobFailed",
    ItemErased.type: "ItemErased",
}
"""Event types that others hear of, and the detail type under which they do. Publishing another one is a line here."""


@dataclass(frozen=True)
class Entry:
    """One event as others get it: `detail` is a JSON object, `occurred_at` an aware UTC datetime."""

    position: int
    event_id: uuid.UUID
    stream_id: str
    detail_type: str
    occurred_at: datetime
    detail: str


def entries_between(connection: Connection, after: int, upto: int) -> list[Entry]:
    """What is published of the positions after < position <= upto, in their order. Erased events are left out."""
    return _entries(connection, "t.position > :after AND t.position <= :upto", after=after, upto=upto)


def entries_at(connection: Connection, positions: Sequence[int]) -> list[Entry]:
    """What is published at these positions, in order; fewer than asked for if some were erased."""
    return _entries(connection, "t.position = ANY(:positions)", positions=list(positions))


def _entries(connection: Connection, which: str, **parameters: Any) -> list[Entry]:
    """Keys are those of the version that an event, or its job, is about; an erased item has none any more, and no event but
    its last. Of a frame, its video is named too. That a job's video is unfit for it, its failure says.

    The thumbnail is the largest: of a ThumbnailCreated its own, of what follows the one that counts today.
    """
    rows = connection.execute(
        text(f"""
            SELECT t.event_id, t.position, t.stream_id, t.version AS stream_version, t.type, t.occurred_at, t.correlation_id,
                   t.user_id, t.item_id, t.job_id, u.bucket, u.key AS original_key, v.version_id, u.parent_item_id,
                   u.timecode_ms,
                   coalesce(
                       (SELECT o->>'key' FROM jsonb_array_elements(t.body->'thumbnails') o
                        ORDER BY (o->>'size')::integer DESC LIMIT 1),
                       (SELECT n.key FROM thumbnails n WHERE n.item_id = u.item_id AND n.version_id = u.version_id
                        ORDER BY n.size DESC LIMIT 1)
                   ) AS thumbnail_key,
                   CASE WHEN t.type = 'AnalysisCompleted' THEN t.event_id::text ELSE t.body->>'analysis_id' END AS analysis_id,
                   CASE WHEN t.type IN ('UploadRejected', 'JobFailed') THEN t.body->>'code' END AS code
            FROM told t
            LEFT JOIN jobs j ON j.job_id = t.job_id
            CROSS JOIN LATERAL (SELECT coalesce(t.body->>'version_id', j.version_id) AS version_id) v
            LEFT JOIN uploads u ON u.item_id = t.item_id AND u.version_id = v.version_id
            WHERE {which} AND t.type = ANY(:types) AND NOT (t.type = 'UploadRejected' AND t.job_id IS NOT NULL)
            ORDER BY t.position
        """),
        {**parameters, "types": list(PUBLISHED)},
    )
    return [_entry(dict(row)) for row in rows.mappings()]


def _entry(row: dict[str, Any]) -> Entry:
    stream_id, detail_type, occurred_at = row.pop("stream_id"), PUBLISHED[row.pop("type")], row["occurred_at"].astimezone(UTC)
    detail = {name: value for name, value in row.items() if value is not None} | {"occurred_at": occurred_at.isoformat()}
    return Entry(
        position=row["position"],
        event_id=row["event_id"],
        stream_id=stream_id,
        detail_type=detail_type,
        occurred_at=occurred_at,
        detail=json.dumps(detail, default=str, ensure_ascii=False),
    )
