"""What becomes of a video, of its frames and of the jobs about it."""

from __future__ import annotations

from typing import Any

import pytest

from media_assets.eventlog.errors import StreamClosedError
from media_assets.eventlog.store import EventStore
from tests.conftest import Database
from tests.unit.eventlog.films import VIDEO, Film, Job, frame_done
from tests.unit.eventlog.lives import Life, item, rows, step, steps

film = Film()
FRAMES = [film.frame(480), film.frame(4000)]


def states(store: EventStore, *lives: Life) -> list[str]:
    return [item(store, life)["state"] for life in lives]


def job_row(store: EventStore, job: Job) -> dict[str, Any]:
    [row] = rows(store, "SELECT * FROM jobs WHERE job_id = :id", id=job.job_id)
    return row


def due(store: EventStore, job: Job) -> dict[str, str]:
    """Where each of the job's steps stands."""
    found = rows(store, "SELECT step, state FROM steps WHERE item_id = :id", id=job.job_id)
    return {row["step"]: row["state"] for row in found}


def test_a_video_has_frames_and_segments_due_once_it_is_probed(store: EventStore) -> None:
    store.append([film.upload()])
    assert steps(store, film) == {"probe": "pending"}
    store.append([film.probed()])
    assert steps(store, film) == {"probe": "done", "frames": "pending", "segment": "pending"}
    row = item(store, film)
    assert (row["kind"], row["duration_ms"], row["width"], row["state"]) == ("video", 10_000, 640, "processing")
    assert row["video"] == VIDEO.model_dump(mode="json")
    store.append([*film.watched(), film.segmented()])
    assert steps(store, film) == {"probe": "done", "frames": "done", "segment": "done"}
    assert states(store, film) == ["done"]


def test_a_picture_has_nothing_of_a_video(store: EventStore) -> None:
    store.append(Life().done())
    row = item(store, Life())
    assert [row[name] for name in ("duration_ms", "video", "parent_item_id", "timecode_ms", "is_poster")] == [None] * 5


def test_a_frame_takes_the_steps_of_a_picture_but_the_probe(store: EventStore) -> None:
    store.append([film.upload(), film.probed(), *film.watched()])
    poster, other = FRAMES
    assert steps(store, poster) == {"thumbnail": "pending"}
    store.append([poster.thumbnails("f1")])
    assert steps(store, poster) == {"thumbnail": "done", "detect": "pending", "analyze": "pending"}
    store.append(frame_done(poster))
    assert steps(store, poster) == dict.fromkeys(("thumbnail", "detect", "analyze", "embed"), "done")
    assert states(store, poster, other) == ["done", "processing"]
    row = item(store, poster)
    facts = ("kind", "format", "width", "height", "parent_item_id", "timecode_ms", "is_poster", "hour", "exif")
    assert [row[name] for name in facts] == [
        "frame", "jpeg", 320, 180, film.item_id, 480, True, item(store, film)["hour"], {}
    ]  # fmt: skip
    assert [item(store, other)[name] for name in ("timecode_ms", "is_poster")] == [4000, False]


def test_a_frames_work_follows_from_its_arrival_in_the_story_of_the_video(store: EventStore) -> None:
    store.append([film.upload(), film.probed(), *film.watched()])
    thumbnail = step(store, FRAMES[0], "thumbnail")
    assert thumbnail["correlation_id"] == film.upload().event_id
    assert thumbnail["cause_id"] == film.frames_received()[0].event_id
    store.append([FRAMES[0].thumbnails("f1")])
    assert step(store, FRAMES[0], "analyze")["cause_id"] == FRAMES[0].thumbnails("f1").event_id


def test_frames_that_were_taken_anew_replace_those_from_before(store: EventStore) -> None:
    store.append([*film.done(), *frame_done(FRAMES[0])])
    anew = [film.frame(time, generation=1) for time in (0, 480)]
    store.append([film.reprocess("frames")])
    assert states(store, *FRAMES) == ["done", "processing"]  # until there are others
    store.append(film.watched(times=(0, 480), generation=1))
    assert states(store, *FRAMES, *anew) == ["removed", "removed", "processing", "processing"]
    assert steps(store, FRAMES[0]) == {}
    assert steps(store, anew[0]) == {"thumbnail": "pending"}


