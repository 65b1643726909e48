"""Compare bucket and log: import what the log is missing, note what the bucket no longer holds.

Needed for a bucket that is older than the log, for notifications that got lost, and as a daily check that none did.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, text

from media_assets.eventlog.catalogue import UploadReceived
from media_assets.eventlog.events import NewEvent, item_id_of, upload_received, upload_removed
from media_assets.eventlog.store import EventStore
from media_assets.uploads.notifications import PREFIX, partition_hour, user_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BATCH = 500
_BEFORE_ANY = "!"
"""Sorts before every sequencer of S3's, which are hex digits."""
_SEQUENCER_DIGITS = 32
"""More than S3 uses."""


class EmptyBucketError(RuntimeError):
    """The bucket lists no upload at all while the log knows some: a wrong bucket or a lost one, not removals."""


@dataclass(frozen=True)
class Difference:
    """What the log and the bucket disagree on, as the events that would make them agree."""

    missing: list[NewEvent] = field(default_factory=list)
    removed: list[NewEvent] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.missing) + len(self.removed)


def compare(
    s3: S3Client,
    engine: Engine,
    bucket: str,
    *,
    first_hour: datetime,
    now: datetime | None = None,
    in_hours: Callable[[datetime], bool] = lambda hour: True,
) -> Difference:
    """List the bucket's uploads once and compare them with the log; `in_hours` keeps those of chosen hours only.

    Raises EmptyBucketError rather than taking an empty listing for the removal of everything.
    """
    now = now or datetime.now(UTC)
    known = _known_versions(engine, bucket)
    difference = Difference()
    listed_any = False
    for key, versions in _versions_by_key(s3, bucket):
        listed_any = True
        in_log = known.pop(key, {})
        deleted = versions[-1]["deleted"]
        sequencer = _BEFORE_ANY
        for version in versions:
            version_id = version["version_id"]
            if version["deleted"]:
                continue
            if version_id in in_log:
                sequencer, hour, removed = in_log[version_id]
                if deleted and not removed and in_hours(hour):
                    difference.removed.append(_removal(bucket, key, version_id, now))
            elif not deleted:
                # The listing has no sequencer: one just above the next older version's keeps the listing's order, and
                # stays below that of any version which a notification tells of later. Padded first, since shorter ones
                # compare as if zeros followed.
                sequencer = sequencer.ljust(_SEQUENCER_DIGITS, "0") + "~"
                event = _arrival(bucket, key, version, sequencer, first_hour, now)
                if in_hours(event.payload.hour):  # type: ignore[attr-defined]
                    difference.missing.append(event)
        gone = in_log.keys() - {version["version_id"] for version in versions}
        difference.removed.extend(
            _removal(bucket, key, version_id, now)
            for version_id in sorted(gone)
            if not in_log[version_id][2] and in_hours(in_log[version_id][1])
        )
    if known and not listed_any:
        raise EmptyBucketError(
            f"bucket {bucket} lists no object under {PREFIX} while the log knows {len(known)} keys of it;"
            " check MEDIA_BUCKET before anything is recorded as removed"
        )
    for key, in_log in known.items():
        difference.removed.extend(
            _removal(bucket, key, version_id, now)
            for version_id, (_, hour, removed) in sorted(in_log.items())
            if not removed and in_hours(hour)
        )
    return difference


def repair(store: EventStore, difference: Difference) -> list[NewEvent]:
    """Append what makes the log agree with the bucket. Returns the events that were new."""
    new: list[NewEvent] = []
    events = [*difference.missing, *difference.removed]
    for start in range(0, len(events), _BATCH):
        batch = events[start : start + _BATCH]
        new.extend(event for event, (_, inserted) in zip(batch, store.append(batch), strict=True) if inserted)
    return new


def _known_versions(engine: Engine, bucket: str) -> dict[str, dict[str, tuple[str, datetime, bool]]]:
    """Versions in the log, by key and version id: (sequencer, hour, removed)."""
    known: dict[str, dict[str, tuple[str, datetime, bool]]] = {}
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT key, version_id, sequencer, hour, removed_at IS NOT NULL FROM uploads WHERE bucket = :bucket"),
            {"bucket": bucket},
        )
        for key, version_id, sequencer, hour, removed in rows:
            known.setdefault(key, {})[version_id] = (sequencer, hour, removed)
    return known


def _versions_by_key(s3: S3Client, bucket: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each key under `uploads/` with its versions and delete markers, oldest first."""
    for key, versions in groupby(_listing(s3, bucket), key=itemgetter("key")):
        newest_first = list(versions)
        yield key, newest_first[::-1]


def _listing(s3: S3Client, bucket: str) -> Iterator[dict[str, Any]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=PREFIX):
        entries: list[dict[str, Any]] = [
            {"key": v["Key"], "version_id": v["VersionId"], "at": v["LastModified"], "latest": v["IsLatest"],
             "etag": v["ETag"].strip('"'), "size_bytes": v["Size"], "deleted": False}
            for v in page.get("Versions", [])
        ] + [
            {"key": m["Key"], "version_id": m["VersionId"], "latest": m["IsLatest"], "deleted": True}
            for m in page.get("DeleteMarkers", [])
        ]  # fmt: skip
        # A page lists versions and markers apart, each newest first within a key; the sort keeps that. LastModified says
        # less: it counts full seconds, and of a multipart upload it is the start.
        yield from sorted(
            (entry for entry in entries if _can_be_known(entry["key"])), key=lambda entry: (entry["key"], not entry["latest"])
        )


def _can_be_known(key: str) -> bool:
    """Not a folder's placeholder, and no key that Postgres can't hold (notifications refuse it too)."""
    return not key.endswith("/") and "\0" not in key


def _arrival(bucket: str, key: str, version: dict[str, Any], sequencer: str, first_hour: datetime, now: datetime) -> NewEvent:
    payload = UploadReceived(
        bucket=bucket,
        key=key,
        version_id=version["version_id"],
        etag=version["etag"],
        size_bytes=version["size_bytes"],
        sequencer=sequencer,
        hour=partition_hour(version["at"], first_hour=first_hour, now=now),
    )
    return upload_received(payload, user_id=user_of(key), occurred_at=min(version["at"], now))


def _removal(bucket: str, key: str, version_id: str, now: datetime) -> NewEvent:
    item_id: uuid.UUID = item_id_of(bucket, key)
    return upload_removed(item_id, version_id, user_id=user_of(key), occurred_at=now)
