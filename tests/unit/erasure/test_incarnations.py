"""A key that was erased begins another item with its next upload; what comes late of the erased one begins nothing."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, event

from media_assets.cli.uploading import follow, identify, put
from media_assets.defs.sensors.s3_upload import Drained, drain_queue
from media_assets.erasure.eraser import Target
from media_assets.eventlog.errors import StreamClosedError
from media_assets.eventlog.events import NewEvent, item_id_of
from media_assets.eventlog.incarnations import last_erased, living_items, receive_uploads
from media_assets.eventlog.replay import verify_replay
from media_assets.eventlog.store import Appended, EventStore
from media_assets.uploads.reconcile import Difference, compare, repair
from tests.conftest import Database
from tests.unit.erasure.conftest import KEY, Album
from tests.unit.uploads.conftest import FIRST_HOUR, Queue
from tests.unit.uploads.test_notifications import record


def item_of(album: Album, incarnation: int) -> uuid.UUID:
    return item_id_of(album.bucket, KEY, incarnation)


def difference(album: Album) -> Difference:
    return compare(album.s3, album.store.engine, album.bucket, first_hour=FIRST_HOUR)


def notify(album: Album, version: str, key: str = KEY) -> Drained:
    """The version's notification arrives."""
    queue = Queue()
    entry = record(key, at=datetime.now(UTC), versionId=version)
    entry["s3"]["bucket"]["name"] = album.bucket
    queue.send(json.dumps({"Records": [entry]}))
    return drain_queue(queue.sqs, queue.url, album.store, first_hour=FIRST_HOUR, budget_seconds=10)


def erase_unheard(album: Album, item_id: uuid.UUID) -> None:
    """Erase an item without looking what else is in the bucket: that came after the look."""
    album.eraser.erase(Target(item_id, None), reason="a test")


# Incarnations


def test_erased_uploaded_again_and_erased_again(album: Album, database: Database) -> None:
    items = [album.upload()]
    for _ in range(2):
        album.erase()
        items.append(album.upload())
    assert items == [item_of(album, number) for number in range(3)]
    assert album.rows_of(items[2])["items"] == 1
    assert [album.rows_of(item) for item in items[:2]] == [{}, {}]
    for item in items[:2]:
        album.second_sweep(item)
    assert album.objects() == [KEY]
    assert album.eraser.find(KEY).item_id == items[2]
    album.erase()
    assert album.objects() == []
    assert verify_replay(database.owner_url).identical


def test_a_key_that_was_erased_very_often(album: Album) -> None:
    other = "uploads/ada/dog.jpg"
    album.upload(other)
    for _ in range(12):
        album.upload()
        album.eraser.erase(album.eraser.find(KEY), reason="a test")
    queries: list[str] = []
    with album.store.engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", lambda *arguments: queries.append(arguments[2]))
        addresses = [(album.bucket, KEY), (album.bucket, other), (album.bucket, "uploads/ada/new.jpg")]
        assert living_items(connection, addresses) == {
            addresses[0]: item_of(album, 12),
            addresses[1]: item_id_of(*addresses[1]),
            addresses[2]: item_id_of(*addresses[2]),
        }
        assert len(queries) == 3
        assert last_erased(connection, addresses[0]) == item_of(album, 11)
        assert last_erased(connection, addresses[1]) is None


def test_sweeps_leave_what_was_uploaded_after_the_erasure(album: Album) -> None:
    first = album.upload()
    album.eraser.erase(album.eraser.find(KEY), reason="a test")
    second = album.upload()  # before even the first sweep
    album.put()  # and a version that nobody has told of yet
    album.s3.delete_object(Bucket=album.bucket, Key=KEY)  # in front of both

    assert album.eraser.sweep(first).removed["object_versions"] == 1
    album.second_sweep(first)

    listed = album.s3.list_object_versions(Bucket=album.bucket)
    assert (len(listed["Versions"]), [marker["IsLatest"] for marker in listed["DeleteMarkers"]]) == (2, [True])
    assert album.rows_of(second)["items"] == 1


def test_markers_that_hid_only_what_was_erased_go(album: Album) -> None:
    first = album.upload()
    album.s3.delete_object(Bucket=album.bucket, Key=KEY)
    album.eraser.erase(album.eraser.find(KEY), reason="a test")
    album.upload()
    assert album.eraser.sweep(first).removed["object_versions"] == 2
    assert album.objects() == [KEY]


# Notifications


def test_a_late_notification_of_an_erased_version_changes_nothing(album: Album) -> None:
    told, untold = album.put(), album.put()
    notify(album, told)
    album.erase()
    head = album.store.head()
    for version in (told, untold, told):
        assert notify(album, version).arrived.total() == 0
    assert album.store.head() == head
    assert album.rows_of(item_of(album, 1)) == {}


def test_an_upload_that_nobody_was_told_of_can_be_erased(album: Album) -> None:
    version = album.put()
    erasure = album.erase()
    assert (erasure.item_id, erasure.removed["object_versions"]) == (item_of(album, 0), 1)
    assert album.nothing_is_left_of(erasure.item_id)
    assert notify(album, version).arrived.total() == 0


