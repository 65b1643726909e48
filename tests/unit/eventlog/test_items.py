"""How people and clients ask for an item: by id, key or address, with everything derived from it."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from media_assets.eventlog.items import ItemNotFoundError, counts_by_state, describe, resolve, resolve_told
from media_assets.eventlog.store import EventStore
from tests.unit.eventlog.lives import NOON, Life, spending_stopped

cat, dog = Life("uploads/ada/cat.jpg"), Life("uploads/ada/dog.jpg")


def test_an_item_is_named_by_id_key_or_address(store: EventStore) -> None:
    store.append([cat.upload(), dog.upload()])
    with store.engine.connect() as connection:
        for reference in (str(cat.item_id), cat.key, f"s3://photos/{cat.key}"):
            assert resolve(connection, reference) == cat.item_id
        for unknown in (str(uuid.uuid4()), "uploads/ada/cow.jpg", f"s3://other/{cat.key}", "s3://photos", ""):
            with pytest.raises(ItemNotFoundError, match="give an item id or an S3 key"):
                resolve(connection, unknown)


def test_a_history_is_named_by_its_item_or_any_of_its_events(store: EventStore) -> None:
    store.append([*cat.done(), dog.upload(), spending_stopped()])
    with store.engine.connect() as connection:
        for reference in (cat.item_id, cat.key, cat.upload().event_id, cat.analysis().event_id):
            assert resolve_told(connection, str(reference)) == cat.item_id
        for unknown in (uuid.uuid4(), "uploads/ada/cow.jpg", spending_stopped().event_id):
            with pytest.raises(ItemNotFoundError):
                resolve_told(connection, str(unknown))


def test_a_finished_item_is_shown_with_all_that_is_of_its_current_version(store: EventStore) -> None:
    store.append([*cat.done("v1"), cat.upload("v2"), *cat.processed("v2")])
    with store.engine.connect() as connection:
        shown = describe(connection, cat.item_id)
    assert shown == {
        "item_id": str(cat.item_id),
        "bucket": "photos",
        "key": cat.key,
        "version_id": "v2",
        "etag": "e",
        "size_bytes": 1000,
        "user_id": "ada",
        "hour": "2026-07-01T12:00:00+00:00",
        "kind": "image",
        "format": "jpeg",
        "state": "done",
        "width": 40,
        "height": 30,
        "exif": {},
        "thumbnails": [
            {"size": 256, "width": 256, "height": 128, "key": "derived/v2/r1/0/256.webp", "sha256": "0" * 64},
            {"size": 800, "width": 800, "height": 400, "key": "derived/v2/r1/0/800.webp", "sha256": "0" * 64},
        ],
        "placeholder": "3OcRJYB4d3h/iIeHeEh3eIhw+j2w",
        "detections": {
            "model": "boxes",
            "detections": [{"label": "cat", "confidence": 0.875, "bbox": [0, 1, 20, 10]}],
        },
        "analysis": {
            "category": "animal",
            "summary": "A cat.",
            "tags": ["cat"],
            "objects": [],
            "text": [],
            "dominant_colours": [{"hex": "#aa8866", "name": "brown", "share": 1.0}],
            "provider": "local",
            "model": "sight",
            "analysis_id": str(cat.analysis("v2").event_id),
        },
        "embedding": {"model": "meaning", "dimensions": 3},
        "rejection": None,
        "video": None,
        "parent": None,
        "steps": {
            name: {"state": "done", "failures": 0, "retry_at": None, "error": None}
            for name in ("probe", "thumbnail", "detect", "analyze", "embed")
        },
    }


def test_what_is_not_there_is_null_and_what_went_wrong_is_said(store: EventStore) -> None:
    later = NOON + timedelta(seconds=10)
    store.append([cat.upload(), cat.failed("probe", retry_at=later), dog.upload(), dog.rejected(code="too_many_pixels")])
    with store.engine.connect() as connection:
        waiting, rejected = describe(connection, cat.item_id), describe(connection, dog.item_id)
        with pytest.raises(ItemNotFoundError):
            describe(connection, uuid.uuid4())
    assert waiting["steps"] == {
        "probe": {
            "state": "pending",
            "failures": 1,
            "retry_at": "2026-07-01T12:20:10+00:00",
            "error": {"code": "timeout", "message": "timeout in a1"},
        }
    }
    assert (waiting["analysis"], waiting["embedding"], waiting["placeholder"], waiting["thumbnails"]) == (None, None, None, [])
    assert waiting["detections"] is None
    assert rejected["state"] == "rejected"
    assert rejected["rejection"] == {"code": "too_many_pixels", "message": "it is too_many_pixels"}


def test_a_picture_with_nothing_in_it_has_an_answer_that_says_so(store: EventStore) -> None:
    store.append([cat.upload(), cat.probed(), cat.thumbnails(), cat.detections(labels=[])])
    store.append([cat.reprocess("detect")])  # until there is another answer
    with store.engine.connect() as connection:
        assert describe(connection, cat.item_id)["detections"] == {"model": "boxes", "detections": []}
    store.append([cat.upload("v2")])
    with store.engine.connect() as connection:
        assert describe(connection, cat.item_id)["detections"] is None


def test_items_are_counted_by_state(store: EventStore) -> None:
    with store.engine.connect() as connection:
        assert counts_by_state(connection) == {}
    store.append([cat.upload(), dog.upload(), *Life("uploads/ada/cow.jpg").done(), dog.removed()])
    with store.engine.connect() as connection:
        assert counts_by_state(connection) == {"done": 1, "received": 1, "removed": 1}
