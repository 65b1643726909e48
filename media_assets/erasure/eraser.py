"""Erasing an item, safe to be killed at any point: what is left then, a sweep finds in the log's `erasures`.

1. Versions of the key that the log hasn't heard of are told to it. So they are the item's, and their notifications, when
   they come, are repeats that begin nothing.
2. One transaction erases the item from the log and the read models, with its frames and its jobs if it is a video, and notes
   the sweeps.
3. The first sweep removes what is in the bucket.
4. The second one, after the longest time that a function may take, removes what was written since.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import text

from media_assets.erasure.sweep import sweep_item
from media_assets.eventlog import erasure
from media_assets.eventlog.erasure import Erasure, find_erasure
from media_assets.eventlog.incarnations import Address, last_erased, living_items, receive_uploads
from media_assets.eventlog.items import ItemNotFoundError
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.catalogue import PIPELINE_OF, STEPS
from media_assets.uploads.notifications import PREFIX
from media_assets.uploads.reconcile import unheard_uploads

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MARGIN = timedelta(minutes=1)
"""For clocks that differ, and what was sent just before the erasure."""


class Target(NamedTuple):
    """What somebody asked to erase. Without an address it was erased before."""

    item_id: uuid.UUID
    address: Address | None


@dataclass(frozen=True)
class Eraser:
    """What erasing takes: `store` as the application, `log` as the eraser, a client of S3."""

    store: EventStore
    log: EventStore
    s3: S3Client
    settings: Settings

    @classmethod
    def connect(cls, settings: Settings, store: EventStore, s3: S3Client) -> Eraser:
        """Raises SettingMissingError if there is no URL of the eraser's role."""
        return cls(store, EventStore.connect(settings.eraser_database_url), s3, settings)

    def find(self, reference: str) -> Target:
        """The item that an item id, a key of the bucket or an `s3://bucket/key` address names; of several items that a key
        has been, the one that it is today, else the last one. Changes nothing. Raises ItemNotFoundError."""
        with self.store.engine.connect() as connection:
            try:
                item_id = uuid.UUID(reference)
            except ValueError:
                return self._at(_address(reference, self.settings.bucket))
            row = connection.execute(text("SELECT bucket, key FROM items WHERE item_id = :id"), {"id": item_id}).one_or_none()
            if row is None:
                return Target(find_erasure(connection, item_id).item_id, None)
            return Target(item_id, (row.bucket, row.key))

    def of_user(self, user_id: str) -> list[Target]:
        """Every item of a user that the log knows, without the frames that go with their videos. Changes nothing."""
        with self.store.engine.connect() as connection:
            rows = connection.execute(
                text("""
                    SELECT item_id, bucket, key FROM items WHERE user_id = :user AND parent_item_id IS NULL ORDER BY key
                """),
                {"user": user_id},
            )
            return [Target(item_id, (bucket, key)) for item_id, bucket, key in rows]

    def erased_of_user(self, user_id: str) -> list[Target]:
        """Every item of a user that was erased, the earliest first."""
        with self.store.engine.connect() as connection:
            rows = connection.execute(
                text("SELECT item_id FROM erasures WHERE user_id = :user ORDER BY erased_at, item_id"), {"user": user_id}
            )
            return [Target(item_id, None) for item_id in rows.scalars()]

    def hear_of_user(self, user_id: str) -> None:
        """Tell the log of whatever is in the user's folder of the bucket, so that `of_user` has all of it."""
        prefix = f"{PREFIX}{user_id}/"
        unheard = unheard_uploads(
            self.s3, self.store.engine, self.settings.bucket, first_hour=self.settings.first_hour, prefix=prefix
        )
        for start in range(0, len(unheard), 500):
            receive_uploads(self.store, unheard[start : start + 500])

    def erase(self, target: Target, *, reason: str) -> tuple[Erasure, bool]:
        """Erase the target from the log and the read models; its objects are left to `sweep`.

        Returns the erasure and whether this call is the one that erased. Raises ItemNotFoundError if the target is gone
        without having been erased, and botocore's errors; then nothing was erased.
        """
        if target.address is not None:
            bucket, key = target.address
            first_hour = self.settings.first_hour
            receive_uploads(self.store, unheard_uploads(self.s3, self.store.engine, bucket, first_hour=first_hour, key=key))
        return erasure.erase(
            self.log,
            target.item_id,
            reason=reason,
            now=datetime.now(UTC),
            in_flight=lambda kind: longest_flight(self.settings, kind),
        )

    def sweep(self, item_id: uuid.UUID) -> Erasure:
        """Remove the objects of an erased item if that is due. Raises SweepError."""
        return sweep_item(self.log, self.s3, self.settings.bucket, item_id, now=datetime.now(UTC))

    def _at(self, address: Address) -> Target:
        bucket, key = address
        with self.store.engine.connect() as connection:
            living = living_items(connection, [address])[address]
            known = connection.execute(text("SELECT FROM items WHERE item_id = :id"), {"id": living}).one_or_none()
            erased = last_erased(connection, address)
        if known is not None or unheard_uploads(
            self.s3, self.store.engine, bucket, first_hour=self.settings.first_hour, key=key
        ):
            return Target(living, address)
        if erased is None:
            raise ItemNotFoundError(f"no item at s3://{bucket}/{key}, and nothing in the bucket that could be one")
        return Target(erased, None)


def longest_flight(settings: Settings, kind: str | None) -> timedelta:
    """How long after the erasure of an item of a kind something that began before it may still write: dispatch waits no longer
    for a function, and no longer for a task to start and then to end."""
    steps = [step for name, step in STEPS.items() if kind == "video" or PIPELINE_OF[name] != "video"]
    task = settings.ecs_start_seconds + max((step.task.timeout_seconds for step in steps if step.task), default=0)
    return timedelta(seconds=max(settings.invoke_timeout_seconds, task)) + _MARGIN


def _address(reference: str, bucket: str) -> Address:
    if reference.startswith("s3://"):
        named, _, key = reference.removeprefix("s3://").partition("/")
        return named, key
    return bucket, reference
