"""Jobs as people and clients ask for them: how far they are, what they were asked to do, and the segments they made."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

FINISHED = ("completed", "failed", "cancelled")
"""States after which nothing more happens."""


class JobNotFoundError(LookupError):
    """There is no such job, or it was erased with its video. The text says what was looked for."""


def describe_job(connection: Connection, job_id: uuid.UUID) -> dict[str, Any]:
    """The job as JSON values. Raises JobNotFoundError.

    Shape: {job_id, item_id, bucket, key, user_id, version_id, state, progress, options, texts: [text] | null,
    error: {code, message} | null, submitted_at, started_at, finished_at, segments: [{index, start_ms, end_ms, key, sha256,
    size_bytes, text}]}. `state` is pending, processing, completed, failed or cancelled, `progress` a percentage. The `error` of
    a cancelled job is its reason, with code `cancelled`.
    """
    row = connection.execute(
        text("SELECT j.*, i.bucket, i.key FROM jobs j JOIN items i USING (item_id) WHERE j.job_id = :id"), {"id": job_id}
    ).one_or_none()
    if row is None:
        raise JobNotFoundError(f"no job {job_id}: there never was one, or it was erased with its video")
    return {
        **_summary(row._asdict()),
        "bucket": row.bucket,
        "version_id": row.version_id,
        "options": row.options,
        "texts": row.texts,
        "segments": segments_of(connection, job_id, row.version_id),
    }


def list_jobs(
    connection: Connection, *, item_id: uuid.UUID | None = None, user_id: str | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """Jobs, the newest first, of one video or one user if they are named.

    Shape: [{job_id, item_id, key, user_id, state, progress, segment_count, error, submitted_at, started_at, finished_at}].
    """
    rows = connection.execute(
        text("""
            SELECT j.*, i.key FROM jobs j JOIN items i USING (item_id)
            WHERE (CAST(:item AS uuid) IS NULL OR j.item_id = :item) AND (CAST(:user AS text) IS NULL OR j.user_id = :user)
            ORDER BY j.position DESC LIMIT :limit
        """),
        {"item": item_id, "user": user_id, "limit": limit},
    )
    return [_summary(row._asdict()) for row in rows]


def job_counts(connection: Connection) -> dict[str, int]:
    """How many jobs are in each state; states without jobs are left out."""
    return dict(connection.execute(text("SELECT state, count(*) FROM jobs GROUP BY 1 ORDER BY 1")).tuples().all())


def segments_of(connection: Connection, work_id: uuid.UUID, version_id: str) -> Sequence[dict[str, Any]]:
    """The segments that a job made, or an item's own ones: [{index, start_ms, end_ms, key, sha256, size_bytes, text}]."""
    rows = connection.execute(
        text("""
            SELECT ordinal AS index, start_ms, end_ms, key, sha256, size_bytes, text FROM segments
            WHERE work_id = :id AND version_id = :version ORDER BY ordinal
        """),
        {"id": work_id, "version": version_id},
    )
    return [dict(row) for row in rows.mappings()]


def _summary(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "job_id": str(row["job_id"]),
        "item_id": str(row["item_id"]),
        "key": row["key"],
        "user_id": row["user_id"],
        "state": row["state"],
        "progress": row["progress"],
        "segment_count": row["segments"],
        "error": {"code": row["error_code"] or row["state"], "message": row["error_message"]} if row["error_message"] else None,
        **{name: _moment(row[name]) for name in ("submitted_at", "started_at", "finished_at")},
    }


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="milliseconds")
