"""What a message on the upload queue says: uploads, nothing of interest, or nonsense."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.eventlog.catalogue import UploadReceived
from media_assets.eventlog.events import NewEvent, item_id_of
from media_assets.uploads.notifications import NotificationError, partition_hour, uploads_in, user_of

FIRST_HOUR = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 14, 30, tzinfo=UTC)


def record(
    key: str = "uploads/ada/cat.jpg", event: str = "ObjectCreated:Put", at: datetime = NOW, **entry: Any
) -> dict[str, Any]:
    """An entry of `Records` as S3 writes it; `key` is the object's own, `entry` adds to what is said of the object."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventName": event,
        "s3": {
            "bucket": {"name": "photos"},
            "object": {
                "key": quote_plus(key, safe="/"),
                "size": 1234,
                "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                "versionId": "v1",
                "sequencer": "0055AED6DCD90281E5",
                **entry,
            },
        },
    }


def record_of(encoded_key: str) -> dict[str, Any]:
    """The same with the key as it is written in the message."""
    entry = record()
    entry["s3"]["object"]["key"] = encoded_key
    return entry


def read(*records: dict[str, Any], now: datetime = NOW) -> list[NewEvent]:
    return uploads_in(json.dumps({"Records": list(records)}), first_hour=FIRST_HOUR, now=now)


def upload(*records: dict[str, Any], now: datetime = NOW) -> UploadReceived:
    """The payload of the only upload in a message."""
    (event,) = read(*records, now=now)
    assert isinstance(event.payload, UploadReceived)
    return event.payload


def test_an_upload_is_read_field_by_field() -> None:
    (event,) = read(record())
    assert event.payload == UploadReceived(
        bucket="photos",
        key="uploads/ada/cat.jpg",
        version_id="v1",
        etag="d41d8cd98f00b204e9800998ecf8427e",
        size_bytes=1234,
        sequencer="0055AED6DCD90281E5",
        hour=datetime(2026, 3, 1, 14, tzinfo=UTC),
    )
    assert event.item_id == item_id_of("photos", "uploads/ada/cat.jpg")
    assert (event.user_id, event.occurred_at) == ("ada", NOW)


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("uploads/ada/a+b.jpg", "uploads/ada/a b.jpg"),
        ("uploads/ada/a%2Bb.jpg", "uploads/ada/a+b.jpg"),
        ("uploads/ada/a%20b.jpg", "uploads/ada/a b.jpg"),
        ("uploads/ada/100%25.jpg", "uploads/ada/100%.jpg"),
        ("uploads/ada/%C3%A9t%C3%A9+%E6%97%A5%E6%9C%AC.jpg", "uploads/ada/été 日本.jpg"),
        ("uploads/ada/%F0%9F%90%88.jpg", "uploads/ada/🐈.jpg"),
        ("uploads/ada/%252B.jpg", "uploads/ada/%2B.jpg"),
        ("uploads/ada/it%27s%3F%26%3D.jpg", "uploads/ada/it's?&=.jpg"),
    ],
)
def test_keys_arrive_url_encoded_once(encoded: str, key: str) -> None:
    assert upload(record_of(encoded)).key == key


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(lambda name: not name.endswith("/")))
def test_any_key_comes_back_as_it_was(name: str) -> None:
    assert upload(record(f"uploads/ada/{name}")).key == f"uploads/ada/{name}"


@pytest.mark.parametrize("event", ["ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:Copy",
                                   "ObjectCreated:CompleteMultipartUpload"])  # fmt: skip
def test_every_way_to_create_an_object_is_an_upload(event: str) -> None:
    assert upload(record(event=event)).key == "uploads/ada/cat.jpg"


@pytest.mark.parametrize(
    "nothing",
    [
        record(event="ObjectRemoved:Delete"),
        record(event="ObjectRemoved:DeleteMarkerCreated"),
        record(event="ObjectTagging:Put"),
        record("derived/0b5f/thumbnail/cafe/v1/0/256.webp"),
        record("previews/2f1c.jpg"),
        record("processed/job/segment_000.mp4"),
        record("uploads/ada/"),
        record("uploads/ada/holiday/"),
        record("uploads/"),
        record("Uploads/ada/cat.jpg"),
        record("uploads.jpg"),
    ],
    ids=lambda entry: f"{entry['eventName']} {entry['s3']['object']['key']}",
)
def test_what_is_no_upload_is_passed_over(nothing: dict[str, Any]) -> None:
    assert read(nothing) == []
    assert upload(nothing, record()).key == "uploads/ada/cat.jpg"