def test_the_next_notification_begins_a_new_item(album: Album) -> None:
    album.upload()
    album.erase()
    assert notify(album, album.put()).arrived.total() == 1
    assert album.rows_of(item_of(album, 1))["items"] == 1


def test_an_erasure_between_looking_and_appending(album: Album) -> None:
    album.upload()
    version = album.put()

    class Overtaken(EventStore):
        """A store whose first append comes just after somebody else's erasure."""

        def append(self, events: Sequence[NewEvent], connection: Connection | None = None) -> list[Appended]:
            erase_unheard(album, item_of(album, 0))  # the second time it was erased before
            return super().append(events, connection)

    [received] = receive_uploads(Overtaken(album.store.engine), [album.told(version)])
    assert received.item_id == item_of(album, 1)
    assert album.rows_of(item_of(album, 1))["items"] == 1


def test_uploads_and_erasures_of_one_key_at_the_same_time(album: Album, database: Database) -> None:
    """Each version ends in exactly one item, and every item but the last is erased."""
    versions = [album.put(body=bytes([number])) for number in range(24)]
    uploading = threading.Event()

    def upload(mine: Sequence[str]) -> None:
        for version in mine:
            receive_uploads(album.store, [album.told(version)])
        uploading.set()

    def erase() -> None:
        while not uploading.is_set():
            with album.store.engine.connect() as connection:
                living = living_items(connection, [(album.bucket, KEY)])[album.bucket, KEY]
            if album.rows_of(living):
                erase_unheard(album, living)

    threads = [threading.Thread(target=upload, args=[versions[n::2]]) for n in range(2)] + [threading.Thread(target=erase)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    streams: dict[str, list[str]] = {}
    for told in album.store.all():
        streams.setdefault(told.stream_id, []).append(told.type)
    assert len(streams) > 1
    assert sum(types.count("UploadReceived") for types in streams.values()) == len(versions)
    assert all(types[-1] == "ItemErased" for types in list(streams.values())[:-1])
    assert list(streams) == [f"item-{item_of(album, number)}" for number in range(len(streams))]
    assert verify_replay(database.owner_url).identical


# Bucket and log


def test_bucket_and_log_agree_at_every_stage_of_an_erasure(album: Album) -> None:
    cat = album.upload()
    album.upload("uploads/ada/dog.jpg")
    assert difference(album).count == 0
    album.eraser.erase(album.eraser.find(KEY), reason="a test")
    assert KEY in album.objects()
    assert difference(album).count == 0  # its objects are still there, and nothing that the log is missing
    album.eraser.sweep(cat)
    assert difference(album).count == 0
    album.second_sweep(cat)
    assert difference(album).count == 0


def test_the_bucket_may_be_empty_after_an_erasure(album: Album) -> None:
    album.upload()
    album.erase()
    assert difference(album).count == 0


def test_reconciling_sees_new_items_and_resurrects_none(album: Album) -> None:
    album.upload()
    album.eraser.erase(album.eraser.find(KEY), reason="a test")  # its version is still in the bucket
    again = album.put()

    [arrival] = repair(album.store, difference(album))

    assert (arrival.item_id, arrival.correlation_id) == (item_of(album, 1), album.told(again).event_id)
    assert album.rows_of(item_of(album, 0)) == {}
    album.s3.delete_object(Bucket=album.bucket, Key=KEY, VersionId=again)
    [removal] = repair(album.store, difference(album))
    assert (removal.payload.type, removal.item_id) == ("UploadRemoved", item_of(album, 1))
    assert difference(album).count == 0


def test_an_erasure_between_comparing_and_repairing(album: Album) -> None:
    album.upload()
    album.upload("uploads/ada/dog.jpg")
    album.upload("uploads/ada/cow.jpg")
    for key in (KEY, "uploads/ada/dog.jpg"):
        album.s3.delete_object(Bucket=album.bucket, Key=key)
    found = difference(album)
    assert len(found.removed) == 2
    album.erase()
    assert [event.item_id for event in repair(album.store, found)] == [item_id_of(album.bucket, "uploads/ada/dog.jpg")]
    with pytest.raises(StreamClosedError):
        album.store.append(found.removed)
    assert difference(album).count == 0


# Following an upload


def test_an_upload_is_followed_to_its_new_item(album: Album, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("files") / "cat.jpg"
    file.write_bytes(b"x")
    for incarnation in range(2):
        upload = put(album.s3, album.bucket, file, KEY)
        identify(album.store.engine, album.bucket, [upload])
        assert upload.item_id == item_of(album, incarnation)
        notify(album, upload.version_id)
        erasing = threading.Timer(0.2, album.erase)
        erasing.start()
        follow(album.store.engine, [upload], timeout_seconds=20)
        erasing.join()
        assert (upload.state, upload.code) == ("failed", "erased")
