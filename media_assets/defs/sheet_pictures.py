"""Which pictures are on a contact sheet: queries over the read models."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from media_assets.defs.boxes import Box
from media_assets.eventlog.videos import time_text


@dataclass(frozen=True)
class Picture:
    """A picture on a sheet. `key` is its object's; without one the cell is blank. `shows` are the items whose erasure removes
    the sheet, and ids of jobs, which tell sheets apart. `captions` stand below it, a line each.

    Of a `segment`, a key, what it begins with is to be shown; `key` is that of a picture that may stand in for it.

    `boxes` are drawn on it. They are in pixels of the original, which is `width` by `height`.
    """

    key: str | None
    shows: tuple[uuid.UUID, ...]
    changed_at: datetime
    captions: tuple[str, ...] = ()
    segment: str | None = None
    boxes: tuple[Box, ...] = ()
    width: int = 0
    height: int = 0


def thumbnails(
    connection: Connection, ids: Sequence[uuid.UUID], hour: datetime, most: int, cell_px: int, *, detections: bool = False
) -> list[Picture]:
    """Of the items, or of the hour's newest if there are none: of each the smallest that fills a cell. With `detections` only
    of items that somebody has looked at, with what was found."""
    rows = connection.execute(
        text("""
            SELECT item_id, width, height, key, changed_at FROM (
                SELECT DISTINCT ON (i.item_id) i.item_id, i.width, i.height, t.key, t.created_at,
                       CASE WHEN :detections THEN d.finished_at ELSE t.created_at END AS changed_at
                FROM items i JOIN thumbnails t USING (item_id, version_id)
                CROSS JOIN LATERAL (
                    SELECT max(finished_at) AS finished_at FROM step_results r
                    WHERE r.item_id = i.item_id AND r.version_id = i.version_id AND r.step = 'detect' AND r.outcome = 'done'
                ) d
                WHERE (i.item_id = ANY(:ids) OR (cardinality(CAST(:ids AS uuid[])) = 0 AND i.hour = :hour))
                  AND (NOT :detections OR d.finished_at IS NOT NULL)
                ORDER BY i.item_id, t.size < :cell, abs(t.size - :cell)
            ) t ORDER BY created_at DESC, item_id LIMIT :most
        """),
        {"ids": list(ids), "hour": hour, "most": most, "detections": detections, "cell": cell_px},
    ).all()
    found = _boxes(connection, [row.item_id for row in rows]) if detections else {}
    return [
        Picture(
            row.key,
            (row.item_id,),
            row.changed_at,
            boxes=tuple(found.get(row.item_id, ())),
            width=row.width,
            height=row.height,
        )
        for row in rows
    ]


def boxed(connection: Connection, ids: Sequence[uuid.UUID], hour: datetime, most: int, cell_px: int) -> list[Picture]:
    """Thumbnails with what was detected."""
    return thumbnails(connection, ids, hour, most, cell_px, detections=True)


def frames(connection: Connection, ids: Sequence[uuid.UUID], hour: datetime, most: int, cell_px: int) -> list[Picture]:
    """Of the videos, or of the hour's, in the order of time. Each video has its poster on it before another has a third."""
    rows = connection.execute(
        text("""
            SELECT * FROM (
                SELECT f.item_id, f.parent_item_id, f.key, f.timecode_ms, f.is_poster, f.received_at,
                       row_number() OVER (PARTITION BY f.parent_item_id ORDER BY f.is_poster DESC, f.timecode_ms) AS turn
                FROM items f JOIN items v ON v.item_id = f.parent_item_id
                WHERE f.state <> 'removed'
                  AND (v.item_id = ANY(:ids) OR (cardinality(CAST(:ids AS uuid[])) = 0 AND v.hour = :hour))
                ORDER BY turn, f.received_at DESC, f.item_id LIMIT :most
            ) AS chosen ORDER BY max(received_at) OVER (PARTITION BY parent_item_id) DESC, parent_item_id, timecode_ms
        """),
        {"ids": list(ids), "hour": hour, "most": most},
    )
    return [
        Picture(
            row.key,
            (row.item_id, row.parent_item_id),
            row.received_at,
            (time_text(row.timecode_ms) + (" · poster" if row.is_poster else ""),),
        )
        for row in rows
    ]


def segments(connection: Connection, ids: Sequence[uuid.UUID], hour: datetime, most: int, cell_px: int) -> list[Picture]:
    """Of the videos and jobs, or of the hour's: each with its number and times, and what is written on it.

    What may stand in for it is the frame nearest to its beginning, one of its own if it has any.
    """
    rows = connection.execute(
        text("""
            SELECT chosen.*, frame.item_id AS frame_id, frame.key FROM (
                SELECT s.work_id, s.item_id AS video_id, s.ordinal, s.key AS segment, s.start_ms, s.end_ms, s.text,
                       s.created_at, row_number() OVER (PARTITION BY s.work_id ORDER BY s.ordinal) AS turn
                FROM segments s JOIN items v USING (item_id, version_id)
                WHERE s.work_id = ANY(:ids) OR (cardinality(CAST(:ids AS uuid[])) = 0 AND v.hour = :hour)
                ORDER BY turn, s.created_at DESC, s.work_id LIMIT :most
            ) AS chosen LEFT JOIN LATERAL (
                SELECT f.item_id, f.key FROM items f
                WHERE f.parent_item_id = chosen.video_id AND f.state <> 'removed'
                ORDER BY f.timecode_ms < chosen.start_ms OR f.timecode_ms >= chosen.end_ms,
                         abs(f.timecode_ms - chosen.start_ms), f.timecode_ms LIMIT 1
            ) AS frame ON true
            ORDER BY chosen.created_at DESC, chosen.work_id, chosen.ordinal
        """),
        {"ids": list(ids), "hour": hour, "most": most},
    )
    return [
        Picture(
            row.key,
            tuple(each for each in (row.work_id, row.video_id, row.frame_id) if each is not None),
            row.created_at,
            (f"#{row.ordinal} · {time_text(row.start_ms)} – {time_text(row.end_ms)}", *([row.text] if row.text else [])),
            segment=row.segment,
        )
        for row in rows
    ]


def _boxes(connection: Connection, item_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Box]]:
    """What was detected on the items' pictures, most confident first."""
    rows = connection.execute(
        text("""
            SELECT d.item_id, d.label, d.confidence, d.x, d.y, d.width, d.height
            FROM items i JOIN detections d USING (item_id, version_id) WHERE i.item_id = ANY(:ids)
            ORDER BY d.item_id, d.ordinal
        """),
        {"ids": list(item_ids)},
    )
    found: dict[uuid.UUID, list[Box]] = defaultdict(list)
    for item_id, *box in rows:
        found[item_id].append(Box(*box))
    return found