def test_the_test_event_that_s3_sends_first_is_nothing() -> None:
    test_event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-03-01T14:00:00.000Z", "Bucket": "photos"}
    assert uploads_in(json.dumps(test_event), first_hour=FIRST_HOUR, now=NOW) == []


def test_a_message_may_hold_several_records() -> None:
    events = read(record("uploads/ada/a.jpg"), record("uploads/ada/b.jpg"))
    assert [event.payload.key for event in events] == ["uploads/ada/a.jpg", "uploads/ada/b.jpg"]  # type: ignore[attr-defined]


def without(*path: str) -> dict[str, Any]:
    broken = record()
    node = broken
    for name in path[:-1]:
        node = node[name]
    del node[path[-1]]
    return broken


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not JSON",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"Records": null}',
        '{"Records": ["text"]}',
        json.dumps({"Records": [without("s3")]}),
        json.dumps({"Records": [without("s3", "bucket")]}),
        json.dumps({"Records": [without("s3", "object", "key")]}),
        json.dumps({"Records": [without("s3", "object", "sequencer")]}),
        json.dumps({"Records": [without("s3", "object", "eTag")]}),
        json.dumps({"Records": [without("eventName")]}),
        json.dumps({"Records": [without("eventTime")]}),
        json.dumps({"Records": [record() | {"eventTime": "yesterday"}]}),
        json.dumps({"Records": [record(size=-1)]}),
        json.dumps({"Records": [record(size="large")]}),
        json.dumps({"Records": [record("uploads/ada/a\0b.jpg")]}),
        json.dumps({"Records": [record(), without("s3")]}),
    ],
    ids=range(20),
)
def test_whatever_else_comes_is_refused_whole(body: str) -> None:
    with pytest.raises(NotificationError, match="not an S3 notification"):
        uploads_in(body, first_hour=FIRST_HOUR, now=NOW)


@pytest.mark.parametrize(
    "entry",
    [record_of("uploads/secret/\ud800.jpg"), record_of("uploads/secret/%00"), record("uploads/secret/cat.jpg", size=-1)],
)
def test_a_refusal_quotes_nothing_of_the_message(entry: dict[str, Any]) -> None:
    # Its text goes to Dagster's log, which holds no keys.
    with pytest.raises(NotificationError) as refused:
        read(entry)
    assert "secret" not in str(refused.value)


def test_an_upload_from_the_future_arrived_now() -> None:
    assert upload(record(at=NOW + timedelta(hours=3))).hour == datetime(2026, 3, 1, 14, tzinfo=UTC)


def test_the_event_keeps_the_time_that_s3_gave_it() -> None:
    (event,) = read(record(at=NOW - timedelta(hours=5)))
    assert event.occurred_at == NOW - timedelta(hours=5)


def test_an_older_upload_than_the_first_hour_belongs_to_the_first_hour() -> None:
    assert upload(record(at=datetime(2019, 7, 14, 18, 30, tzinfo=UTC))).hour == FIRST_HOUR


def test_the_hour_is_utc_wherever_the_event_was_written() -> None:
    summer = record() | {"eventTime": "2026-03-01T02:15:00.000+02:00"}
    assert upload(summer).hour == datetime(2026, 3, 1, 0, tzinfo=UTC)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC)), st.integers(0, 10**6))
def test_every_hour_is_a_partition_that_exists(arrived_at: datetime, minutes: int) -> None:
    now = FIRST_HOUR + timedelta(minutes=minutes)
    hour = partition_hour(arrived_at, first_hour=FIRST_HOUR, now=now)
    assert FIRST_HOUR <= hour <= now
    assert (hour.minute, hour.second, hour.microsecond) == (0, 0, 0)


@pytest.mark.parametrize(
    ("key", "user"),
    [
        ("uploads/ada/cat.jpg", "ada"),
        ("uploads/ada/2026/cat.jpg", "ada"),
        ("uploads/a-1/cat.jpg", "a-1"),
        (f"uploads/{'a' * 64}/cat.jpg", "a" * 64),
        (f"uploads/{'a' * 65}/cat.jpg", "anonymous"),
        ("uploads/cat.jpg", "anonymous"),
        ("uploads//cat.jpg", "anonymous"),
        ("uploads/Ada/cat.jpg", "anonymous"),
        ("uploads/ada b/cat.jpg", "anonymous"),
        ("uploads/été/cat.jpg", "anonymous"),
        ("uploads/../cat.jpg", "anonymous"),
        ("derived/ada/cat.jpg", "anonymous"),
    ],
)
def test_the_user_is_the_folder_under_uploads(key: str, user: str) -> None:
    assert user_of(key) == user
