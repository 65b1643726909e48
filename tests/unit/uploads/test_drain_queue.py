"""Draining the upload queue: what is appended, what is deleted, and what is left for the dead-letter queue."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from media_assets.defs.sensors.s3_upload import Drained, drain_queue
from media_assets.eventlog.store import EventStore
from tests.conftest import Database
from tests.unit.defs.owner import as_owner
from tests.unit.uploads.conftest import FIRST_HOUR, Queue, UploadBucket, current_version
from tests.unit.uploads.test_notifications import record

NOW = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)


def drain(queue: Queue, store: EventStore, budget_seconds: float = 10, wait_seconds: int = 0) -> Drained:
    return drain_queue(
        queue.sqs,
        queue.url,
        store,
        first_hour=FIRST_HOUR,
        budget_seconds=budget_seconds,
        wait_seconds=wait_seconds,
        now=lambda: NOW,
    )


def message(key: str, version: str = "v1", sequencer: str = "01", at: datetime = NOW) -> dict[str, Any]:
    return {"Records": [record(key, at=at, versionId=version, sequencer=sequencer)]}


def queue_with_dead_letters(receives: int, visibility_seconds: int = 0) -> tuple[Queue, Queue]:
    queue, letters = Queue(visibility_seconds), Queue()
    policy = json.dumps({"deadLetterTargetArn": letters.arn, "maxReceiveCount": str(receives)})
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": policy})
    return queue, letters


@pytest.fixture
def queue(aws: str) -> Queue:
    return Queue(visibility_seconds=30)


def test_uploads_to_the_bucket_arrive_in_the_log(queue: Queue, bucket: UploadBucket, store: EventStore) -> None:
    bucket.notify(queue)  # S3 sends s3:TestEvent first
    keys = ["uploads/ada/a b+c.jpg", "uploads/ada/été.jpg", "uploads/bob/cat.jpg"]
    versions = [bucket.put(key) for key in keys]
    bucket.put("derived/x/thumbnail/256.webp")
    bucket.put("uploads/ada/folder/")

    drained = drain_queue(queue.sqs, queue.url, store, first_hour=FIRST_HOUR, budget_seconds=10)

    assert [current_version(store, key) for key in keys] == versions
    assert store.head() == 3
    assert (drained.arrived.total(), drained.unreadable) == (3, [])
    assert queue.length() == 0


def test_a_tick_waits_for_an_upload_and_takes_what_follows_it(queue: Queue, store: EventStore) -> None:
    for number, seconds in enumerate((0.5, 0.9)):
        threading.Timer(seconds, queue.send, (message(f"uploads/ada/{number}.jpg"),)).start()
    began = time.monotonic()
    drained = drain(queue, store, budget_seconds=5, wait_seconds=20)
    assert drained.arrived.total() == 2
    assert time.monotonic() - began < 15


def test_uploads_that_come_one_by_one_are_appended_while_they_come(
    queue: Queue, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("media_assets.defs.sensors.s3_upload._TRICKLE_SECONDS", 0.2)

    class Trickle:
        """SQS as it answers when an upload comes whenever it is asked."""

        delete_message_batch = queue.sqs.delete_message_batch
        asked = 0

        def receive_message(self, **options: Any) -> Any:
            self.asked += 1
            queue.send(message(f"uploads/ada/{self.asked}.jpg"))
            return queue.sqs.receive_message(**options)

    trickle: Any = Trickle()
    drained = drain_queue(trickle, queue.url, store, first_hour=FIRST_HOUR, budget_seconds=30, wait_seconds=10, now=lambda: NOW)
    assert drained.arrived.total() == trickle.asked < 200


def test_a_tick_waits_no_longer_than_it_should(queue: Queue, store: EventStore) -> None:
    began = time.monotonic()
    assert drain(queue, store, wait_seconds=1).messages == 0
    assert time.monotonic() - began < 5


def test_a_message_that_comes_again_changes_nothing(queue: Queue, store: EventStore) -> None:
    queue.send(message("uploads/ada/cat.jpg"))
    queue.send(message("uploads/ada/cat.jpg"))
    first = drain(queue, store)
    queue.send(message("uploads/ada/cat.jpg"))
    second = drain(queue, store)
    assert (first.arrived.total(), second.arrived.total()) == (1, 0)
    assert store.head() == 1
    assert queue.length() == 0


def test_versions_that_come_out_of_order_end_at_the_newest(queue: Queue, store: EventStore) -> None:
    for number in (3, 1, 2):
        queue.send(message("uploads/ada/cat.jpg", f"v{number}", f"0{number}"))
        drain(queue, store)
    assert current_version(store, "uploads/ada/cat.jpg") == "v3"


def test_arrivals_are_counted_by_hour(queue: Queue, store: EventStore) -> None:
    for hours_ago in (0, 1, 1):
        queue.send(message(f"uploads/ada/{hours_ago}-{queue.length()}.jpg", at=NOW - timedelta(hours=hours_ago)))
    hour = NOW.replace(minute=0)
    assert drain(queue, store).arrived == {hour: 1, hour - timedelta(hours=1): 2}


def test_what_nobody_can_read_stays_for_the_dead_letter_queue(queue: Queue, store: EventStore) -> None:
    queue.send("not JSON")
    queue.send({"Records": [{"eventName": "ObjectCreated:Put"}]})
    queue.send(message("uploads/ada/a\0b.jpg"))
    queue.send(message("uploads/ada/cat.jpg"))

    drained = drain(queue, store)

    assert len(drained.unreadable) == 3
    assert current_version(store, "uploads/ada/cat.jpg") == "v1"
    assert queue.length() == 3


def test_what_nobody_can_read_ends_in_the_dead_letter_queue(aws: str, store: EventStore) -> None:
    queue, letters = queue_with_dead_letters(receives=3)
    queue.send("not JSON")
    for _ in range(5):
        drain(queue, store, budget_seconds=1)
    assert (queue.length(), letters.length()) == (0, 1)


def test_a_failed_append_leaves_every_message(aws: str, database: Database) -> None:
    queue = Queue(visibility_seconds=0)
    for name in ("a", "b"):
        queue.send(message(f"uploads/ada/{name}.jpg"))
    as_owner(database, "ALTER TABLE items ADD CONSTRAINT disk_full CHECK (key <> 'uploads/ada/b.jpg')")
    with pytest.raises(DBAPIError):
        drain(queue, database.store, budget_seconds=0.2)
    assert database.store.head() == 0
    assert queue.length() == 2

    as_owner(database, "ALTER TABLE items DROP CONSTRAINT disk_full")
    drain(queue, database.store)
    assert database.store.head() == 2
    assert queue.length() == 0


def test_while_the_database_is_down_nothing_moves_to_the_dead_letters(aws: str, store: EventStore) -> None:
    queue, letters = queue_with_dead_letters(receives=1, visibility_seconds=30)
    queue.send(message("uploads/ada/cat.jpg"))
    down = EventStore.connect("postgresql+psycopg://media_assets_app@/media?host=/nowhere")
    for _ in range(3):
        with pytest.raises(OperationalError):
            drain(queue, down, budget_seconds=0.2)
    drain(queue, store, budget_seconds=0.2)
    assert (store.head(), queue.length(), letters.length()) == (1, 0, 0)


def test_dying_between_append_and_delete_loses_and_doubles_nothing(aws: str, store: EventStore) -> None:
    queue = Queue(visibility_seconds=0)
    for number in range(3):
        queue.send(message(f"uploads/ada/{number}.jpg"))

    class Dying:
        """SQS as seen by a process that is killed when it is about to delete."""

        receive_message = queue.sqs.receive_message

        def delete_message_batch(self, **_: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drain_queue(Dying(), queue.url, store, first_hour=FIRST_HOUR, budget_seconds=0.2)  # type: ignore[arg-type]
    assert (store.head(), queue.length()) == (3, 3)
    drain(queue, store)
    assert (store.head(), queue.length()) == (3, 0)


def test_more_messages_than_one_append_takes(queue: Queue, store: EventStore) -> None:
    for start in range(0, 250, 10):
        queue.sqs.send_message_batch(
            QueueUrl=queue.url,
            Entries=[
                {"Id": str(n), "MessageBody": json.dumps(message(f"uploads/ada/{n}.jpg"))} for n in range(start, start + 10)
            ],
        )
    drained = drain(queue, store, budget_seconds=30)
    assert (drained.messages, drained.arrived.total(), queue.length()) == (250, 250, 0)


def test_a_tick_that_has_no_time_left_leaves_the_queue_alone(queue: Queue, store: EventStore) -> None:
    queue.send(message("uploads/ada/cat.jpg"))
    assert drain(queue, store, budget_seconds=0).messages == 0
    assert queue.length() == 1
