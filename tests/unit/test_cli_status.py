"""What `status` says of steps, and of targets that are down or were when they were last asked."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import boto3
import pytest

from media_assets.cli import connection
from media_assets.dispatch.breakers import trip
from media_assets.eventlog.store import EventStore
from media_assets.local.ports import free_port
from tests.conftest import Database
from tests.unit.command_line import said, talking_to, told
from tests.unit.eventlog.lives import Life


@pytest.fixture
def store(aws: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventStore]:
    """The log that the command line talks to, and an empty queue."""
    queue_url = boto3.client("sqs").create_queue(QueueName=f"uploads-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    monkeypatch.setenv("MEDIA_UPLOAD_QUEUE_URL", queue_url)
    with talking_to(database, monkeypatch):
        yield database.store


def test_detection_is_a_step_like_the_others(store: EventStore) -> None:
    cat = Life()
    store.append([cat.upload(), cat.probed(), cat.thumbnails(), cat.analysis(), cat.embedding()])
    document = told("status")
    assert document["items"] == {"processing": 1}
    assert (document["steps"]["detect"]["pending"], document["steps"]["embed"]["done"]) == (1, 1)
    store.append([cat.detections()])
    assert told("status")["items"] == {"done": 1}
    assert "detect" in said("status")


def test_it_tells_of_everything_else_while_nobody_answers_for_the_queue(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    connection.sqs.cache_clear()
    trip(store.engine, "detect@ecs", "S3 can't be reached", base_seconds=60, max_seconds=60)
    document = told("status")
    assert document["queues"] is None
    assert [each["target"] for each in document["breakers"]] == ["detect@ecs"]
    assert "queues can't be asked" in said("status")


def test_targets_that_failed_are_named_until_they_answer(store: EventStore) -> None:
    assert told("status")["breakers"] == []
    trip(store.engine, "detect@ecs", "no capacity", base_seconds=60, max_seconds=60)
    for _ in range(2):  # its time is over at once, and the next batch found the same
        trip(store.engine, "probe", "no answer", base_seconds=-5, max_seconds=60)
    described = [(each["target"], each["failures"], each["is_open"], each["reason"]) for each in told("status")["breakers"]]
    assert described == [("detect@ecs", 1, True, "no capacity"), ("probe", 2, False, "no answer")]
    text = said("status")
    assert "detect@ecs is paused until 20" in text
    assert " UTC; it failed once: no capacity" in text
    assert "probe is tried again with the next batch, after a pause until 20" in text
    assert " UTC; it failed 2 times in a row: no answer" in text
