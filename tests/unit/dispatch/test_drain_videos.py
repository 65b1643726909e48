"""Draining the steps of videos: frames that become items, jobs that begin, get on, and come to an end."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambdas.runtime.contract import BatchItem, ErrorCode, ItemOutcome, Manifest, StepRequest
from media_assets.dispatch import job_reports
from media_assets.dispatch.drain import drain
from media_assets.dispatch.errors import BatchDiedError, BatchInterruptedError, TargetUnavailableError
from media_assets.dispatch.targets import OnProgress, unheard
from media_assets.eventlog.catalogue import MediaProbed
from media_assets.eventlog.events import Event, item_id_of
from media_assets.eventlog.jobs import describe_job
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from tests.unit.dispatch.draining import per_item, settings
from tests.unit.dispatch.works import FunctionTarget, answer_to, error, ok
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.lives import HOUR, rows
from tests.waiting import eventually

FILM = Film()


def drained(
    store: EventStore,
    step: str,
    function: Callable[[StepRequest], Manifest],
    tasks: Callable[[StepRequest], Manifest] | None = None,
    configured: Settings | None = None,
) -> list[StepRequest]:
    """Drain a step of videos; what was sent, wherever it went."""
    sent: list[StepRequest] = []

    def noting(behave: Callable[[StepRequest], Manifest]) -> Callable[[StepRequest], Manifest]:
        return lambda request: (sent.append(request), behave(request))[1]

    targets: dict[Any, Any] = {"lambda": FunctionTarget(noting(function)), "ecs": FunctionTarget(noting(tasks or function))}
    drain(STEPS[step], [HOUR], store=store, settings=configured or settings(), targets=targets, run_id="run-1")
    return sent


def told(store: EventStore, *types: str) -> list[Event]:
    return [event for event in store.all() if event.payload.type in types]


def two_frames(item: BatchItem) -> ItemOutcome:
    frames = [
        {
            "timecode_ms": ms,
            "key": f"{item.output_prefix}{ms:08d}.jpg",
            "version_id": f"frame-{ms}",
            "etag": "e",
            "sha256": "0" * 64,
            "size_bytes": 500,
            "width": 320,
            "height": 180,
            "is_poster": ms == 480,
        }
        for ms in (480, 4000)
    ]
    return ok(item.item_id, {"frames": frames, "shots": 2})


def as_planned(item: BatchItem) -> ItemOutcome:
    bounds, texts = item.input["cuts_ms"], item.input["texts"]
    segments = [
        {
            "index": number,
            "start_ms": start,
            "end_ms": end,
            "key": f"{item.output_prefix}segment_{number:03d}.mp4",
            "sha256": "0" * 64,
            "size_bytes": 500,
            "text": texts and texts[number],
        }
        for number, (start, end) in enumerate(bounds)
    ]
    return ok(item.item_id, {"mode": "encoded", "duration_ms": bounds[-1][1], "segments": segments})


def test_frames_become_items_in_the_hour_of_their_video(store: EventStore) -> None:
    store.append([FILM.upload(), FILM.probed()])
    [request] = drained(store, "frames", per_item(two_frames))
    [item] = request.items
    assert item.input["video"]["duration_ms"] == 10_000
    assert (item.input["width"], item.input["height"]) == (640, 360)
    [extracted] = told(store, "FramesExtracted")
    received = told(store, "FrameReceived")
    assert [event.item_id for event in received] == [
        item_id_of("photos", f"{item.output_prefix}{ms:08d}.jpg") for ms in (480, 4000)
    ]
    assert {event.causation_id for event in received} == {extracted.event_id}
    assert {event.correlation_id for event in received} == {FILM.upload().event_id}
    due = rows(store, "SELECT item_id, hour FROM steps WHERE step = 'thumbnail' AND state = 'pending'")
    assert {row["item_id"] for row in due} == {event.item_id for event in received}
    assert {row["hour"] for row in due} == {HOUR}


def test_the_segments_that_are_configured_are_no_job(store: EventStore) -> None:
    store.append([FILM.upload(), FILM.probed()])
    [request] = drained(store, "segment", per_item(as_planned))
    assert told(store, "JobStarted", "JobCompleted") == []
    assert request.items[0].output_prefix.startswith(f"derived/{FILM.item_id}/segment/{request.recipe}/v1/0/")
    assert request.items[0].input["cuts_ms"] == [[0, 10_000]]
    assert request.recipe == STEPS["segment"].recipe(settings()).digest


def test_a_job_begins_and_comes_to_its_end(store: EventStore) -> None:
    job = Job()
    store.append([FILM.upload(), FILM.probed(), FILM.segmented(), job.submitted()])
    [request] = drained(store, "segment", per_item(as_planned))
    [item] = request.items
    assert item.item_id == str(job.job_id)
    assert item.output_prefix == f"processed/{job.job_id}/"
    assert item.input["cuts_ms"] == [[0, 5000], [5000, 10000]]
    assert request.recipe != STEPS["segment"].recipe(settings()).digest
    types = [event.payload.type for event in store.stream(f"job-{job.job_id}")]
    assert types == ["JobSubmitted", "JobStarted", "VideoSegmented", "JobCompleted"]
    segmented, completed = store.stream(f"job-{job.job_id}")[-2:]
    assert (completed.causation_id, completed.job_id, completed.item_id) == (segmented.event_id, job.job_id, FILM.item_id)
    assert segmented.micro_dollars > 0 == completed.micro_dollars
    with store.engine.connect() as connection:
        found = describe_job(connection, job.job_id)
    assert (found["state"], found["progress"], len(found["segments"])) == ("completed", 100, 2)


def test_jobs_of_one_video_never_meet(store: EventStore) -> None:
    jobs = [Job(name="j1"), Job(name="j2")]
    store.append([FILM.upload(), FILM.probed(), *(job.submitted() for job in jobs)])
    requests = drained(store, "segment", per_item(as_planned))
    prefixes = {item.output_prefix for request in requests for item in request.items}
    assert len(prefixes) == 3
    assert {f"processed/{job.job_id}/" for job in jobs} <= prefixes
    assert len(told(store, "VideoSegmented")) == 3
    assert len(rows(store, "SELECT * FROM segments")) == 1 + 2 + 2


def test_a_job_waits_for_its_texts_and_writes_them(store: EventStore) -> None:
    job = Job(has_texts_written=True)
    store.append([FILM.upload(), FILM.probed(), FILM.segmented(), job.submitted()])
    assert drained(store, "segment", per_item(as_planned)) == []
    hosted = settings(model_provider="openai")
    answer = {"texts": ["Ride on", "Ride far"], "model": "words"}
    [asked] = drained(store, "vary", per_item(lambda item: ok(item.item_id, answer)), configured=hosted)
    assert asked.items[0].input["count"] == 2
    assert asked.items[0].output_prefix == f"processed/{job.job_id}/vary/"
    [request] = drained(store, "segment", per_item(as_planned))
    assert request.items[0].input["texts"] == ["Ride on", "Ride far"]
    assert [event.payload.type for event in store.stream(job.stream_id)][-1] == "JobCompleted"


@pytest.mark.parametrize(
    ("code", "retryable", "ends"),
    [
        (ErrorCode.STEP_ERROR, True, ["StepFailed"]),
        (ErrorCode.STEP_ERROR, False, ["StepFailed", "StepAbandoned", "JobFailed"]),
        (ErrorCode.CORRUPT, False, ["StepFailed", "StepAbandoned", "JobFailed"]),
        (ErrorCode.SOURCE_GONE, False, ["StepAbandoned", "JobFailed"]),
    ],
)
def test_how_a_job_fails(store: EventStore, code: ErrorCode, retryable: bool, ends: list[str]) -> None:
    job = Job()
    store.append([FILM.upload(), FILM.probed(), FILM.segmented(), job.submitted()])
    drained(store, "segment", per_item(lambda item: error(item.item_id, code, retryable=retryable)))
    assert [event.payload.type for event in store.stream(job.stream_id)][2:] == ends
    assert told(store, "UploadRejected") == []  # it is the job that can't be done
    assert len(told(store, "UploadRemoved")) == (code is ErrorCode.SOURCE_GONE)
    costs = [event.micro_dollars for event in store.all() if event.step == "segment" and event.job_id]
    assert sum(cost > 0 for cost in costs) == (0 if code is ErrorCode.SOURCE_GONE else 1)
    counted = rows(store, "SELECT sum(micro_dollars) AS cost FROM costs WHERE step = 'segment'")
    assert counted == [{"cost": sum(event.micro_dollars for event in store.all() if event.step == "segment")}]
    with store.engine.connect() as connection:
        found = describe_job(connection, job.job_id)
    assert found["state"] == ("processing" if len(ends) == 1 else "failed")
    if len(ends) > 1:
        assert found["error"] == {"code": code, "message": "a sentence"}
        assert rows(store, "SELECT * FROM steps WHERE state = 'pending' AND item_id = :id", id=job.job_id) == []


def test_what_a_killed_worker_was_at_is_tried_again_and_the_job_completes(store: EventStore) -> None:
    job = Job()
    store.append([FILM.upload(), FILM.probed(), FILM.segmented(), job.submitted()])

    def killed_once(request: StepRequest) -> Manifest:
        if request.attempt == 1:
            raise BatchDiedError(ErrorCode.CRASHED, "killed in mid-encode")
        return answer_to(request, [as_planned(item) for item in request.items])

    requests = drained(store, "segment", killed_once, configured=settings(retry_base_seconds=0.001))
    assert [request.attempt for request in requests] == [1, 2]
    types = [event.payload.type for event in store.stream(job.stream_id)]
    assert types == [*("JobSubmitted", "JobStarted", "StepFailed"), *("JobStarted", "VideoSegmented", "JobCompleted")]


def long_film(store: EventStore) -> Film:
    """One that is too much for a function."""
    film = Film("uploads/ada/long.mp4")
    payload = film.probed().payload
    video = payload.video.model_copy(update={"duration_ms": 3 * 3600 * 1000})  # type: ignore[attr-defined]
    store.append([film.upload(), film.probed().model_copy(update={"payload": payload.model_copy(update={"video": video})})])
    return film


@pytest.mark.parametrize(("format", "target"), [("mp4", "lambda"), ("avi", "ecs")])
def test_a_video_and_its_jobs_go_where_their_container_has_them_go(store: EventStore, format: str, target: str) -> None:
    probed = FILM.probed()
    assert isinstance(probed.payload, MediaProbed)
    assert probed.payload.video is not None
    long = probed.payload.video.model_copy(update={"duration_ms": 30 * 60 * 1000})
    payload = probed.payload.model_copy(update={"format": format, "video": long})
    store.append([FILM.upload(), probed.model_copy(update={"payload": payload}), Job().submitted()])
    drained(store, "segment", per_item(as_planned))
    assert [event.target for event in told(store, "VideoSegmented")] == [target, target]


def test_small_videos_are_done_while_tasks_are_paused(store: EventStore) -> None:
    film = long_film(store)
    store.append([FILM.upload(), FILM.probed()])
    until = datetime.now(UTC) + timedelta(minutes=1)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO breakers VALUES ('frames@ecs', 1, %s, 'no capacity')", (until,))
    with pytest.raises(TargetUnavailableError, match=r"frames@ecs is paused until .*: no capacity"):
        drained(store, "frames", per_item(two_frames))
    assert [event.item_id for event in told(store, "FramesExtracted")] == [FILM.item_id]
    [left] = rows(store, "SELECT item_id FROM steps WHERE step = 'frames' AND state = 'pending'")
    assert left["item_id"] == film.item_id
    assert rows(store, "SELECT * FROM claims WHERE lease_expires_at > now()") == []


@dataclass
class Task:
    """A target whose task tells of its progress, and works until it is stopped or may finish."""

    percents: Sequence[int]
    may_finish: threading.Event
    was_stopped: threading.Event
    told: threading.Event
    outcome_of: Callable[[BatchItem], ItemOutcome] = as_planned

    def send(self, request: StepRequest, on_progress: OnProgress = unheard) -> Manifest:
        [item] = request.items
        for percent in self.percents:
            on_progress(item.item_id, percent)
        on_progress(str(uuid.uuid4()), 50)  # of nothing that it was given
        self.told.set()
        while not self.may_finish.wait(0.05):
            if self.was_stopped.is_set():
                raise BatchInterruptedError("stopped: UserInitiated")
        return answer_to(request, [self.outcome_of(item)])

    def stop(self, attempt_id: str) -> None:
        self.was_stopped.set()

    def cancel(self) -> None:
        self.was_stopped.set()


def task(*percents: int) -> Task:
    return Task(percents, threading.Event(), threading.Event(), threading.Event())


def test_progress_reaches_the_log_now_and_then(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_reports, "_SECONDS_BETWEEN", 0.0)
    job = Job()
    store.append([FILM.upload(), FILM.probed(), FILM.segmented(), job.submitted()])
    worker = task(0, 10, 10, 5, 60)
    worker.may_finish.set()
    drain(STEPS["segment"], [HOUR], store=store, settings=settings(), targets={"lambda": worker, "ecs": worker}, run_id="run-1")
    assert [event.payload.percent for event in told(store, "JobProgressed")] == [10, 60]  # type: ignore[attr-defined]
    assert {event.run_id for event in store.stream(job.stream_id)[1:]} == {"run-1"}


def test_reports_of_progress_keep_their_distance(store: EventStore) -> None:
    store.append([FILM.upload(), FILM.probed(), FILM.segmented(), Job().submitted()])
    worker = task(*range(1, 100))
    worker.may_finish.set()
    drain(STEPS["segment"], [HOUR], store=store, settings=settings(), targets={"lambda": worker, "ecs": worker}, run_id="run-1")
    assert [event.payload.percent for event in told(store, "JobProgressed")] == [1]  # type: ignore[attr-defined]


def test_a_job_that_is_cancelled_is_stopped_and_nothing_comes_of_it(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("media_assets.dispatch.drain._LOOK_SECONDS", 0.05)
    job, worker = Job(), task(10)
    store.append([FILM.upload(), FILM.probed(), FILM.segmented(), job.submitted()])
    targets: dict[Any, Any] = {"lambda": worker, "ecs": worker}
    run = threading.Thread(
        target=lambda: drain(STEPS["segment"], [HOUR], store=store, settings=settings(), targets=targets, run_id="run-1")
    )
    run.start()
    eventually(worker.told.is_set)
    store.append([job.cancelled()])
    run.join(timeout=10)
    assert not run.is_alive()
    assert worker.was_stopped.is_set()
    assert told(store, "VideoSegmented") == [event for event in told(store, "VideoSegmented") if event.job_id is None]
    with store.engine.connect() as connection:
        assert describe_job(connection, job.job_id)["state"] == "cancelled"
    assert rows(store, "SELECT * FROM breakers") == []
    assert_told_what_it_cost(store, job)
    assert drained(store, "segment", per_item(as_planned)) == []


def assert_told_what_it_cost(store: EventStore, job: Job) -> None:
    """Of a job that was cancelled in its first attempt."""
    *_, cancelled, last = store.stream(job.stream_id)
    assert [cancelled.payload.type, last.payload.type] == ["JobCancelled", "StepFailed"]
    assert last.micro_dollars > 0
    assert last.milliseconds > 0
    assert rows(store, "SELECT micro_dollars FROM costs WHERE step = :step AND failures = 1", step=last.step)
    assert rows(store, "SELECT * FROM claims WHERE item_id = :id", id=job.job_id) == []
    assert rows(store, "SELECT * FROM steps WHERE item_id = :id AND state = 'pending'", id=job.job_id) == []


def test_an_answer_that_never_comes_is_paid_by_its_job_also_when_that_was_cancelled(store: EventStore) -> None:
    job = Job(has_texts_written=True)
    store.append([FILM.upload(), FILM.probed(), FILM.segmented(), job.submitted()])

    def unanswered(request: StepRequest) -> Manifest:
        time.sleep(0.3)
        store.append([job.cancelled()])
        raise TargetUnavailableError("the connection timed out", ran=True)

    with pytest.raises(TargetUnavailableError):
        drained(store, "vary", unanswered, configured=settings(model_provider="openai"))
    assert_told_what_it_cost(store, job)


def test_a_cancelled_job_whose_task_answers_that_it_began_nothing_is_billed_at_once(store: EventStore) -> None:
    job = Job()
    store.append([FILM.upload(), FILM.probed(), FILM.segmented(), job.submitted()])

    def stopped(request: StepRequest) -> Manifest:
        time.sleep(0.05)
        store.append([job.cancelled()])
        outcomes = [error(item.item_id, ErrorCode.NOT_STARTED) for item in request.items]
        return answer_to(request, outcomes).model_copy(update={"billed_milliseconds": 10_000})

    drained(store, "segment", stopped)
    assert_told_what_it_cost(store, job)


def test_what_is_settled_is_not_owed_again_when_nobody_can_hear_of_it(store: EventStore) -> None:
    job = Job()
    store.append([FILM.upload(), FILM.probed(), FILM.segmented(), job.submitted()])

    def unheard_of(message: str) -> None:
        raise RuntimeError("Dagster's database is gone")

    target: Any = FunctionTarget(per_item(as_planned))
    with pytest.raises(RuntimeError, match="gone"):
        drain(
            STEPS["segment"],
            [HOUR],
            store=store,
            settings=settings(),
            targets={"lambda": target, "ecs": target},
            run_id="run-1",
            on_batch=unheard_of,
        )
    assert [event.payload.type for event in store.stream(job.stream_id)][-1] == "JobCompleted"
    assert rows(store, "SELECT * FROM claims") == []


def test_a_job_that_was_cancelled_under_way_ends_once(store: EventStore) -> None:
    job = Job()
    store.append([FILM.upload(), FILM.probed(), FILM.segmented(), job.submitted()])

    def cancelled_meanwhile(request: StepRequest) -> Manifest:
        store.append([job.cancelled()])
        return answer_to(request, [as_planned(item) for item in request.items])

    assert len(drained(store, "segment", cancelled_meanwhile)) == 1
    assert [event.payload.type for event in store.stream(job.stream_id)][2:] == ["JobCancelled", "VideoSegmented"]


def test_long_tasks_keep_no_short_video_waiting(store: EventStore) -> None:
    """Not even one that arrives while each place for tasks is taken."""
    film = long_film(store)
    tasks, functions = replace(task(), outcome_of=two_frames), FunctionTarget(per_item(two_frames))
    targets: dict[Any, Any] = {"lambda": functions, "ecs": tasks}
    one = settings(dispatch_threads=1)
    run = threading.Thread(
        target=lambda: drain(STEPS["frames"], [HOUR], store=store, settings=one, targets=targets, run_id="r")
    )
    run.start()
    try:
        eventually(tasks.told.is_set)
        store.append([FILM.upload(), FILM.probed()])
        eventually(lambda: [event.item_id for event in told(store, "FramesExtracted")] == [FILM.item_id])
        assert film.item_id not in {event.item_id for event in told(store, "FramesExtracted")}
    finally:
        tasks.may_finish.set()
        run.join(timeout=10)
    assert {event.item_id for event in told(store, "FramesExtracted")} == {FILM.item_id, film.item_id}