def test_of_two_results_of_one_generation_only_the_first_has_frames(store: EventStore) -> None:
    store.append(film.done())
    late = film.frame(480, recipe="r2")
    store.append(film.watched(recipe="r2"))
    assert states(store, FRAMES[0], late) == ["processing", "removed"]


def test_frames_go_with_the_version_that_they_were_taken_from_and_come_back_with_it(store: EventStore) -> None:
    store.append(film.done("v1"))
    assert states(store, FRAMES[0]) == ["processing"]
    store.append([film.upload("v2")])
    assert states(store, *FRAMES) == ["removed", "removed"]
    store.append([film.removed("v2")])
    assert states(store, *FRAMES) == ["processing", "processing"]
    assert steps(store, FRAMES[0]) == {"thumbnail": "pending"}
    store.append([film.removed("v1")])
    assert states(store, film, *FRAMES) == ["removed"] * 3
    assert steps(store, FRAMES[0]) == {}


def test_a_frame_that_is_gone_from_the_bucket_is_removed_and_no_other(store: EventStore) -> None:
    store.append([*film.done(), FRAMES[0].removed("f1")])
    assert states(store, film, *FRAMES) == ["done", "removed", "processing"]


def test_frames_that_come_before_their_result_count_with_it(store: EventStore) -> None:
    store.append([film.upload(), film.probed(), *film.frames_received()])
    assert states(store, *FRAMES) == ["removed", "removed"]
    store.append([film.extracted()])
    assert states(store, *FRAMES) == ["processing", "processing"]


def test_segments_are_of_the_highest_generation_that_was_stored_first(store: EventStore) -> None:
    def keys() -> list[str]:
        found = rows(store, "SELECT key FROM segments WHERE work_id = :id ORDER BY ordinal", id=film.item_id)
        return ["/".join(row["key"].split("/")[3:]) for row in found]

    store.append([*film.done(), film.segmented(number=1, recipe="r2")])
    assert keys() == ["r1/v1/0/segment_000.mp4", "r1/v1/0/segment_001.mp4"]
    store.append([film.reprocess("segment"), film.segmented(number=1, generation=1)])
    assert keys() == ["r1/v1/1/segment_000.mp4"]
    store.append([film.segmented(number=3, generation=0, recipe="r3")])
    assert keys() == ["r1/v1/1/segment_000.mp4"]


def test_a_job_goes_from_pending_over_processing_to_completed(store: EventStore) -> None:
    job = Job(film)
    store.append([*film.done(), job.submitted()])
    assert due(store, job) == {"segment": "pending"}
    row = job_row(store, job)
    assert (row["state"], row["progress"], row["item_id"], row["version_id"]) == ("pending", 0, film.item_id, "v1")
    [work] = rows(store, "SELECT * FROM steps WHERE item_id = :id", id=job.job_id)
    assert (work["hour"], work["version_id"]) == (item(store, film)["hour"], "v1")
    assert work["cause_id"] == work["correlation_id"] == job.submitted().event_id

    store.append([job.started(), job.progressed(40)])
    assert (job_row(store, job)["state"], job_row(store, job)["progress"]) == ("processing", 40)
    store.append([job.progressed(80), job.segmented(), job.completed()])
    row = job_row(store, job)
    assert (row["state"], row["progress"], row["segments"], row["error_code"]) == ("completed", 100, 2, None)
    assert due(store, job) == {"segment": "done"}
    found = rows(store, "SELECT key, item_id, job_id FROM segments WHERE work_id = :id ORDER BY ordinal", id=job.job_id)
    assert found == [
        {"key": f"processed/{job.job_id}/segment_{n:03d}.mp4", "item_id": film.item_id, "job_id": job.job_id} for n in (0, 1)
    ]


def test_two_jobs_and_the_video_itself_keep_their_segments_apart(store: EventStore) -> None:
    store.append([*film.done(), *Job(film, "a").done(), *Job(film, "b").done()])
    assert rows(store, "SELECT count(*) AS n FROM segments GROUP BY work_id") == [{"n": 2}] * 3
    assert states(store, film) == ["done"]


