"""Submitting and cancelling jobs: what can't be done is refused before anything is stored."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from media_assets.cuts import FixedCut
from media_assets.eventlog.catalogue import JobSubmitted
from media_assets.eventlog.events import hour_of, job_stream
from media_assets.eventlog.items import ItemNotFoundError
from media_assets.eventlog.jobs import JobNotFoundError, describe_job, job_counts, list_jobs
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.jobs import JobRefusedError, cancel_job, fail_jobs_of_removed_videos, submit_segment_job
from media_assets.steps.segment_plan import JobOptions, PlanError, TextInput
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.lives import NOON, Life, rows

SETTINGS = Settings(model_provider="local")
HALVES = JobOptions(cutting_options=FixedCut(duration_seconds=5))
bikes, cat = Film(), Life()


def described(store: EventStore, job_id: uuid.UUID) -> dict[str, Any]:
    with store.engine.connect() as db:
        return describe_job(db, job_id)


def test_a_job_is_submitted_with_its_options_and_its_work_is_due(store: EventStore) -> None:
    store.append(bikes.ready())
    job = submit_segment_job(store, SETTINGS, bikes.item_id, HALVES)
    assert (job.is_new, job.plan.bounds) == (True, ((0, 5000), (5000, 10_000)))
    [event] = store.stream(job_stream(job.job_id))
    assert event.payload == JobSubmitted(version_id="v1", hour=hour_of(NOON), options=HALVES.model_dump(mode="json"))
    assert (event.item_id, event.job_id, event.user_id) == (bikes.item_id, job.job_id, "ada")
    assert JobOptions.model_validate(described(store, job.job_id)["options"]) == HALVES
    due = rows(store, "SELECT step, state FROM steps WHERE item_id = :id", id=job.job_id)
    assert due == [{"step": "segment", "state": "pending"}]


def test_submitting_the_same_job_again_changes_nothing(store: EventStore) -> None:
    store.append(bikes.ready())
    first = submit_segment_job(store, SETTINGS, bikes.item_id, HALVES)
    head = store.head()
    again = submit_segment_job(store, SETTINGS, bikes.item_id, HALVES, first.job_id)
    assert (again.job_id, again.is_new, store.head()) == (first.job_id, False, head)
    with pytest.raises(JobRefusedError, match=f"there is a job {first.job_id} already, and it is another one"):
        submit_segment_job(store, SETTINGS, bikes.item_id, HALVES.model_copy(update={"exact": True}), first.job_id)
    assert store.head() == head


def test_what_has_no_segments_is_refused_and_nothing_is_stored(store: EventStore) -> None:
    film, gone, bad, new = (Film(f"uploads/ada/{name}.mp4") for name in ("film", "gone", "bad", "new"))
    store.append([*cat.done(), *gone.ready(), gone.removed(), bad.upload(), bad.rejected(), new.upload()])
    store.append([*film.ready(), *film.watched()])
    head = store.head()
    for life, message in (
        (cat, "uploads/ada/cat.jpg is no video but a picture: only videos have segments"),
        (film.frame(480), "is no video but a frame of one"),
        (gone, "uploads/ada/gone.mp4 is no longer in the bucket"),
        (bad, r"uploads/ada/bad.mp4 was rejected \(corrupt\): it is corrupt"),
        (new, "uploads/ada/new.mp4 isn't measured yet"),
    ):
        with pytest.raises(JobRefusedError, match=message):
            submit_segment_job(store, SETTINGS, life.item_id, HALVES)
    with pytest.raises(ItemNotFoundError):
        submit_segment_job(store, SETTINGS, uuid.uuid4(), HALVES)
    assert store.head() == head


@pytest.mark.parametrize(
    ("text_input", "error", "message"),
    [
        (TextInput(strategy="unique_for_all", unique_texts=("a", "b", "c")), PlanError, "there are 3 texts for 2 segments"),
        (
            TextInput(strategy="base_vary", base_text="a"),
            JobRefusedError,
            "no chat model is configured that could vary the text: set OPENAI_API_KEY or MEDIA_VARY_MODEL",
        ),
    ],
)
def test_texts_that_nobody_could_write_are_refused(
    store: EventStore, text_input: TextInput, error: type[Exception], message: str
) -> None:
    store.append(bikes.ready())
    head = store.head()
    with pytest.raises(error, match=message):
        submit_segment_job(store, SETTINGS, bikes.item_id, HALVES.model_copy(update={"text_input": text_input}))
    assert store.head() == head


def test_with_a_chat_model_texts_are_varied_first(store: EventStore) -> None:
    store.append(bikes.ready())
    options = HALVES.model_copy(update={"text_input": TextInput(strategy="base_vary", base_text="Summer sale")})
    job = submit_segment_job(store, Settings(model_provider="openai"), bikes.item_id, options)
    due = rows(store, "SELECT step, state FROM steps WHERE item_id = :id", id=job.job_id)
    assert due == [{"step": "vary", "state": "pending"}]


def test_too_many_segments_are_refused(store: EventStore) -> None:
    store.append(bikes.ready())
    with pytest.raises(PlanError, match="that makes 20 segments, and 12 are allowed"):
        submit_segment_job(
            store,
            SETTINGS.model_copy(update={"segment_max": 12}),
            bikes.item_id,
            JobOptions(cutting_options=FixedCut(duration_seconds=0.5)),
        )


def test_a_job_is_told_while_it_goes_on_and_at_its_end(store: EventStore) -> None:
    store.append(bikes.ready())
    job_id = submit_segment_job(store, SETTINGS, bikes.item_id, HALVES).job_id
    job = Job(bikes, job_id)
    store.append([job.started(), job.progressed()])
    found = described(store, job_id)
    assert (found["state"], found["progress"], found["segments"], found["finished_at"]) == ("processing", 40, [], None)
    store.append([job.segmented(), job.completed()])
    found = described(store, job_id)
    assert (found["state"], found["progress"], found["segment_count"]) == ("completed", 100, 2)
    assert found["segments"][1] == {
        "index": 1,
        "start_ms": 5000,
        "end_ms": 10_000,
        "key": f"processed/{job_id}/segment_001.mp4",
        "sha256": "0" * 64,
        "size_bytes": 1000,
        "text": None,
    }


def test_jobs_are_listed_newest_first_by_video_and_user(store: EventStore) -> None:
    other = Film("uploads/ada/other.mp4")
    store.append([*bikes.ready(), *other.ready()])
    made = [submit_segment_job(store, SETTINGS, film.item_id, HALVES).job_id for film in (bikes, other, bikes)]
    store.append([Job(bikes, made[2]).failed()])
    with store.engine.connect() as db:
        assert [each["job_id"] for each in list_jobs(db)] == [str(job_id) for job_id in reversed(made)]
        assert [each["key"] for each in list_jobs(db, item_id=other.item_id)] == [other.key]
        assert list_jobs(db, user_id="grace") == []
        assert len(list_jobs(db, user_id="ada", limit=2)) == 2
        assert list_jobs(db)[0]["error"] == {"code": "timeout", "message": "given up"}
        assert job_counts(db) == {"failed": 1, "pending": 2}


def test_a_cancelled_job_has_nothing_due(store: EventStore) -> None:
    store.append(bikes.ready())
    job_id = submit_segment_job(store, SETTINGS, bikes.item_id, HALVES).job_id
    cancel_job(store, job_id, reason="not wanted")
    assert described(store, job_id)["state"] == "cancelled"
    assert rows(store, "SELECT FROM steps WHERE item_id = :id AND state = 'pending'", id=job_id) == []
    with pytest.raises(JobRefusedError, match=f"job {job_id} is cancelled already: there is nothing to cancel"):
        cancel_job(store, job_id, reason="not wanted")
    with pytest.raises(JobNotFoundError):
        cancel_job(store, uuid.uuid4(), reason="not wanted")


def test_a_job_fails_when_its_video_is_removed(store: EventStore) -> None:
    store.append(bikes.ready())
    job_id = submit_segment_job(store, SETTINGS, bikes.item_id, HALVES).job_id
    assert fail_jobs_of_removed_videos(store) == []
    store.append([bikes.removed()])
    assert fail_jobs_of_removed_videos(store) == [job_id]
    job = described(store, job_id)
    assert (job["state"], job["error"]["code"]) == ("failed", "source_gone")
    assert fail_jobs_of_removed_videos(store) == []
