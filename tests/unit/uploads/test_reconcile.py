"""Bucket and log compared and repaired: imports, lost notifications, removals; against a real versioned bucket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from media_assets.eventlog.catalogue import UploadReceived, UploadRemoved
from media_assets.eventlog.events import NewEvent, hour_of, upload_received
from media_assets.eventlog.store import EventStore
from media_assets.uploads.notifications import user_of
from media_assets.uploads.reconcile import Difference, EmptyBucketError, compare, repair, unheard_uploads
from tests.unit.eventlog.films import Film
from tests.unit.uploads.conftest import FIRST_HOUR, UploadBucket, current_version

KEY = "uploads/ada/cat.jpg"


def difference(bucket: UploadBucket, store: EventStore, in_hours: Callable[[datetime], bool] = lambda hour: True) -> Difference:
    return compare(bucket.s3, store.engine, bucket.name, first_hour=FIRST_HOUR, in_hours=in_hours)


def reconcile(bucket: UploadBucket, store: EventStore) -> int:
    """Repair whatever differs; how many events that took. Afterwards nothing differs."""
    found = difference(bucket, store)
    new = repair(store, found)
    assert len(new) == found.count
    assert difference(bucket, store).count == 0
    return len(new)


def notified(bucket: UploadBucket, version: str, sequencer: str, key: str = KEY) -> NewEvent:
    """The event that a notification of this version becomes."""
    now = datetime.now(UTC)
    payload = UploadReceived(
        bucket=bucket.name, key=key, version_id=version, etag="e", size_bytes=1, sequencer=sequencer, hour=hour_of(now)
    )
    return upload_received(payload, user_id=user_of(key), occurred_at=now)


def order_of_versions(store: EventStore, key: str = KEY) -> list[str]:
    """The versions of a key as the log orders them, oldest first: each is current once the later ones are gone."""
    with store.engine.connect() as connection:
        return list(
            connection.execute(
                text("""SELECT version_id FROM uploads WHERE key = :key
                        ORDER BY rpad(sequencer, 64, '0') COLLATE "C", position"""),
                {"key": key},
            ).scalars()
        )


def test_frames_of_videos_are_no_uploads_though_their_objects_are_told_of_alike(
    bucket: UploadBucket, store: EventStore
) -> None:
    """Nothing is imported for them, and nothing is missed in the part of the bucket that is compared."""
    film = Film()
    bucket.put(KEY)
    assert reconcile(bucket, store) == 1
    in_bucket = {"bucket": bucket.name}
    arrived = [
        event.model_copy(update={"payload": event.payload.model_copy(update=in_bucket)}) for event in film.frames_received()
    ]
    store.append(arrived)
    bucket.put(film.frame(480).key)
    assert difference(bucket, store) == Difference()
    assert unheard_uploads(bucket.s3, store.engine, bucket.name, first_hour=FIRST_HOUR, key=film.frame(480).key) == []


def test_a_bucket_that_is_older_than_the_log_is_imported(bucket: UploadBucket, store: EventStore) -> None:
    cats = [bucket.put(KEY, body) for body in (b"A", b"B", b"A")]
    (dog,) = [bucket.put("uploads/bob/d o+g é.jpg")]
    bucket.put("derived/x/256.webp")
    bucket.put("uploads/ada/")

    assert reconcile(bucket, store) == 4

    assert current_version(store, KEY) == cats[2]
    assert order_of_versions(store) == cats
    assert current_version(store, "uploads/bob/d o+g é.jpg") == dog
    (event,) = [event for event in store.all() if event.payload.version_id == dog]  # type: ignore[attr-defined]
    listed = bucket.s3.head_object(Bucket=bucket.name, Key="uploads/bob/d o+g é.jpg")
    assert isinstance(event.payload, UploadReceived)
    assert (event.user_id, event.payload.etag) == ("bob", listed["ETag"].strip('"'))
    assert event.payload.size_bytes == listed["ContentLength"]


def test_a_notification_that_comes_after_the_import_is_a_repeat(bucket: UploadBucket, store: EventStore) -> None:
    version = bucket.put(KEY)
    reconcile(bucket, store)
    (appended,) = store.append([notified(bucket, version, "0055AED6DCD90281E5")])
    assert not appended.inserted


def test_uploads_after_an_import_are_newer_than_what_was_imported(bucket: UploadBucket, store: EventStore) -> None:
    bucket.put(KEY, b"A")
    bucket.put(KEY, b"B")
    reconcile(bucket, store)
    newest = bucket.put(KEY, b"C")
    store.append([notified(bucket, newest, "0000000000000001")])
    assert current_version(store, KEY) == newest
    assert difference(bucket, store).count == 0


def test_a_version_older_than_all_that_the_log_knows_stays_the_oldest(bucket: UploadBucket, store: EventStore) -> None:
    versions = [bucket.put(KEY, bytes([n])) for n in range(3)]
    store.append([notified(bucket, versions[2], "0055AED6DCD90281E5")])
    assert reconcile(bucket, store) == 2
    assert order_of_versions(store) == versions
    assert current_version(store, KEY) == versions[2]


@pytest.mark.parametrize(
    "sequencers",
    [("0055AED6DCD90281E5", "0055AED6DCD90281E6"), ("005", "0050000000000001"), ("0055AED6DCD90281", "0055AED6DCD902811")],
    ids=["next to each other", "older one shorter", "same beginning"],
)
def test_lost_notifications_between_known_versions_keep_their_place(
    bucket: UploadBucket, store: EventStore, sequencers: tuple[str, str]
) -> None:
    versions = [bucket.put(KEY, bytes([n])) for n in range(6)]
    store.append([notified(bucket, versions[1], sequencers[0]), notified(bucket, versions[4], sequencers[1])])
    assert reconcile(bucket, store) == 4
    assert order_of_versions(store) == versions
    assert current_version(store, KEY) == versions[5]


def test_versions_put_within_one_second_keep_their_order(bucket: UploadBucket, store: EventStore) -> None:
    versions = [bucket.put(KEY, bytes([n])) for n in range(80)]
    reconcile(bucket, store)
    assert current_version(store, KEY) == versions[-1]
    assert order_of_versions(store) == versions


def test_the_listings_order_counts_and_not_its_times(bucket: UploadBucket, store: EventStore) -> None:
    # LastModified of a multipart upload is when it began, and S3 counts full seconds.
    versions = [bucket.put(KEY, bytes([n])) for n in range(3)]
    began = datetime(2026, 2, 1, tzinfo=UTC)

    class Listing:
        """The bucket's listing, with the times of a multipart upload that took longer than its neighbours."""

        def get_paginator(self, operation: str) -> Listing:
            assert operation == "list_object_versions"
            return self

        def paginate(self, **arguments: str) -> object:
            for page in bucket.s3.get_paginator("list_object_versions").paginate(**arguments):  # type: ignore[arg-type]
                for version, seconds in zip(page["Versions"], (0, -60, 0), strict=True):
                    version["LastModified"] = began + timedelta(seconds=seconds)
                yield page

    found = compare(Listing(), store.engine, bucket.name, first_hour=FIRST_HOUR)  # type: ignore[arg-type]
    repair(store, found)
    assert order_of_versions(store) == versions