def test_texts_are_written_before_the_segments_that_need_them(store: EventStore) -> None:
    job = Job(film, has_texts_written=True)
    store.append([film.upload(), film.probed(), job.submitted()])
    assert due(store, job) == {"vary": "pending"}
    store.append([job.varied()])
    assert due(store, job) == {"vary": "done", "segment": "pending"}
    assert job_row(store, job)["texts"] == ["Ride on", "Ride far"]
    [work] = rows(store, "SELECT * FROM steps WHERE item_id = :id AND step = 'segment'", id=job.job_id)
    assert work["cause_id"] == job.varied().event_id
    store.append([job.varied(["Too late"], recipe="r2")])
    assert job_row(store, job)["texts"] == ["Ride on", "Ride far"]


def test_an_attempt_that_fails_is_tried_again_and_a_job_that_is_given_up_has_failed(store: EventStore) -> None:
    job = Job(film)
    store.append([*film.done(), job.submitted(), job.started(), job.attempt_failed()])
    assert (job_row(store, job)["state"], due(store, job)) == ("processing", {"segment": "pending"})
    assert states(store, film) == ["done"]  # it is the job's failure alone
    store.append([job.abandoned(), job.failed()])
    row = job_row(store, job)
    assert (row["state"], row["error_code"], row["error_message"]) == ("failed", "timeout", "given up")
    assert due(store, job) == {"segment": "dead"}
    assert states(store, film) == ["done"]


def test_of_a_job_that_was_cancelled_nothing_is_due_and_nothing_comes(store: EventStore) -> None:
    job = Job(film)
    store.append([*film.done(), job.submitted(), job.cancelled()])
    assert due(store, job) == {}
    store.append([job.progressed(80), job.completed(), job.failed()])
    row = job_row(store, job)
    assert (row["state"], row["progress"], row["segments"]) == ("cancelled", 0, None)
    assert row["error_message"] == "ada changed her mind"


def test_the_first_end_of_a_job_counts(store: EventStore) -> None:
    job = Job(film)
    store.append([*film.done(), *job.done(), job.failed(), job.cancelled()])
    assert job_row(store, job)["state"] == "completed"


def test_a_job_is_about_the_version_that_it_was_submitted_for(store: EventStore) -> None:
    job = Job(film)
    store.append([*film.done("v1"), job.submitted(), film.upload("v2")])
    assert due(store, job) == {"segment": "pending"}
    store.append([film.removed("v1")])
    assert due(store, job) == {}


def test_erasing_a_frame_leaves_its_video_and_the_other_frames(database: Database) -> None:
    store = database.store
    store.append([*film.done(), *frame_done(FRAMES[0])])
    as_owner = EventStore.connect(database.owner_url)
    as_owner.erase([FRAMES[0].erased()])
    as_owner.engine.dispose()
    assert states(store, film, FRAMES[1]) == ["done", "processing"]
    assert rows(store, "SELECT FROM items WHERE item_id = :id", id=FRAMES[0].item_id) == []
    with pytest.raises(StreamClosedError):
        store.append([FRAMES[0].detections("f1", recipe="r2")])
    assert store.append(film.watched()) != []  # told again, it begins nothing
    assert rows(store, "SELECT FROM uploads WHERE item_id = :id", id=FRAMES[0].item_id) == []


def test_nothing_begins_or_goes_on_for_an_erased_video(database: Database) -> None:
    store, job, other = database.store, Job(film, "one"), Job(film, "other")
    store.append([*film.done(), job.submitted()])
    as_owner = EventStore.connect(database.owner_url)
    erased = as_owner.erase([film.erased(), *(frame.erased() for frame in FRAMES), job.erased()])
    as_owner.engine.dispose()
    assert erased.payloads == 7
    assert {name: number for name, number in erased.rows.items() if number} == {
        "uploads": 3, "step_results": 3, "segments": 2, "jobs": 1, "steps": 6, "items": 3
    }  # fmt: skip
    for late in (job.segmented(), job.progressed(), other.submitted(), film.extracted(recipe="r2")):
        with pytest.raises(StreamClosedError) as refused:
            store.append([late])
        assert refused.value.stream_ids == {late.stream_id}
    for model in ("items", "uploads", "steps", "jobs", "segments"):
        assert rows(store, f"SELECT FROM {model}") == []
