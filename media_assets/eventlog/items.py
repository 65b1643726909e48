"""An item with everything derived from it, as people and clients ask for it."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from media_assets.eventlog.incarnations import last_erased
from media_assets.eventlog.videos import describe_parent, describe_video


class ItemNotFoundError(LookupError):
    """There is no such item. The text says what was looked for."""


class ItemErasedError(ItemNotFoundError):
    """There was such an item, and it was erased."""

    def __init__(self, item_id: uuid.UUID, erased_at: datetime) -> None:
        moment = f"{erased_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        super().__init__(f"item {item_id} was erased at {moment}; nothing is left of it but its events' figures")
        self.item_id, self.erased_at = item_id, erased_at


def resolve(connection: Connection, reference: str, bucket: str | None = None) -> uuid.UUID:
    """The item that an item id, an S3 key or an `s3://bucket/key` address names.

    Raises ItemNotFoundError, and its ItemErasedError for one that was erased: by its id, its address, or its key in `bucket`.
    Nothing in the database says which bucket a key was in that nobody may know any more.
    """
    try:
        found = connection.execute(
            text("SELECT item_id FROM items WHERE item_id = :id"), {"id": uuid.UUID(reference)}
        ).scalar_one_or_none()
    except ValueError:
        named, key = None, reference
        if reference.startswith("s3://"):
            named, _, key = reference.removeprefix("s3://").partition("/")
        found = connection.execute(
            text("SELECT item_id FROM items WHERE key = :key AND (CAST(:bucket AS text) IS NULL OR bucket = :bucket) LIMIT 1"),
            {"key": key, "bucket": named},
        ).scalar_one_or_none()
        if found is None and (address := named or bucket) and (erased := last_erased(connection, (address, key))):
            _refuse_erased(connection, str(erased))
    if found is None:
        _refuse_erased(connection, reference)
        raise ItemNotFoundError(f"no item {reference!r}: give an item id or an S3 key such as uploads/me/photo.jpg")
    return uuid.UUID(str(found))


def resolve_told(connection: Connection, reference: str, bucket: str | None = None) -> uuid.UUID:
    """The item whose history is meant: by its id, erased or not, by the id of any of its events, or as `resolve` has it."""
    with suppress(ValueError):
        told = connection.execute(
            text("SELECT item_id FROM events WHERE event_id = :id OR stream_id = 'item-' || CAST(:id AS uuid) LIMIT 1"),
            {"id": uuid.UUID(reference)},
        ).scalar_one_or_none()
        if told is not None:
            return uuid.UUID(str(told))
    return resolve(connection, reference, bucket)


def describe(connection: Connection, item_id: uuid.UUID) -> dict[str, Any]:
    """The item's current version and what was derived from it, as JSON values.

    Shape: {item_id, bucket, key, version_id, etag, size_bytes, user_id, hour, kind, format, state, width, height, exif,
    thumbnails: [{size, width, height, key, sha256}], placeholder, detections: {model, detections: [{label, confidence,
    bbox: [x, y, width, height]}]} | null, analysis: {category, summary, tags, objects, text, dominant_colours, provider,
    model, analysis_id} | null, embedding: {model, dimensions} | null, rejection: {code, message} | null,
    video: {…} | null, parent: {…} | null (videos.py), steps: {step: {state, failures, retry_at, error}}}. Pixels are of the
    upright original. Raises ItemNotFoundError, and its ItemErasedError.
    """
    item = connection.execute(text("SELECT * FROM items WHERE item_id = :id"), {"id": item_id}).one_or_none()
    if item is None:
        _refuse_erased(connection, str(item_id))
        raise ItemNotFoundError(f"no item {item_id}")
    current = {"id": item_id, "version": item.version_id}
    thumbnails = connection.execute(
        text("SELECT * FROM thumbnails WHERE item_id = :id AND version_id = :version ORDER BY size"), current
    ).all()
    analysis = connection.execute(
        text("SELECT * FROM analyses WHERE item_id = :id AND version_id = :version"), current
    ).one_or_none()
    embedding = connection.execute(
        text("SELECT model, dimensions FROM embeddings WHERE item_id = :id AND version_id = :version"), current
    ).one_or_none()
    steps = connection.execute(text("SELECT * FROM steps WHERE item_id = :id"), current).all()
    return {
        "item_id": str(item.item_id),
        "bucket": item.bucket,
        "key": item.key,
        "version_id": item.version_id,
        "etag": item.etag,
        "size_bytes": item.size_bytes,
        "user_id": item.user_id,
        "hour": item.hour.isoformat(),
        "kind": item.kind,
        "format": item.format,
        "state": item.state,
        "width": item.width,
        "height": item.height,
        "exif": item.exif,
        "thumbnails": [
            {"size": t.size, "width": t.width, "height": t.height, "key": t.key, "sha256": t.sha256} for t in thumbnails
        ],
        "placeholder": thumbnails[0].placeholder if thumbnails else None,
        "detections": _detections(connection, current),
        "analysis": analysis
        and {
            "category": analysis.category,
            "summary": analysis.summary,
            "tags": analysis.tags,
            "objects": analysis.objects,
            "text": analysis.text,
            "dominant_colours": analysis.dominant_colours,
            "provider": analysis.provider,
            "model": analysis.model,
            "analysis_id": str(analysis.analysis_id),
        },
        "embedding": embedding and {"model": embedding.model, "dimensions": embedding.dimensions},
        "rejection": {"code": item.rejection_code, "message": item.rejection_message} if item.rejection_code else None,
        "video": describe_video(connection, item_id, item.version_id, item.video) if item.kind == "video" else None,
        "parent": describe_parent(connection, item.parent_item_id, item.timecode_ms, item.is_poster)
        if item.parent_item_id
        else None,
        "steps": {
            step.step: {
                "state": step.state,
                "failures": step.failures,
                "retry_at": step.retry_at.isoformat() if step.retry_at else None,
                "error": {"code": step.error_code, "message": step.error_message} if step.error_code else None,
            }
            for step in steps
        },
    }


def counts_by_state(connection: Connection, *, frames: bool = False) -> dict[str, int]:
    """How many uploads, or frames of videos, are received, processing, done, rejected, failed, removed; states without any are
    left out."""
    rows = connection.execute(
        text("SELECT state, count(*) FROM items WHERE (parent_item_id IS NOT NULL) = :frames GROUP BY 1 ORDER BY 1"),
        {"frames": frames},
    )
    return dict(rows.tuples().all())


def _detections(connection: Connection, current: dict[str, Any]) -> dict[str, Any] | None:
    """Of the result that counts, which may have found nothing; None if there is no result."""
    model = connection.execute(
        text("""
            SELECT t.body->>'model' FROM step_results r JOIN told t USING (event_id)
            WHERE r.item_id = :id AND r.version_id = :version AND t.type = 'DetectionsCompleted'
            ORDER BY r.generation DESC LIMIT 1
        """),
        current,
    ).scalar_one_or_none()
    found = connection.execute(
        text("SELECT * FROM detections WHERE item_id = :id AND version_id = :version ORDER BY ordinal"), current
    ).all()
    return model and {
        "model": model,
        "detections": [
            {"label": each.label, "confidence": each.confidence, "bbox": [each.x, each.y, each.width, each.height]}
            for each in found
        ],
    }


def _refuse_erased(connection: Connection, item_id: str) -> None:
    with suppress(ValueError):
        erased = connection.execute(
            text("SELECT item_id, occurred_at FROM events WHERE type = 'ItemErased' AND item_id = :id AND job_id IS NULL"),
            {"id": uuid.UUID(item_id)},
        ).one_or_none()
        if erased is not None:
            raise ItemErasedError(erased.item_id, erased.occurred_at)