def test_an_object_under_a_delete_marker_is_not_imported(bucket: UploadBucket, store: EventStore) -> None:
    bucket.put(KEY)
    bucket.delete(KEY)
    bucket.put("uploads/ada/other.jpg")
    assert reconcile(bucket, store) == 1
    assert current_version(store, KEY) is None


def test_a_deleted_object_is_noted_as_removed(bucket: UploadBucket, store: EventStore) -> None:
    for body in (b"A", b"B"):
        bucket.put(KEY, body)
    reconcile(bucket, store)
    bucket.delete(KEY)
    assert reconcile(bucket, store) == 2
    assert current_version(store, KEY) is None


def test_an_object_uploaded_again_after_its_deletion_counts_alone(bucket: UploadBucket, store: EventStore) -> None:
    bucket.put(KEY, b"A")
    reconcile(bucket, store)
    bucket.delete(KEY)
    reconcile(bucket, store)
    again = bucket.put(KEY, b"B")
    assert reconcile(bucket, store) == 1
    assert current_version(store, KEY) == again


def test_a_deletion_and_an_upload_between_two_reconciliations(bucket: UploadBucket, store: EventStore) -> None:
    bucket.put(KEY, b"A")
    reconcile(bucket, store)
    bucket.delete(KEY)
    second = bucket.put(KEY, b"B")
    assert reconcile(bucket, store) == 1
    assert current_version(store, KEY) == second
    bucket.delete(KEY, second)  # what S3 shows now is the delete marker, not the first version
    reconcile(bucket, store)
    assert current_version(store, KEY) is None


def test_a_version_that_vanished_for_good_is_noted_as_removed(bucket: UploadBucket, store: EventStore) -> None:
    first, second = bucket.put(KEY, b"A"), bucket.put(KEY, b"B")
    reconcile(bucket, store)
    bucket.delete(KEY, second)
    assert reconcile(bucket, store) == 1
    assert current_version(store, KEY) == first


def test_a_key_that_vanished_for_good_is_noted_as_removed(bucket: UploadBucket, store: EventStore) -> None:
    versions = [bucket.put(KEY, body) for body in (b"A", b"B")]
    bucket.put("uploads/ada/other.jpg")
    reconcile(bucket, store)
    for version in versions:
        bucket.delete(KEY, version)
    assert reconcile(bucket, store) == 2
    assert current_version(store, KEY) is None


def test_a_removal_belongs_to_the_upload_of_its_version(bucket: UploadBucket, store: EventStore) -> None:
    for body in (b"A", b"B"):
        bucket.put(KEY, body)
    reconcile(bucket, store)
    bucket.delete(KEY)
    reconcile(bucket, store)
    told = list(store.all())
    uploads = {event.payload.version_id: event for event in told if isinstance(event.payload, UploadReceived)}
    removals = {event.payload.version_id: event for event in told if isinstance(event.payload, UploadRemoved)}
    assert uploads.keys() == removals.keys()
    assert len(uploads) == 2
    for version, upload in uploads.items():
        assert (upload.correlation_id, upload.causation_id) == (upload.event_id, None)
        assert (removals[version].correlation_id, removals[version].causation_id) == (upload.event_id, upload.event_id)


