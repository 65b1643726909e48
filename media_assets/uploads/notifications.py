"""S3 event notifications (event structure 2.x) as events of the log. Pure: what a message says, and nothing looked up."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus

from media_assets.eventlog.catalogue import UploadReceived
from media_assets.eventlog.events import NewEvent, hour_of, upload_received

PREFIX = "uploads/"
"""Only keys under it are uploads; derived objects live elsewhere and never trigger anything."""

_USER = re.compile(r"^uploads/([a-z0-9-]{1,64})/.")
_NOBODY = "anonymous"


class NotificationError(ValueError):
    """A message on the upload queue isn't an S3 notification. It stays there and moves to the dead-letter queue."""


def user_of(key: str) -> str:
    """The user whose folder a key is in (`uploads/<user>/…`), or `anonymous` if it is in none."""
    match = _USER.match(key)
    return match[1] if match else _NOBODY


def partition_hour(arrived_at: datetime, *, first_hour: datetime, now: datetime) -> datetime:
    """The UTC hour of arrival as a partition: never later than now (clocks differ), never before the first partition."""
    return max(hour_of(min(arrived_at, now)), first_hour)


def uploads_in(body: str, *, first_hour: datetime, now: datetime) -> list[NewEvent]:
    """The uploads that a queue message tells of; none for `s3:TestEvent`, removals and keys outside `uploads/`.

    Keys arrive URL-encoded with `+` for a space. Raises NotificationError for anything that isn't a notification, and for
    a key that the log can't hold.
    """
    try:
        message = json.loads(body)
        if message.get("Event") == "s3:TestEvent":
            return []
        events = [_upload(record, first_hour, now) for record in message["Records"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # Without the error's own text, which may quote a key: this one ends up in Dagster's log.
        raise NotificationError(f"not an S3 notification ({type(error).__name__}); {len(body)} characters") from error
    return [event for event in events if event is not None]


def _upload(record: dict[str, Any], first_hour: datetime, now: datetime) -> NewEvent | None:
    entry = record["s3"]["object"]
    key = unquote_plus(entry["key"])
    if not record["eventName"].startswith("ObjectCreated:") or not key.startswith(PREFIX) or key.endswith("/"):
        return None
    if "\0" in key:
        # S3 takes such a key, Postgres doesn't: an append with it would fail and take every other upload of its batch along.
        raise ValueError("the key holds a NUL character")
    arrived_at = datetime.fromisoformat(record["eventTime"]).astimezone(UTC)
    payload = UploadReceived(
        bucket=record["s3"]["bucket"]["name"],
        key=key,
        version_id=entry.get("versionId", "null"),
        etag=entry["eTag"].strip('"'),
        size_bytes=entry.get("size", 0),
        sequencer=entry["sequencer"],
        hour=partition_hour(arrived_at, first_hour=first_hour, now=now),
    )
    return upload_received(payload, user_id=user_of(key), occurred_at=arrived_at)
