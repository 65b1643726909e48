"""A bucket with photos in every state of being known and processed, and somebody who may erase them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from sqlalchemy import text

from media_assets.erasure.eraser import Eraser, longest_flight
from media_assets.erasure.sweep import sweep_item
from media_assets.eventlog.catalogue import UploadReceived
from media_assets.eventlog.erasure import Erasure
from media_assets.eventlog.events import NewEvent, upload_received
from media_assets.eventlog.incarnations import receive_uploads
from media_assets.eventlog.migrate import PROJECTIONS
from media_assets.eventlog.store import EventStore
from media_assets.settings import get_settings
from tests.conftest import Database
from tests.unit.defs.gallery import HOUR, Gallery
from tests.unit.eventlog.lives import rows

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "uploads/ada/cat.jpg"
ITEM_TABLES = sorted({*PROJECTIONS, "claims"} - {"costs", "spending_stops"})
"""Every table with rows of single items."""


@dataclass
class Album:
    """A versioned bucket, the log of it, and the eraser. Times are the machine's unless a test says so."""

    eraser: Eraser
    gallery: Gallery
    bucket: str
    eraser_url: str

    @property
    def s3(self) -> S3Client:
        return self.eraser.s3

    @property
    def store(self) -> EventStore:
        return self.eraser.store

    def put(self, key: str = KEY, body: bytes = b"x") -> str:
        """An object version that nobody has told the log of."""
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)["VersionId"]

    def told(self, version: str, key: str = KEY, sequencer: str = "0055AED6DCD90281E5") -> NewEvent:
        """The event that the version's notification becomes."""
        payload = UploadReceived(
            bucket=self.bucket, key=key, version_id=version, etag="e", size_bytes=1, sequencer=sequencer, hour=HOUR
        )
        return upload_received(payload, user_id=key.split("/")[1], occurred_at=datetime.now(UTC))

    def upload(self, key: str = KEY) -> uuid.UUID:
        """A version that the log has heard of; the item that it is of."""
        [event] = receive_uploads(self.store, [self.told(self.put(key), key)])
        assert event.item_id is not None
        return event.item_id

    def show(self, *item_ids: uuid.UUID) -> str:
        """A contact sheet of items; its key."""
        key = f"previews/{uuid.uuid4()}.jpg"
        with self.store.engine.begin() as connection:
            connection.execute(
                text("INSERT INTO contact_sheets (key, item_ids) VALUES (:key, :ids)"), {"key": key, "ids": list(item_ids)}
            )
        self.put(key)
        return key

    def erase(self, reference: str = KEY) -> Erasure:
        """Erase and sweep once, as the command does."""
        erasure, _ = self.eraser.erase(self.eraser.find(reference), reason="a test")
        return self.eraser.sweep(erasure.item_id)

    def second_sweep(self, item_id: uuid.UUID) -> Erasure:
        """What happens when its time has come."""
        return sweep_item(self.eraser.log, self.s3, self.bucket, item_id, now=datetime.now(UTC) + self.longest)

    @property
    def in_flight(self) -> timedelta:
        """Of a photo."""
        return longest_flight(self.eraser.settings, "image")

    @property
    def longest(self) -> timedelta:
        """Of anything."""
        return longest_flight(self.eraser.settings, "video")

    def objects(self, prefix: str = "") -> list[str]:
        """Keys of all versions and delete markers, one each."""
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix)
        return [each["Key"] for page in pages for each in (*page.get("Versions", []), *page.get("DeleteMarkers", []))]

    def rows_of(self, item_id: uuid.UUID) -> dict[str, int]:
        """How many rows of an item each table has; those without are left out."""
        counts = {
            table: rows(self.store, f"SELECT count(*) AS n FROM {table} WHERE item_id = :id", id=item_id)[0]["n"]
            for table in ITEM_TABLES
        }
        return {table: number for table, number in counts.items() if number}

    def nothing_is_left_of(self, item_id: uuid.UUID, key: str = KEY) -> bool:
        """No object, row or payload of it, but that it was erased."""
        payloads = rows(
            self.store, "SELECT type FROM events JOIN event_payloads USING (event_id) WHERE item_id = :id", id=item_id
        )
        return (
            [row["type"] for row in payloads] == ["ItemErased"]
            and self.rows_of(item_id) == {}
            and key not in self.objects(key)
            and self.objects(f"derived/{item_id}/") == []
        )


@pytest.fixture
def album(aws: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Album]:
    bucket = f"photos-{uuid.uuid4().hex[:12]}"
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    eraser_url = database.owner_url.replace("//postgres@", "//media_assets_eraser@")
    for name, value in {
        "MEDIA_BUCKET": bucket,
        "MEDIA_UPLOAD_QUEUE_URL": "http://nowhere",
        "DATABASE_URL": database.application_url,
        "MEDIA_OWNER_DATABASE_URL": database.owner_url,
        "MEDIA_ERASER_DATABASE_URL": eraser_url,
    }.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    eraser = Eraser.connect(get_settings(), database.store, s3)
    yield Album(eraser, Gallery(database.store, s3, bucket), bucket, eraser_url)
    eraser.log.engine.dispose()
