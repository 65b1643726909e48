"""What there is to say of a video beyond what all items have, and of a frame: which video it is from, and when in it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from media_assets.eventlog.jobs import list_jobs, segments_of


def describe_video(connection: Connection, item_id: uuid.UUID, version_id: str, measured: Mapping[str, Any]) -> dict[str, Any]:
    """A video's current version as JSON values.

    Shape: {duration_ms, frame_rate, … as catalogue.VideoInfo, frames: [{item_id, timecode_ms, is_poster, key, sha256, state}]
    by time, segments: [{index, start_ms, end_ms, key, sha256, size_bytes, text}], jobs: as list_jobs}.
    """
    frames = connection.execute(
        text("""
            WITH pictures AS (
                SELECT (picture->>'item_id')::uuid AS item_id, picture->>'sha256' AS sha256
                FROM step_results r JOIN told t USING (event_id), jsonb_array_elements(t.body->'frames') picture
                WHERE r.item_id = :id AND r.version_id = :version AND r.step = 'frames' AND r.outcome = 'done'
            )
            SELECT item_id, timecode_ms, is_poster, key, sha256, state FROM items LEFT JOIN pictures USING (item_id)
            WHERE parent_item_id = :id AND state <> 'removed' ORDER BY timecode_ms
        """),
        {"id": item_id, "version": version_id},
    )
    return {
        **measured,
        "frames": [{**row, "item_id": str(row["item_id"])} for row in frames.mappings()],
        "segments": segments_of(connection, item_id, version_id),
        "jobs": list_jobs(connection, item_id=item_id),
    }


def describe_parent(connection: Connection, parent_id: uuid.UUID, timecode_ms: int, is_poster: bool) -> dict[str, Any]:
    """The video that a frame was taken from, and when in it: {item_id, key, timecode_ms, is_poster}."""
    key = connection.execute(text("SELECT key FROM items WHERE item_id = :id"), {"id": parent_id}).scalar_one_or_none()
    return {"item_id": str(parent_id), "key": key, "timecode_ms": timecode_ms, "is_poster": is_poster}


def belongings(connection: Connection, item_id: uuid.UUID) -> tuple[int, int]:
    """How many frames and how many jobs there are of a video, and go when it is erased. Frames of older versions count."""
    row = connection.execute(
        text("""
            SELECT (SELECT count(DISTINCT item_id) FROM uploads WHERE parent_item_id = :id) AS frames,
                   (SELECT count(*) FROM jobs WHERE item_id = :id) AS jobs
        """),
        {"id": item_id},
    ).one()
    return row.frames, row.jobs


def time_text(milliseconds: int) -> str:
    """A place in a video: `4250` as `0:04`, an hour and four seconds as `1:00:04`."""
    minutes, seconds = divmod(milliseconds // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