def test_an_empty_listing_is_not_the_removal_of_everything(bucket: UploadBucket, store: EventStore) -> None:
    version = bucket.put(KEY)
    reconcile(bucket, store)
    bucket.delete(KEY, version)
    bucket.put("derived/x/256.webp")
    with pytest.raises(EmptyBucketError, match="check MEDIA_BUCKET"):
        difference(bucket, store)
    assert current_version(store, KEY) == version


def test_an_empty_bucket_and_an_empty_log_agree(bucket: UploadBucket, store: EventStore) -> None:
    assert difference(bucket, store).count == 0


def test_another_buckets_uploads_are_none_of_its_business(bucket: UploadBucket, store: EventStore) -> None:
    elsewhere = UploadBucket(bucket.s3, "another-bucket")
    store.append([notified(elsewhere, "v1", "01")])
    assert difference(bucket, store).count == 0


@pytest.fixture
def short_pages(bucket: UploadBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings in pages of 10 versions, repairs in batches of 10 events; the usual ones have 1,000 and 500."""

    def ask_for_ten(params: dict[str, Any], **_: Any) -> None:
        params["MaxKeys"] = 10

    monkeypatch.setattr("media_assets.uploads.reconcile._BATCH", 10)
    bucket.s3.meta.events.register("provide-client-params.s3.ListObjectVersions", ask_for_ten)


@pytest.mark.usefixtures("short_pages")
def test_a_listing_of_several_pages(bucket: UploadBucket, store: EventStore) -> None:
    # The key in the middle begins on the first page and ends on the third.
    for number in range(4):
        bucket.put(f"uploads/ada/a-{number:04}.jpg")
    versions = [bucket.put("uploads/ada/b.jpg", bytes([n])) for n in range(17)]
    for number in range(5):
        bucket.put(f"uploads/ada/c-{number}.jpg")
    bucket.delete("uploads/ada/c-3.jpg")
    assert reconcile(bucket, store) == 4 + 17 + 4
    assert current_version(store, "uploads/ada/b.jpg") == versions[-1]


@pytest.mark.usefixtures("short_pages")
def test_a_delete_marker_counts_whatever_page_its_versions_are_on(bucket: UploadBucket, store: EventStore) -> None:
    for number in range(9):
        bucket.put(f"uploads/ada/a-{number:04}.jpg")
    bucket.put("uploads/ada/b.jpg")
    bucket.delete("uploads/ada/b.jpg")  # the marker is the 10th entry, its version the 11th
    assert reconcile(bucket, store) == 9
    assert current_version(store, "uploads/ada/b.jpg") is None


def test_only_the_chosen_hours_are_repaired(bucket: UploadBucket, store: EventStore) -> None:
    gone = notified(bucket, "gone", "01", "uploads/ada/gone.jpg")
    older = UploadReceived.model_validate(gone.payload.model_dump() | {"hour": FIRST_HOUR, "version_id": "older"})
    store.append([gone, upload_received(older, user_id="ada", occurred_at=FIRST_HOUR)])
    bucket.put(KEY)

    found = difference(bucket, store, in_hours=FIRST_HOUR.__eq__)
    assert (len(found.missing), [e.payload.version_id for e in found.removed]) == (0, ["older"])  # type: ignore[attr-defined]
    this_hour = difference(bucket, store, in_hours=hour_of(datetime.now(UTC)).__eq__)
    assert (len(this_hour.missing), len(this_hour.removed)) == (1, 1)


def test_hours_repaired_one_after_the_other_keep_the_order(bucket: UploadBucket, store: EventStore) -> None:
    versions = [bucket.put(KEY, bytes([n])) for n in range(2)]
    everything = difference(bucket, store).missing
    repair(store, Difference(missing=everything[1:]))  # a later hour first
    assert reconcile(bucket, store) == 1
    assert order_of_versions(store) == versions
    assert current_version(store, KEY) == versions[1]


def test_objects_from_before_the_first_hour_belong_to_it(bucket: UploadBucket, store: EventStore) -> None:
    bucket.put(KEY)
    tomorrow = hour_of(datetime.now(UTC)) + timedelta(days=1)
    (event,) = compare(bucket.s3, store.engine, bucket.name, first_hour=tomorrow, now=tomorrow + timedelta(hours=5)).missing
    assert isinstance(event.payload, UploadReceived)
    assert event.payload.hour == tomorrow


def test_a_clock_that_is_behind_the_buckets_gives_no_hour_in_the_future(bucket: UploadBucket, store: EventStore) -> None:
    bucket.put(KEY)
    behind = datetime.now(UTC) - timedelta(days=1)
    (event,) = compare(bucket.s3, store.engine, bucket.name, first_hour=FIRST_HOUR, now=behind).missing
    assert isinstance(event.payload, UploadReceived)
    assert (event.payload.hour, event.occurred_at) == (hour_of(behind), behind)
