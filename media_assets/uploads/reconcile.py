"""Compare bucket and log: import what the log is missing, note what the bucket no longer holds.

Needed for a bucket that is older than the log, for notifications that got lost, and as a daily check that none did.
Versions whose item was erased are none of its business: the log knows their ids, and they are on their way out.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby, takewhile
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Engine, text

from media_assets.eventlog.catalogue import UploadReceived
from media_assets.eventlog.errors import StreamClosedError
from media_assets.eventlog.events import NewEvent, Trace, upload_event_id, upload_received, upload_removed
from media_assets.eventlog.incarnations import receive_uploads
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


class _Known(NamedTuple):
    """A version as the log has it."""

    item_id: uuid.UUID
    sequencer: str
    hour: datetime
    removed: bool


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
    arrived: list[NewEvent] = []
    removed: list[NewEvent] = []
    listed_any = False
    for key, versions in _versions_by_key(s3, bucket, PREFIX):
        listed_any = True
        in_log = known.pop(key, {})
        deleted = versions[-1]["deleted"]
        if not deleted:
            arrived.extend(_arrivals(bucket, key, versions, in_log, first_hour, now))
        listed = set() if deleted else {version["version_id"] for version in versions}
        gone = {version_id: each for version_id, each in in_log.items() if version_id not in listed}
        removed.extend(_removals(bucket, key, gone, in_hours, now))
    if known and not listed_any:
        raise EmptyBucketError(
            f"bucket {bucket} lists no object under {PREFIX} while the log knows {len(known)} keys of it;"
            " check MEDIA_BUCKET before anything is recorded as removed"
        )
    for key, in_log in known.items():
        removed.extend(_removals(bucket, key, in_log, in_hours, now))
    return Difference([event for event in _unheard(engine, arrived) if in_hours(_upload(event).hour)], removed)


def repair(store: EventStore, difference: Difference) -> list[NewEvent]:
    """Append what makes the log agree with the bucket. Returns the events that were new."""
    new: list[NewEvent] = []
    for batch in _batches(difference.missing):
        new.extend(receive_uploads(store, batch))
    for batch in _batches(difference.removed):
        new.extend(_tell_removals(store, batch))
    return new


def unheard_uploads(
    s3: S3Client, engine: Engine, bucket: str, *, first_hour: datetime, key: str | None = None, prefix: str = PREFIX
) -> list[NewEvent]:
    """Versions of one key, or under a prefix, that the log hasn't heard of; also those under a delete marker, which
    `compare` leaves where they are."""
    if not (key or prefix).startswith(PREFIX):
        return []
    now = datetime.now(UTC)
    known = _known_versions(engine, bucket, key=key, prefix=prefix)
    listed = _versions_by_key(s3, bucket, key or prefix)
    if key is not None:
        listed = takewhile(lambda of_key: of_key[0] == key, listed)  # longer keys follow in the listing
    arrived = [
        event for each, versions in listed for event in _arrivals(bucket, each, versions, known.get(each, {}), first_hour, now)
    ]
    return list(_unheard(engine, arrived))


def _tell_removals(store: EventStore, removals: Sequence[NewEvent]) -> list[NewEvent]:
    """Nothing more is told of items that were erased since they were compared."""
    while removals:
        try:
            appended = store.append(removals)
        except StreamClosedError as erased:
            removals = [event for event in removals if event.stream_id not in erased.stream_ids]
            continue
        return [event for event, (_, inserted) in zip(removals, appended, strict=True) if inserted]
    return []


def _batches(events: Sequence[NewEvent]) -> Iterator[Sequence[NewEvent]]:
    return (events[start : start + _BATCH] for start in range(0, len(events), _BATCH))


def _known_versions(
    engine: Engine, bucket: str, *, key: str | None = None, prefix: str = PREFIX
) -> dict[str, dict[str, _Known]]:
    """Versions in the log, by key and version id: of one key, or of all under a prefix."""
    known: dict[str, dict[str, _Known]] = {}
    which = "i.key = :key" if key is not None else "starts_with(i.key, :prefix)"
    with engine.connect() as connection:
        rows = connection.execute(
            text(f"""
                SELECT i.key, u.version_id, u.item_id, u.sequencer, u.hour, u.removed_at IS NOT NULL
                FROM items i JOIN uploads u USING (item_id) WHERE i.bucket = :bucket AND {which}
            """),
            {"bucket": bucket, "key": key, "prefix": prefix},
        )
        for of_key, version_id, *version in rows:
            known.setdefault(of_key, {})[version_id] = _Known(*version)
    return known


def _unheard(engine: Engine, uploads: Sequence[NewEvent]) -> Iterator[NewEvent]:
    """Those whose ids the log doesn't have: not even of an item that was erased."""
    with engine.connect() as connection:
        for batch in _batches(uploads):
            heard = set(
                connection.execute(
                    text("SELECT event_id FROM events WHERE event_id = ANY(:ids)"), {"ids": [e.event_id for e in batch]}
                ).scalars()
            )
            yield from (event for event in batch if event.event_id not in heard)


def _versions_by_key(s3: S3Client, bucket: str, prefix: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each key under a prefix with its versions and delete markers, oldest first."""
    for key, versions in groupby(_listing(s3, bucket, prefix), key=itemgetter("key")):
        newest_first = list(versions)
        yield key, newest_first[::-1]


def _listing(s3: S3Client, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
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


def _arrivals(
    bucket: str,
    key: str,
    versions: Iterable[dict[str, Any]],
    in_log: dict[str, _Known],
    first_hour: datetime,
    now: datetime,
) -> Iterator[NewEvent]:
    """Uploads of the versions that aren't in the log. `versions` come oldest first."""
    sequencer = _BEFORE_ANY
    for version in versions:
        if known := in_log.get(version["version_id"]):
            sequencer = known.sequencer
        elif not version["deleted"]:
            # The listing has no sequencer: one just above the next older version's keeps the listing's order, and stays
            # below that of any version which a notification tells of later. Padded first, since shorter ones compare as
            # if zeros followed.
            sequencer = sequencer.ljust(_SEQUENCER_DIGITS, "0") + "~"
            yield _arrival(bucket, key, version, sequencer, first_hour, now)


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


def _removals(
    bucket: str, key: str, gone: dict[str, _Known], in_hours: Callable[[datetime], bool], now: datetime
) -> Iterator[NewEvent]:
    for version_id, known in sorted(gone.items()):
        if known.removed or not in_hours(known.hour):
            continue
        upload = upload_event_id(bucket, key, version_id)
        trace = Trace(correlation_id=upload, causation_id=upload)
        yield upload_removed(known.item_id, version_id, user_id=user_of(key), occurred_at=now, trace=trace)


def _upload(event: NewEvent) -> UploadReceived:
    assert isinstance(event.payload, UploadReceived)
    return event.payload
