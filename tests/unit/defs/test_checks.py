"""All asset checks together; bucket and log, log and read models."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from dagster import DagsterInstance

from media_assets.definitions import defs
from media_assets.defs.checks.event_log import replay_equals_live
from media_assets.defs.checks.uploads import bucket_and_log_agree
from tests.conftest import Database
from tests.unit.defs.conftest import evaluate, found
from tests.unit.defs.gallery import Gallery
from tests.unit.defs.owner import as_owner

NAMES = {
    "bucket_and_log_agree",
    "chain_is_intact",
    "replay_equals_live",
    "outbox_keeps_up",
    "media_info_is_complete",
    "thumbnails_are_complete",
    "analyses_match_schema",
    "embeddings_are_sound",
    "detections_are_sound",
    "frames_are_sound",
    "frames_belong_to_their_timecode",
    "segments_add_up",
    "segments_play",
    "segments_in_sync",
    "texts_match_their_jobs",
    "media_info_nothing_stuck",
    "thumbnails_nothing_stuck",
    "analyses_nothing_stuck",
    "embeddings_nothing_stuck",
    "detections_nothing_stuck",
    "video_frames_nothing_stuck",
    "video_segments_nothing_stuck",
    "overlay_texts_nothing_stuck",
    "media_info_targets_answer",
    "thumbnails_targets_answer",
    "analyses_targets_answer",
    "embeddings_targets_answer",
    "detections_targets_answer",
    "video_frames_targets_answer",
    "video_segments_targets_answer",
    "overlay_texts_targets_answer",
}


def evaluate_all(instance: DagsterInstance) -> tuple[dict[str, str], dict[str, object]]:
    """What failed, with what was found; and how many items each check looked at."""
    result = defs.resolve_job_def("all_checks").execute_in_process(instance=instance)
    evaluations = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert evaluations.keys() == NAMES
    failed = {name: found(each) for name, each in evaluations.items() if not each.passed}
    return failed, {name: each.metadata["checked"].value for name, each in evaluations.items() if "checked" in each.metadata}


def test_these_are_all_the_checks_there_are() -> None:
    assert {key.name for key in defs.resolve_asset_graph().asset_check_keys} == NAMES


def test_nothing_uploaded_is_nothing_wrong(gallery: Gallery, instance: DagsterInstance) -> None:
    failed, checked = evaluate_all(instance)
    assert failed == {}
    assert set(checked.values()) == {0}


def test_all_checks_pass_for_items_that_are_done_rejected_or_under_way(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.done("a.jpg", direction=0)
    gallery.done("b.jpg", direction=1)
    gallery.rejected(gallery.upload("broken.jpg"))
    gallery.probed(gallery.upload("fresh.jpg"))
    gallery.failed(gallery.upload("waiting.jpg"), "probe", retry_at=datetime.now(UTC) + timedelta(minutes=1))
    failed, checked = evaluate_all(instance)
    assert failed == {}
    assert {name: items for name, items in checked.items() if items} == {
        "media_info_is_complete": 4,
        "thumbnails_are_complete": 2,
        "analyses_match_schema": 2,
        "embeddings_are_sound": 2,
        "detections_are_sound": 2,
        "media_info_nothing_stuck": 5,
        "thumbnails_nothing_stuck": 3,
        "analyses_nothing_stuck": 2,
        "embeddings_nothing_stuck": 2,
        "detections_nothing_stuck": 2,
    }


def test_an_item_that_was_deleted_after_it_was_done_is_nothing_wrong(gallery: Gallery, instance: DagsterInstance) -> None:
    item = gallery.done()
    gallery.removed(item)
    gallery.s3.delete_object(Bucket=gallery.bucket, Key="uploads/ada/cat.jpg")
    gallery.upload("another.jpg")
    assert evaluate_all(instance)[0] == {}


def test_an_upload_whose_notification_is_on_its_way_is_nothing_wrong(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.upload("known.jpg")
    gallery.s3.put_object(Bucket=gallery.bucket, Key="uploads/ada/new.jpg", Body=b"x")
    evaluation = evaluate(bucket_and_log_agree, instance)
    assert evaluation.passed
    assert evaluation.metadata["in_flight"].value == 1


def test_an_upload_that_the_log_missed_is_found(
    gallery: Gallery, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.upload("known.jpg")
    gallery.s3.put_object(Bucket=gallery.bucket, Key="uploads/ada/missed.jpg", Body=b"x")
    monkeypatch.setattr("media_assets.defs.checks.uploads.IN_FLIGHT", timedelta(seconds=-1))
    evaluation = evaluate(bucket_and_log_agree, instance)
    assert not evaluation.passed
    figures = {name: value.value for name, value in evaluation.metadata.items()}
    assert figures == {"missing_in_log": 1, "missing_in_bucket": 0, "in_flight": 0}


def test_an_object_that_left_the_bucket_is_found(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.upload("stays.jpg")
    gallery.upload("goes.jpg")
    gallery.s3.delete_object(Bucket=gallery.bucket, Key="uploads/ada/goes.jpg")
    evaluation = evaluate(bucket_and_log_agree, instance)
    assert not evaluation.passed
    assert evaluation.metadata["missing_in_bucket"].value == 1


@pytest.mark.parametrize(
    ("damage", "repair"),
    [
        ("UPDATE items SET state = 'done' WHERE state = 'processing'", None),
        ("UPDATE analyses SET summary = 'A dog.'", None),
        ("DELETE FROM thumbnails WHERE size = 256", None),
        ("UPDATE embeddings SET embedding = '[0,1,0,0,0,0,0,0]'", "UPDATE embeddings SET embedding = '[1,0,0,0,0,0,0,0]'"),
    ],
    ids=["a state", "a text", "a row", "a vector"],
)
def test_a_read_model_that_somebody_touched_is_found(
    gallery: Gallery, database: Database, instance: DagsterInstance, damage: str, repair: str | None
) -> None:
    gallery.done("a.jpg")
    gallery.probed(gallery.upload("b.jpg"))
    assert as_owner(database, damage) > 0
    evaluation = evaluate(replay_equals_live, instance)
    assert not evaluation.passed
    assert evaluation.metadata["live_digest"] != evaluation.metadata["replayed_digest"]
    table = damage.removeprefix("DELETE FROM ").removeprefix("UPDATE ").split()[0]
    assert str(evaluation.metadata["differing"].value).startswith(f"{table} (")
    if repair:
        as_owner(database, repair)
        assert evaluate(replay_equals_live, instance).passed
