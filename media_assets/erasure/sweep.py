"""Removing the objects of erased items. A sweep may be repeated, and be killed at any point: it lists before it removes.

It never touches what was uploaded under the key after the erasure: an object version is the item's if the event that told
of it is.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy import Connection, text

from media_assets.erasure.objects import ObjectsRemainError, ObjectVersion, remove, versions_of, versions_under
from media_assets.eventlog.erasure import Erasure, due_sweeps, postpone_sweep, sweep, uploads_of_erased_items
from media_assets.eventlog.events import upload_event_id
from media_assets.eventlog.store import EventStore
from media_assets.uploads.notifications import PREFIX

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TRY_AGAIN_AFTER = timedelta(minutes=1)


class SweepError(RuntimeError):
    """Objects of an erased item are still there; the sweep stays due. The text says why and names no key."""


@dataclass
class Swept:
    """What a round of sweeps came to: items whose objects were removed, and why others' were not."""

    items: list[uuid.UUID] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def sweep_due(
    log: EventStore,
    s3: S3Client,
    bucket: str,
    *,
    budget_seconds: float,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Swept:
    """Do the sweeps that are due, for at most about `budget_seconds`. One that fails is tried again in a minute."""
    swept = Swept()
    deadline = time.monotonic() + budget_seconds
    while time.monotonic() < deadline:
        with log.engine.connect() as connection:
            due = due_sweeps(connection, now(), limit=1)
        if not due:
            break
        [item_id] = due
        try:
            sweep_item(log, s3, bucket, item_id, now=now())
            swept.items.append(item_id)
        except SweepError as error:
            postpone_sweep(log, item_id, now() + _TRY_AGAIN_AFTER)
            swept.errors.append(str(error))
    return swept


def sweep_item(log: EventStore, s3: S3Client, bucket: str, item_id: uuid.UUID, *, now: datetime) -> Erasure:
    """Sweep one erased item if that is due. `log` is of the eraser's role; `bucket` has what was derived.

    Raises SweepError, and ItemNotFoundError if the item wasn't erased.
    """

    def remove_objects(connection: Connection, erasure: Erasure) -> dict[str, int]:
        return {
            "object_versions": _remove_original(connection, s3, erasure),
            "derived_objects": _remove_derived(s3, bucket, erasure),
            "contact_sheets": _remove_contact_sheets(connection, s3, bucket, erasure, is_last=now >= erasure.final_at),
        }

    try:
        return sweep(log, item_id, remove_objects, now=now)
    except ObjectsRemainError as error:
        raise SweepError(f"item {item_id}: {error}") from error
    except ClientError as error:
        # Its own text may name the key.
        raise SweepError(f"item {item_id}: S3 answered {error.response['Error'].get('Code')}") from error
    except BotoCoreError as error:
        raise SweepError(f"item {item_id}: S3 can't be reached ({type(error).__name__})") from error


def _remove_original(connection: Connection, s3: S3Client, erasure: Erasure) -> int:
    """Versions of items of this key that were erased, and delete markers but one that hides what is there today. A frame has
    its key for itself: whatever is there is its."""
    bucket, key = erasure.bucket, erasure.key
    assert bucket is not None  # while a sweep is due
    assert key is not None
    versions = versions_of(s3, bucket, key)
    if not key.startswith(PREFIX):
        remove(s3, bucket, versions)
        return len(versions)
    uploads = {version: upload_event_id(bucket, key, version.version_id) for version in versions if not version.is_marker}
    erased = uploads_of_erased_items(connection, uploads.values())
    holds_another_item = any(upload not in erased for upload in uploads.values())

    def goes(version: ObjectVersion) -> bool:
        return not (version.is_latest and holds_another_item) if version.is_marker else uploads[version] in erased

    going = [version for version in versions if goes(version)]
    remove(s3, bucket, going)
    return len(going)


def _remove_derived(s3: S3Client, bucket: str, erasure: Erasure) -> int:
    """What was made of the item, of its frames, and what its jobs made."""
    folders = [
        *(f"derived/{item_id}/" for item_id in (erasure.item_id, *erasure.frame_ids)),
        *(f"processed/{job_id}/" for job_id in erasure.job_ids),
    ]
    versions = [version for folder in folders for version in versions_under(s3, bucket, folder)]
    remove(s3, bucket, versions)
    return len({version.key for version in versions})


def _remove_contact_sheets(connection: Connection, s3: S3Client, bucket: str, erasure: Erasure, *, is_last: bool) -> int:
    """Sheets that show the item or a frame of it. Their rows go with the last sweep: a sheet has its row before it is
    stored."""
    sheets = connection.execute(
        text("SELECT key FROM contact_sheets WHERE item_ids && CAST(:ids AS uuid[])"),
        {"ids": [erasure.item_id, *erasure.frame_ids]},
    )
    keys = list(sheets.scalars())
    versions = [version for key in keys for version in versions_of(s3, bucket, key)]
    remove(s3, bucket, versions)
    if is_last:
        connection.execute(text("DELETE FROM contact_sheets WHERE key = ANY(:keys)"), {"keys": keys})
    return len({version.key for version in versions})
