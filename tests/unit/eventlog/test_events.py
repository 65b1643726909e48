"""What makes two tellings the same fact, and which payloads are facts at all."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from media_assets.eventlog.catalogue import (
    CATALOGUE,
    AnalysisCompleted,
    EmbeddingStored,
    FramesExtracted,
    MediaProbed,
    VideoSegmented,
)
from media_assets.eventlog.events import NewEvent, deterministic_id, frame_received, hour_of, item_id_of, upload_event_id
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.lives import NOON, Life

cat = Life()
film = Film()


def same_fact(first: NewEvent, second: NewEvent) -> bool:
    return first.event_id == second.event_id


def test_ids_stay_what_they_are() -> None:
    """They are in every log that was ever written: a change here would double facts."""
    assert str(item_id_of("photos", "uploads/ada/cat.jpg")) == "33c6516e-0c63-56ee-997d-d9529413f1f3"
    assert str(cat.upload().event_id) == "6fdbf66f-c174-5d32-83fc-edc12edb3d0e"
    assert str(cat.probed().event_id) == "8153d4d2-6f4c-5740-a6ed-a27fa38bd722"
    assert str(cat.failed("probe").event_id) == "b2bac283-4be6-577b-b0d6-03bdfd90d4ee"


def test_an_upload_is_its_version_and_neither_its_time_nor_its_etag() -> None:
    late = cat.upload(at=NOON.replace(hour=20))
    assert same_fact(late, cat.upload())
    assert same_fact(cat.upload(sequencer="99"), cat.upload())
    assert not same_fact(cat.upload("v2"), cat.upload("v1"))
    assert not same_fact(Life("uploads/ada/dog.jpg").upload(), cat.upload())


def test_an_outcome_is_item_version_step_recipe_and_generation() -> None:
    assert same_fact(cat.probed(width=7), cat.probed())
    assert same_fact(cat.rejected(), cat.probed())
    assert not same_fact(cat.probed("v2"), cat.probed())
    assert not same_fact(cat.probed(generation=1), cat.probed())
    assert not same_fact(cat.probed(recipe="r2"), cat.probed())
    assert not same_fact(cat.thumbnails(), cat.probed())


def test_a_failure_is_its_attempt() -> None:
    assert same_fact(cat.failed("probe", attempt="a1", code="crashed"), cat.failed("probe", attempt="a1"))
    assert not same_fact(cat.failed("probe", attempt="a2"), cat.failed("probe", attempt="a1"))
    assert not same_fact(cat.abandoned("probe"), cat.failed("probe"))


def test_a_request_is_its_generation_whoever_asks() -> None:
    assert same_fact(cat.reprocess("embed", 1), cat.reprocess("embed", 1))
    assert not same_fact(cat.reprocess("embed", 2), cat.reprocess("embed", 1))
    assert not same_fact(cat.reprocess("probe", 1), cat.reprocess("embed", 1))


def test_a_job_is_submitted_ended_and_its_steps_done_once_and_begins_and_advances_per_attempt() -> None:
    job, other = Job(film, "one"), Job(film, "other")
    for make in (Job.submitted, Job.completed, Job.failed, Job.cancelled, Job.segmented, Job.varied, Job.erased):
        assert same_fact(make(job), make(job))
        assert not same_fact(make(job), make(other))
    assert same_fact(job.segmented(number=1), job.segmented(number=2))
    assert not same_fact(job.segmented(), film.segmented())
    assert not same_fact(job.segmented(recipe="r2"), job.segmented())
    assert not same_fact(job.started("a1"), job.started("a2"))
    assert not same_fact(job.attempt_failed(attempt="a2"), job.attempt_failed(attempt="a1"))
    assert same_fact(job.progressed(40, "a1"), job.progressed(40, "a1"))
    assert not same_fact(job.progressed(50, "a1"), job.progressed(40, "a1"))
    assert not same_fact(job.progressed(40, "a2"), job.progressed(40, "a1"))


def test_whatever_is_of_a_job_is_in_its_stream_and_of_its_story() -> None:
    job = Job(film, has_texts_written=True)
    told = [*job.done(), job.failed(), job.cancelled()]
    assert {event.stream_id for event in [*told, job.attempt_failed(), job.abandoned(), job.rejected(), job.erased()]} == {
        f"job-{job.job_id}"
    }
    assert {(event.item_id, event.job_id) for event in told} == {(film.item_id, job.job_id)}
    of_the_job = [event for event in told if event.step is None]
    assert {event.correlation_id for event in of_the_job} == {job.submitted().event_id}


def test_a_frame_is_the_item_of_its_key_and_told_of_as_an_upload_is() -> None:
    """So a sweep or a notification comes from the object to the event."""
    extracted, received = film.extracted(), film.frames_received()[0]
    key = f"derived/{film.item_id}/frames/r1/v1/0/00000480.jpg"
    assert received.item_id == item_id_of("photos", key) == film.frame(480).item_id
    assert received.event_id == upload_event_id("photos", key, "f1")
    assert (received.causation_id, received.correlation_id) == (extracted.event_id, film.upload().event_id)
    with pytest.raises(TypeError, match="UploadReceived tells of no frames"):
        frame_received(film.upload(), extracted.payload.frames[0], bucket="photos", version_id="f1", etag="e", hour=NOON)  # type: ignore[attr-defined]


@given(st.lists(st.text()), st.lists(st.text()))
def test_no_two_lists_of_parts_share_an_id(first: list[str], second: list[str]) -> None:
    assert (deterministic_id(*first) == deterministic_id(*second)) == (first == second)


def test_the_catalogue_names_every_payload_by_its_type() -> None:
    assert all(payload.type == name and payload.schema_version >= 1 for name, payload in CATALOGUE.items())
    assert set(CATALOGUE) == {
        "UploadReceived",
        "MediaProbed",
        "UploadRejected",
        "UploadRemoved",
        "ThumbnailCreated",
        "DetectionsCompleted",
        "AnalysisCompleted",
        "EmbeddingStored",
        "StepFailed",
        "ItemErased",
        "SpendingStopped",
        "SpendingResumed",
        "StepAbandoned",
        "ReprocessRequested",
        "FrameReceived",
        "FramesExtracted",
        "VideoSegmented",
        "TextVaried",
        "JobSubmitted",
        "JobStarted",
        "JobProgressed",
        "JobCompleted",
        "JobFailed",
        "JobCancelled",
    }


def test_events_and_payloads_are_frozen() -> None:
    event = cat.upload()
    with pytest.raises(ValidationError, match="frozen"):
        event.user_id = "eve"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        event.payload.key = "other"  # type: ignore[attr-defined]


@pytest.mark.parametrize("user", ["", "Ada", "a b", "ada\n", "a" * 65, "ä"])
def test_a_user_is_a_short_lower_case_name(user: str) -> None:
    with pytest.raises(ValidationError, match="user_id"):
        NewEvent.model_validate(cat.upload().model_dump() | {"user_id": user, "payload": cat.upload().payload})


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        NewEvent.model_validate(
            cat.upload().model_dump() | {"occurred_at": datetime(2026, 7, 1), "payload": cat.upload().payload}
        )


@pytest.mark.parametrize("missing", ["category", "summary", "tags", "objects", "text", "dominant_colours"])
def test_an_analysis_that_the_read_model_could_not_show_is_no_event(missing: str) -> None:
    """It would fail inside the append, and take every other outcome of its batch along."""
    analysis = cat.analysis().payload
    assert isinstance(analysis, AnalysisCompleted)
    for broken in (
        {name: value for name, value in analysis.analysis.items() if name != missing},
        {**analysis.analysis, missing: None},
        {**analysis.analysis, missing: 7},
    ):
        with pytest.raises(ValidationError, match=missing):
            AnalysisCompleted.model_validate(analysis.model_dump() | {"analysis": broken})


@pytest.mark.parametrize(
    ("vector", "reason"), [((1.0, 0.0), "has not 3 dimensions"), ((1.0, float("nan"), 0.0), "finite"), ((), "dimensions")]
)
def test_a_vector_is_finite_and_of_its_dimensions(vector: tuple[float, ...], reason: str) -> None:
    payload = cat.embedding().payload
    with pytest.raises(ValidationError, match=reason):
        EmbeddingStored.model_validate(payload.model_dump() | {"vector": vector})


@pytest.mark.parametrize(
    ("times", "posters", "reason"),
    [
        ((480, 480), (True, False), "order of their times"),
        ((4000, 480), (True, False), "order of their times"),
        ((480, 4000), (False, False), "one poster, and 0"),
        ((480, 4000), (True, True), "one poster, and 2"),
        ((), (), "at least 1"),
    ],
)
def test_frames_are_in_order_and_one_is_the_poster(times: tuple[int, ...], posters: tuple[bool, ...], reason: str) -> None:
    told = film.extracted(times=(480,)).payload.model_dump()
    [frame] = told["frames"]
    frames = [{**frame, "timecode_ms": time, "is_poster": poster} for time, poster in zip(times, posters, strict=True)]
    with pytest.raises(ValidationError, match=reason):
        FramesExtracted.model_validate({**told, "frames": frames})


@pytest.mark.parametrize(
    ("cuts", "reason"),
    [
        ([(0, 5000), (5000, 9999)], "don't add up to 10000 ms"),
        ([(0, 5000), (5001, 10_000)], "don't add up"),
        ([(1, 5000), (5000, 10_000)], "don't add up"),
        ([(0, 5000), (5000, 5000), (5000, 10_000)], "don't add up"),
        ([(0, 11_000), (11_000, 10_000)], "don't add up"),
        ([], "at least 1"),
    ],
)
def test_segments_are_the_whole_video_and_nothing_twice(cuts: list[tuple[int, int]], reason: str) -> None:
    told = film.segmented(number=1).payload.model_dump()
    [segment] = told["segments"]
    parts = [{**segment, "index": n, "start_ms": start, "end_ms": end} for n, (start, end) in enumerate(cuts)]
    with pytest.raises(ValidationError, match=reason):
        VideoSegmented.model_validate({**told, "segments": parts})


def test_segments_are_numbered_from_zero() -> None:
    told = film.segmented(number=1).payload.model_dump()
    with pytest.raises(ValidationError, match="numbered from 0"):
        VideoSegmented.model_validate({**told, "segments": [{**told["segments"][0], "index": 1}]})


def test_a_video_has_what_is_measured_of_videos_and_a_picture_has_not() -> None:
    picture, video = cat.probed().payload.model_dump(), film.probed().payload.model_dump()
    with pytest.raises(ValidationError, match="video without what is measured"):
        MediaProbed.model_validate({**video, "video": None})
    with pytest.raises(ValidationError, match="image with what is measured"):
        MediaProbed.model_validate({**picture, "video": video["video"]})


def test_the_hour_of_a_moment_is_utc() -> None:
    assert hour_of(datetime.fromisoformat("2026-07-01T01:30:00+02:00")) == datetime.fromisoformat("2026-06-30T23:00:00+00:00")
