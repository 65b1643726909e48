"""What others hear of an event: identities and keys, of the version that it is about, and nothing that was erased."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import Connection

from media_assets.eventlog.catalogue import CATALOGUE
from media_assets.eventlog.outbox import Outbox
from media_assets.eventlog.published import PUBLISHED, entries_at
from media_assets.eventlog.store import EventStore
from tests.conftest import Database
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.lives import NOON, Life
from tests.unit.relay.conftest import erase

CAT = Life("uploads/ada/cät.jpg")
FILM = Film()


def published(outbox: Outbox) -> list[tuple[str, dict[str, Any]]]:
    return [(entry.detail_type, json.loads(entry.detail)) for entry in outbox.page().entries]


def test_a_photos_life_is_told_with_its_keys_and_ids(store: EventStore, outbox: Outbox) -> None:
    upload = CAT.upload()
    store.append([upload, *CAT.processed()])
    head = {
        "user_id": "ada",
        "item_id": str(CAT.item_id),
        "bucket": "photos",
        "original_key": "uploads/ada/cät.jpg",
        "version_id": "v1",
        "thumbnail_key": "derived/v1/r1/0/800.webp",
        "occurred_at": "2026-07-01T12:20:00+00:00",
    }
    analysis_id = str(CAT.analysis().event_id)
    assert published(outbox) == [
        (name, {**head, "event_id": str(event.event_id), "position": version, "stream_version": version, **more})
        for name, event, version, more in (
            ("ImageProcessed", CAT.thumbnails(), 3, {}),
            ("AnalysisComplete", CAT.analysis(), 4, {"analysis_id": analysis_id}),
            ("EmbeddingStored", CAT.embedding(), 5, {"analysis_id": analysis_id}),
            ("DetectionsCompleted", CAT.detections(), 6, {}),
        )
    ]


def test_what_began_the_story_is_named(store: EventStore, outbox: Outbox) -> None:
    upload = CAT.upload()
    store.append([upload, CAT.thumbnails().model_copy(update={"correlation_id": upload.correlation_id})])
    [(_, detail)] = published(outbox)
    assert detail["correlation_id"] == str(upload.event_id)


def test_a_rejection_is_told_by_its_code_and_not_in_words(store: EventStore, outbox: Outbox) -> None:
    store.append([CAT.upload(), CAT.rejected(code="too_large")])
    [(name, detail)] = published(outbox)
    assert (name, detail["code"]) == ("UploadRejected", "too_large")
    assert "message" not in detail
    assert "thumbnail_key" not in detail


def test_keys_are_those_of_the_version_and_a_thumbnail_of_its_own_result(store: EventStore, outbox: Outbox) -> None:
    store.append([CAT.upload("v1"), CAT.upload("v2"), CAT.thumbnails("v2"), CAT.thumbnails("v1", sizes=[64])])
    store.append([CAT.thumbnails("v2", sizes=[1600], generation=1), CAT.analysis("v2")])
    assert [(detail["version_id"], detail["thumbnail_key"]) for _, detail in published(outbox)] == [
        ("v2", "derived/v2/r1/0/800.webp"),
        ("v1", "derived/v1/r1/0/64.webp"),
        ("v2", "derived/v2/r1/1/1600.webp"),
        ("v2", "derived/v2/r1/1/1600.webp"),
    ]


def test_segments_and_ends_of_jobs_are_told_with_the_video_that_they_are_of(store: EventStore, outbox: Outbox) -> None:
    done, failed = Job(FILM, "done"), Job(FILM, "failed")
    store.append([*FILM.done(), *done.done(), failed.submitted(), failed.rejected(), failed.abandoned(), failed.failed()])
    of_film = {"item_id": str(FILM.item_id), "bucket": "photos", "original_key": FILM.key, "version_id": "v1"}
    told = published(outbox)
    assert [name for name, _ in told] == ["VideoSegmented", "VideoSegmented", "JobCompleted", "JobFailed"]
    for _, detail in told:
        assert of_film.items() <= detail.items()
    assert [detail.get("job_id") for _, detail in told] == [None, str(done.job_id), str(done.job_id), str(failed.job_id)]
    assert [detail.get("code") for _, detail in told] == [None, None, None, "timeout"]


def test_what_is_told_of_a_frame_names_its_video_and_the_moment(store: EventStore, outbox: Outbox) -> None:
    frame = FILM.frame(4000)
    store.append([FILM.upload(), FILM.probed(), *FILM.watched(), frame.thumbnails("f1")])
    [(name, detail)] = published(outbox)
    assert name == "ImageProcessed"
    assert (detail["item_id"], detail["original_key"]) == (str(frame.item_id), frame.key)
    assert (detail["parent_item_id"], detail["timecode_ms"]) == (str(FILM.item_id), 4000)


def test_of_an_erased_item_only_its_erasure_is_told(database: Database, outbox: Outbox) -> None:
    database.store.append(CAT.done())
    erase(database, CAT)
    [(name, detail)] = published(outbox)
    assert name == "ItemErased"
    assert detail.keys() == {"event_id", "position", "stream_version", "occurred_at", "user_id", "item_id"}
    assert outbox.page().upto == 7


def test_what_is_not_published_is_not_told(store: EventStore, relay: Connection) -> None:
    store.append([CAT.upload(), CAT.probed(), CAT.failed("thumbnail"), CAT.abandoned("thumbnail"), CAT.reprocess("thumbnail")])
    assert entries_at(relay, [1, 2, 3, 4, 5, 6]) == []


def test_an_entry_says_when_it_happened(store: EventStore, outbox: Outbox) -> None:
    store.append([CAT.thumbnails()])
    assert outbox.page().entries[0].occurred_at == NOON


@pytest.mark.parametrize("type", PUBLISHED)
def test_only_events_of_the_catalogue_are_published(type: str) -> None:
    assert type in CATALOGUE
