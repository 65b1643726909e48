"""What the command line says of videos and their frames: show, search, status, events, waiting, erasing."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from media_assets.cli import erase as erase_command
from media_assets.cli import items
from media_assets.cli.erase import Target
from media_assets.cli.output import CommandError, cut_text, exact_time_text, time_text
from media_assets.cli.uploading import Upload, follow
from media_assets.cuts import FixedCut
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.jobs import submit_segment_job
from media_assets.steps.segment_plan import JobOptions
from tests.conftest import Database
from tests.unit.command_line import said, talking_to, told
from tests.unit.eventlog.films import Film, Job, frame_done
from tests.unit.eventlog.lives import NOON, Life, spending_stopped

bikes, cat = Film(), Life()
TIMES = (1500, 4000)


@pytest.fixture
def store(aws: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventStore]:
    """The log that the command line talks to, with a video whose frames are at work."""
    database.store.append([*bikes.ready(), *bikes.watched(times=TIMES), bikes.segmented()])
    with talking_to(database, monkeypatch):
        yield database.store


def job_of(store: EventStore) -> uuid.UUID:
    options = JobOptions(cutting_options=FixedCut(duration_seconds=5))
    return submit_segment_job(store, Settings(model_provider="local"), bikes.item_id, options).job_id


def on_its_way(life: Life) -> Upload:
    return Upload(Path(life.key).relative_to("uploads"), life.key, life.item_id, "v1", 0)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0:00"), (4250, "0:04"), (59_999, "0:59"), (754_000, "12:34"), (3_604_000, "1:00:04"), (360_000_000, "100:00:00")],
)
def test_a_place_in_a_video(milliseconds: int, text: str) -> None:
    assert time_text(milliseconds) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(0, "0:00"), (7000, "0:07"), (5344, "0:05.344"), (7100, "0:07.100"), (3_604_001, "1:00:04.001")]
)
def test_where_a_segment_begins_to_the_millisecond(milliseconds: int, text: str) -> None:
    assert exact_time_text(milliseconds) == text


def test_ways_to_cut_in_words() -> None:
    assert cut_text({"type": "fixed", "duration_seconds": 2.5}) == "every 2.5 s"
    assert cut_text({"type": "scenes", "min_duration": 2.0, "max_duration": 60.0}) == "scenes, 2 to 60 s"


def test_a_video_is_shown_with_frames_segments_and_jobs(store: EventStore) -> None:
    job_id = job_of(store)
    video = told("show", bikes.key)["video"]
    assert (video["duration_ms"], video["frame_rate"], video["audio"][0]["codec"]) == (10_000, 25.0, "aac")
    assert [(each["timecode_ms"], each["is_poster"], each["state"]) for each in video["frames"]] == [
        (1500, True, "processing"),
        (4000, False, "processing"),
    ]
    assert [(each["start_ms"], each["end_ms"]) for each in video["segments"]] == [(0, 5000), (5000, 10_000)]
    assert [(each["job_id"], each["state"]) for each in video["jobs"]] == [(str(job_id), "pending")]
    text = said("show", bikes.key)
    for part in (
        "0:10, 25 frames a second, h264",
        "aac, 2 channels, 48000 Hz, eng",
        "0:01.500",
        "poster",
        "segment_001.mp4",
        str(job_id),
    ):
        assert part in text


def test_a_videos_cost_is_told_beside_that_of_its_frames_and_of_its_jobs(store: EventStore) -> None:
    def paid(event: NewEvent, micro_dollars: int) -> NewEvent:
        return event.model_copy(update={"micro_dollars": micro_dollars})

    assert "$0.000000, its frames $0.000000, its jobs $0.000000" in said("show", bikes.key)
    for film, unit in ((bikes, 1), (Film("uploads/ada/other.mp4"), 1000)):
        store.append([*film.ready(), *film.watched(times=TIMES), film.reprocess("probe")])
        store.append([paid(film.probed(generation=1), 5 * unit)])
        store.append([paid(film.frame(at).thumbnails("f1"), 30 * unit) for at in TIMES])
        job = Job(film)
        store.append([job.submitted(), paid(job.attempt_failed(), 200 * unit), paid(job.segmented(), 500 * unit)])
    shown = told("show", bikes.key)
    video = shown["video"]
    assert (shown["micro_dollars"], video["frames_micro_dollars"], video["jobs_micro_dollars"]) == (5, 60, 700)
    assert "$0.000005, its frames $0.000060, its jobs $0.000700" in said("show", bikes.key)


def test_a_frame_is_shown_with_its_video_and_time(store: EventStore) -> None:
    frame = bikes.frame(1500)
    assert told("show", str(frame.item_id))["parent"] == {
        "item_id": str(bikes.item_id),
        "key": bikes.key,
        "timecode_ms": 1500,
        "is_poster": True,
    }
    assert "uploads/ada/bikes.mp4 at 0:01.500, its poster" in said("show", frame.key)
    store.append([cat.upload()])
    assert (told("show", cat.key)["parent"], told("show", cat.key)["video"]) == (None, None)
    assert "taken from" not in said("show", cat.key)


def test_a_moment_of_a_video_is_found(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append([*cat.done(), *frame_done(bikes.frame(4000), summary="A bicycle.", vector=(0.0, 1.0, 0.0))])
    monkeypatch.setenv("MEDIA_EMBED_MODEL", "meaning")
    monkeypatch.setattr(items, "embed_query", lambda settings, query: [0.0, 1.0, 0.0])
    moment, picture = told("search", "a bicycle")
    assert moment == {
        "item_id": str(bikes.frame(4000).item_id),
        "key": bikes.frame(4000).key,
        "score": 1.0,
        "summary": "A bicycle.",
        "parent_item_id": str(bikes.item_id),
        "parent_key": bikes.key,
        "timecode_ms": 4000,
    }
    assert (picture["key"], picture["parent_key"], picture["timecode_ms"]) == (cat.key, None, None)
    assert "in uploads/ada/bikes.mp4 at 0:04" in said("search", "a bicycle")


def test_status_counts_uploads_frames_and_jobs_apart(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = boto3.client("sqs").create_queue(QueueName=f"uploads-{uuid.uuid4().hex[:8]}")
    monkeypatch.setenv("MEDIA_UPLOAD_QUEUE_URL", queue["QueueUrl"])
    job_of(store)
    status = told("status")
    assert (status["items"], status["frames"], status["jobs"]) == ({"done": 1}, {"processing": 2}, {"pending": 1})
    assert status["steps"]["segment"] == {**dict.fromkeys(status["steps"]["segment"], 0), "pending": 1, "done": 1}
    assert "frames of videos" in said("status")


def test_events_of_a_job_by_its_id_and_as_a_tree(store: EventStore) -> None:
    job_id = job_of(store)
    job = Job(bikes, job_id)
    store.append([job.started(), job.progressed(), job.failed()])
    types = ["JobSubmitted", "JobStarted", "JobProgressed", "JobFailed"]
    submission = store.stream(f"job-{job_id}")[0].event_id
    for reference in (str(job_id), f"job-{job_id}", str(submission)):
        assert [event["type"] for event in told("events", reference)] == types
    assert {event["job_id"] for event in told("events", str(job_id))} == {str(job_id)}
    tree = said("events", str(job_id), "--tree")
    for part in (f"job {job_id} on item {bikes.item_id}", "every 5 s", "segment: 40 %", "timeout: given up"):
        assert part in tree
    with pytest.raises(CommandError, match="has no events: there is no such job"):
        said("events", f"job-{uuid.uuid4()}")


def test_events_of_a_video_and_of_a_frame_say_what_came_of_it(store: EventStore) -> None:
    tree = said("events", bikes.key, "--tree")
    for part in ("2 frames of 2 shots", "2 segments, copied"):
        assert part in tree
    assert f"at 0:01 of item {bikes.item_id}" in said("events", str(bikes.frame(1500).item_id), "--tree")


def test_a_video_is_waited_for_until_its_frames_are_done(store: EventStore) -> None:
    left = [*frame_done(bikes.frame(1500)), *frame_done(bikes.frame(4000))]
    upload = on_its_way(bikes)
    states = []

    def tell(finished: int) -> None:
        states.append(upload.state)
        if left:
            store.append(left[:4])
            del left[:4]

    follow(store.engine, [upload], timeout_seconds=5, on_progress=tell)
    assert (upload.state, states) == ("done", ["uploaded", "uploaded", "done"])


def test_a_frame_whose_step_ends_is_progress_of_its_video(store: EventStore) -> None:
    store.append(frame_done(bikes.frame(1500)))
    left = frame_done(bikes.frame(4000))
    upload, began = on_its_way(bikes), time.monotonic()

    def tell(finished: int) -> None:
        if left:
            store.append([left.pop(0)])

    follow(store.engine, [upload], timeout_seconds=1, on_progress=tell)
    assert (upload.state, time.monotonic() - began > 1.5) == ("done", True)


def test_a_frame_that_fails_or_waits_for_money_ends_the_waiting(store: EventStore) -> None:
    frame = bikes.frame(4000)
    store.append([*frame_done(bikes.frame(1500)), frame.thumbnails("f1"), frame.detections("f1"), frame.analysis("f1")])
    store.append([frame.abandoned("embed", "f1")])
    upload = on_its_way(bikes)
    follow(store.engine, [upload], timeout_seconds=2)
    assert (upload.state, upload.code, upload.message) == ("failed", "crashed", "frame at 0:04: embed: crashed, given up")

    other = Film("uploads/ada/other.mp4")
    waits, done = other.frame(1500), other.frame(4000)
    store.append([*other.ready(), *other.watched(times=TIMES), other.segmented(), *frame_done(done)])
    store.append([waits.thumbnails("f1"), waits.detections("f1"), spending_stopped(day=NOON.date().replace(year=2100))])
    upload = on_its_way(other)
    follow(store.engine, [upload], timeout_seconds=2)
    assert (upload.state, upload.code) == ("failed", "over_budget")


def test_whoever_erases_a_video_hears_what_goes_with_it(store: EventStore) -> None:
    store.append([cat.upload()])
    assert erase_command.with_it(Target(bikes.item_id, ("photos", bikes.key))) == ", its 2 frames too"
    job_of(store)
    assert erase_command.with_it(Target(bikes.item_id, ("photos", bikes.key))) == ", its 2 frames and 1 job too"
    assert erase_command.with_it(Target(cat.item_id, ("photos", cat.key))) == ""
