"""Which runs the sensors ask for, evaluated as Dagster evaluates them: against real storage, and more than once."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetMaterialization,
    DagsterInstance,
    DagsterRunStatus,
    SensorDefinition,
    build_sensor_context,
)
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._utils.tags import is_valid_tag_key
from sqlalchemy import text

from media_assets.definitions import defs
from media_assets.defs.jobs import TAGS
from media_assets.defs.partitions import HOURS, hours_of, key_of
from media_assets.defs.resource import MediaResource
from media_assets.defs.sensors.pending_work import pending_work_sensor
from media_assets.defs.sensors.runs import active_work, run_requests
from media_assets.defs.sensors.s3_upload import s3_upload_sensor
from media_assets.dispatch.breakers import reset, trip
from media_assets.eventlog.events import hour_of
from media_assets.settings import get_settings
from media_assets.steps.catalogue import PIPELINES, STEPS
from media_assets.steps.claims import Claims
from media_assets.steps.pending import Due, Kind
from media_assets.steps.reasons import Reasons
from media_assets.steps.reprocess import request_reprocessing
from tests.conftest import ARRIVAL
from tests.unit.defs.cinema import Cinema
from tests.unit.defs.gallery import EARLIER, EARLIEST, HOUR, Gallery
from tests.unit.uploads.test_notifications import record

SENSORS = [s3_upload_sensor, pending_work_sensor]
_ORIGIN = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("media-assets"), "__repository__").get_job_origin(
    "image_pipeline"
)


def tick(sensor: SensorDefinition, instance: DagsterInstance) -> tuple[list[str], list[AssetMaterialization]]:
    """Evaluate a sensor, with all that Dagster checks of its answer: the runs it asks for, the arrivals it reports.

    A run for new pictures is named by its hour, any other by its pipeline and kind of work, too: `image again HOUR`.
    """
    data = evaluated(sensor, instance)
    requests = data.run_requests or []
    assert all(request.run_key is None for request in requests)
    for request in requests:
        assert request.job_name == f"{request.tags['media-assets/pipeline']}_pipeline"
        assert request.tags["media-assets/hour"] == request.partition_key
    arrivals = [event for event in data.asset_events if isinstance(event, AssetMaterialization)]
    return [request.tags["media-assets/queue"].removeprefix("image new ") for request in requests], arrivals


def evaluated(sensor: SensorDefinition, instance: DagsterInstance, cursor: str | None = None) -> SensorExecutionData:
    with build_sensor_context(
        instance=instance, cursor=cursor, resources={"media": MediaResource()}, definitions=defs, sensor_name=sensor.name
    ) as context:
        return sensor.evaluate_tick(context)


def why(tags: Mapping[str, str]) -> dict[str, str]:
    """What a run's tags say of why it was asked for."""
    every = {key.removeprefix(TAGS): value for key, value in tags.items() if key.startswith(TAGS)}
    return {name: value for name, value in every.items() if name not in {"pipeline", "hour", "work", "queue"}}


def new(*hours: datetime) -> list[Due]:
    """Work on new pictures."""
    return [Due("image", hour, "new") for hour in hours]


def let_a_moment_pass(gallery: Gallery) -> None:
    """Until a request that Dagster has made no run of counts no more."""
    with gallery.store.engine.begin() as connection:
        connection.execute(text("UPDATE requested_runs SET requested_at = requested_at - make_interval(secs => 60)"))


def start(
    instance: DagsterInstance,
    hour: datetime,
    status: DagsterRunStatus,
    *,
    kind: Kind = "new",
    by_sensor: bool = True,
    tags: Mapping[str, str] = {},
) -> str:
    """What Dagster makes of a request; or a run that a person or a backfill started."""
    job = defs.resolve_job_def("image_pipeline")
    own = run_requests([Due("image", hour, kind)], {})[0].tags if by_sensor else job.tags
    tags = {"dagster/partition": key_of(hour), **own, **tags}
    return instance.create_run_for_job(job, tags=tags, status=status, remote_job_origin=_ORIGIN).run_id


# The pure part


@pytest.mark.parametrize(("kind", "priority"), [("new", "1"), ("again", "0")])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_request_is_for_an_hours_work_of_a_kind_and_carries_no_run_key(pipeline: str, kind: Kind, priority: str) -> None:
    (request,) = run_requests([Due(pipeline, HOUR, kind)], {})
    assert (request.job_name, request.partition_key, request.run_key) == (f"{pipeline}_pipeline", key_of(HOUR), None)
    assert request.tags == {
        "media-assets/pipeline": pipeline,
        "media-assets/hour": key_of(HOUR),
        "media-assets/work": kind,
        "media-assets/queue": f"{pipeline} {kind} {key_of(HOUR)}",
        "dagster/priority": priority,
    }


def test_new_work_comes_first_then_the_newest_hour_then_pictures_and_each_once() -> None:
    order = [
        *(Due("image", HOUR, "new"), Due("detection", HOUR, "new"), Due("video", HOUR, "new"), Due("image", EARLIER, "new")),
        *(Due("image", HOUR, "again"), Due("detection", HOUR, "again"), Due("video", EARLIEST, "again")),
    ]
    requests = run_requests([*reversed(order), *order], {})
    assert [request.tags["media-assets/queue"] for request in requests] == [
        f"{due.pipeline} {due.kind} {key_of(due.hour)}" for due in order
    ]


def test_nothing_due_is_nothing_asked_for() -> None:
    assert run_requests([], {}) == []


def test_few_uploads_are_named_a_tag_each_and_many_are_counted() -> None:
    uploads = tuple(uuid.UUID(int=number) for number in range(6))
    few, many = Reasons(3, 1, 0, uploads[:2]), Reasons(1000, 0, 2, uploads)
    due = new(HOUR, EARLIER)
    late, early = run_requests(due, dict(zip(due, (few, many), strict=True)))
    assert why(late.tags) == {
        "first_tries": "3",
        "retries": "1",
        "uploads": "2",
        "upload.1": str(uploads[0]),
        "upload.2": str(uploads[1]),
    }
    assert why(early.tags) == {"first_tries": "1000+", "recomputations": "2", "uploads": "6"}
    assert all(is_valid_tag_key(key) for key in (*late.tags, *early.tags))


def test_the_running_hour_is_a_partition() -> None:
    now = datetime.now(UTC)
    assert HOURS.has_partition_key(key_of(now.replace(minute=0)))
    assert hours_of([key_of(HOUR)]) == [HOUR]
    assert HOURS.get_first_partition_key() == key_of(get_settings().first_hour)


@pytest.mark.parametrize(
    "status",
    [
        DagsterRunStatus.QUEUED,
        DagsterRunStatus.NOT_STARTED,
        DagsterRunStatus.STARTING,
        DagsterRunStatus.STARTED,
        DagsterRunStatus.CANCELING,
    ],
)
def test_work_is_active_while_a_run_of_it_isnt_finished(instance: DagsterInstance, status: DagsterRunStatus) -> None:
    start(instance, HOUR, status)
    start(instance, EARLIER, status, kind="again")
    assert active_work(instance) == {Due("image", HOUR, "new"), Due("image", EARLIER, "again")}


@pytest.mark.parametrize("status", [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED])
def test_a_finished_run_is_no_reason_not_to_ask(instance: DagsterInstance, status: DagsterRunStatus) -> None:
    start(instance, HOUR, status)
    assert active_work(instance) == set()


def test_a_backfill_carries_no_hour_and_covers_none(instance: DagsterInstance) -> None:
    start(instance, HOUR, DagsterRunStatus.STARTED, by_sensor=False)
    assert active_work(instance) == set()


# Both sensors


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_nothing_to_do_is_asked_for_nothing(sensor: SensorDefinition, gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.done()
    for _ in range(2):
        let_a_moment_pass(gallery)
        assert tick(sensor, instance) == ([], [])


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_a_run_is_asked_for_until_there_is_one_and_again_when_it_died(
    sensor: SensorDefinition, gallery: Gallery, instance: DagsterInstance
) -> None:
    gallery.upload()
    assert tick(sensor, instance)[0] == [key_of(HOUR)]
    let_a_moment_pass(gallery)  # the tick's answer got lost: no run was made
    assert tick(sensor, instance)[0] == [key_of(HOUR)]
    let_a_moment_pass(gallery)

    run_id = start(instance, HOUR, DagsterRunStatus.QUEUED)
    assert tick(sensor, instance)[0] == []
    assert tick(sensor, instance)[0] == []

    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_failed(run)  # killed before it did anything
    assert tick(sensor, instance)[0] == [key_of(HOUR)]


def test_the_sensors_dont_ask_for_the_same_hour_in_one_moment(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.upload()
    assert tick(s3_upload_sensor, instance)[0] == [key_of(HOUR)]
    assert tick(pending_work_sensor, instance)[0] == []
    gallery.upload("b.jpg", EARLIER)
    assert tick(pending_work_sensor, instance)[0] == [key_of(EARLIER)]


def test_a_tick_waits_for_work(gallery: Gallery, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_SENSOR_WAIT_SECONDS", "20")
    get_settings.cache_clear()
    threading.Timer(0.5, gallery.upload).start()
    assert tick(pending_work_sensor, instance)[0] == [key_of(HOUR)]


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_every_hour_with_due_work_newest_first(sensor: SensorDefinition, gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.upload("a.jpg", EARLIEST)
    gallery.probed(gallery.upload("b.jpg", HOUR))
    gallery.done("c.jpg", EARLIER)
    assert tick(sensor, instance)[0] == [key_of(HOUR), key_of(EARLIEST)]


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_a_run_says_what_it_was_asked_for(sensor: SensorDefinition, gallery: Gallery, instance: DagsterInstance) -> None:
    """New uploads, retries, recomputations: from the state alone, whichever sensor asks."""
    first, retried, again, elsewhere = (gallery.upload(name) for name in ("fresh.jpg", "retried.jpg", "again.jpg", "later.jpg"))
    gallery.failed(retried, "probe", retry_at=datetime.now(UTC) - timedelta(seconds=1))
    gallery.failed(elsewhere, "probe", retry_at=datetime.now(UTC) + timedelta(minutes=1))
    gallery.failed(again, "probe", retry_at=None)
    request_reprocessing(gallery.store, [again], ["probe"], reason="the bug is fixed")

    fresh, recomputing = evaluated(sensor, instance).run_requests or ()
    began = {event.item_id: str(event.event_id) for event in gallery.store.all() if event.type == "UploadReceived"}
    assert why(fresh.tags) == {
        "first_tries": "1",
        "retries": "1",
        "uploads": "2",
        **{f"upload.{number}": began[item] for number, item in enumerate((first, retried), start=1)},
    }
    assert why(recomputing.tags) == {"recomputations": "1", "uploads": "1", "upload.1": began[again]}


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_an_upload_waits_for_no_run_that_recomputes(
    sensor: SensorDefinition, gallery: Gallery, instance: DagsterInstance
) -> None:
    old = gallery.done("old.jpg")
    request_reprocessing(gallery.store, [old], ["probe"], reason="better measurements")
    assert tick(sensor, instance)[0] == [f"image again {key_of(HOUR)}"]
    start(instance, HOUR, DagsterRunStatus.STARTED, by_sensor=False, tags={"dagster/backfill": "all of it"})
    start(instance, HOUR, DagsterRunStatus.STARTED, kind="again")
    gallery.upload("new.jpg")
    assert tick(sensor, instance)[0] == [key_of(HOUR)]
    start(instance, HOUR, DagsterRunStatus.QUEUED)
    let_a_moment_pass(gallery)
    assert tick(sensor, instance)[0] == []


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_detection_has_runs_of_its_own(sensor: SensorDefinition, gallery: Gallery, instance: DagsterInstance) -> None:
    item = gallery.upload()
    gallery.probed(item)
    gallery.thumbnailed(item)
    assert tick(sensor, instance)[0] == [key_of(HOUR), f"detection new {key_of(HOUR)}"]
    start(instance, HOUR, DagsterRunStatus.STARTED)
    let_a_moment_pass(gallery)
    assert tick(sensor, instance)[0] == [f"detection new {key_of(HOUR)}"]


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_videos_and_jobs_on_them_have_runs_of_their_own(
    sensor: SensorDefinition, cinema: Cinema, instance: DagsterInstance
) -> None:
    video = cinema.video("film.mp4", EARLIER)
    assert tick(sensor, instance)[0] == [f"video new {key_of(EARLIER)}"]
    cinema.framed(video, 480, hour=EARLIER)
    cinema.segmented(video, 10_000)
    let_a_moment_pass(cinema)
    assert tick(sensor, instance)[0] == [key_of(EARLIER)]  # its frame is a picture
    job = cinema.job(video, hour=EARLIER)
    request_reprocessing(cinema.store, [video], ["frames"], reason="a better eye")
    let_a_moment_pass(cinema)
    hour = key_of(EARLIER)
    assert tick(sensor, instance)[0] == [hour, f"video new {hour}", f"video again {hour}"]
    cinema.segmented(video, 5000, 10_000, job=job)
    let_a_moment_pass(cinema)
    assert tick(sensor, instance)[0] == [hour, f"video again {hour}"]


# The upload sensor


def put(gallery: Gallery, *names: str, at: datetime | None = None) -> None:
    """Uploads of whose arrival the queue tells."""
    for name in names:
        key = f"uploads/ada/{name}"
        version = gallery.s3.put_object(Bucket=gallery.bucket, Key=key, Body=b"x")["VersionId"]
        entry = record(key, at=at or ARRIVAL, versionId=version, sequencer=f"{gallery.store.head():018}")
        entry["s3"]["bucket"]["name"] = gallery.bucket
        boto3.client("sqs").send_message(QueueUrl=get_settings().upload_queue_url, MessageBody=json.dumps({"Records": [entry]}))


def test_uploads_are_appended_reported_and_asked_runs_for(gallery: Gallery, instance: DagsterInstance) -> None:
    put(gallery, "a.jpg", "b.jpg")
    put(gallery, "late.jpg", at=EARLIER)
    asked, arrivals = tick(s3_upload_sensor, instance)
    assert asked == [key_of(HOUR), key_of(EARLIER)]
    assert [(event.asset_key.to_user_string(), event.partition, event.metadata["arrived"].value) for event in arrivals] == [
        ("uploads", key_of(EARLIER), 1),
        ("uploads", key_of(HOUR), 2),
    ]
    assert gallery.store.head() == 3
    let_a_moment_pass(gallery)
    assert tick(s3_upload_sensor, instance) == ([key_of(HOUR), key_of(EARLIER)], [])  # nothing arrived since


def test_an_upload_from_the_future_doesnt_fail_the_tick(gallery: Gallery, instance: DagsterInstance) -> None:
    put(gallery, "early.jpg", at=datetime.now(UTC) + timedelta(days=3))
    put(gallery, "older-than-the-first-hour.jpg", at=datetime(2001, 1, 1, tzinfo=UTC))
    asked, _ = tick(s3_upload_sensor, instance)
    assert asked == [key_of(hour_of(datetime.now(UTC))), key_of(get_settings().first_hour)]


def test_a_message_that_nobody_can_read_doesnt_fail_the_tick(
    gallery: Gallery, instance: DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    boto3.client("sqs").send_message(QueueUrl=get_settings().upload_queue_url, MessageBody="uploads/ada/secret")
    put(gallery, "a.jpg")
    assert tick(s3_upload_sensor, instance)[0] == [key_of(HOUR)]
    assert "secret" not in caplog.text


# The other one


def test_a_retry_is_asked_for_when_its_time_has_come(gallery: Gallery, instance: DagsterInstance) -> None:
    item = gallery.upload()
    gallery.failed(item, "probe", retry_at=datetime.now(UTC) + timedelta(minutes=1))
    assert tick(pending_work_sensor, instance)[0] == []
    gallery.failed(item, "probe", retry_at=datetime.now(UTC) - timedelta(seconds=1))
    assert tick(pending_work_sensor, instance)[0] == [key_of(HOUR)]


def test_claimed_work_is_somebodys_already(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.upload()
    claims = Claims(gallery.store.engine, run_id="run", lease_seconds=30)
    claims.take(STEPS["probe"], [HOUR], 10)
    assert tick(pending_work_sensor, instance)[0] == []
    claims.release_all()
    assert tick(pending_work_sensor, instance)[0] == [key_of(HOUR)]


def test_work_behind_an_open_breaker_is_not_due(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.upload()
    trip(gallery.store.engine, "probe", "down", base_seconds=60, max_seconds=60)
    assert tick(pending_work_sensor, instance)[0] == []
    gallery.probed(gallery.upload("b.jpg", EARLIER))  # thumbnails work
    assert tick(pending_work_sensor, instance)[0] == [key_of(EARLIER)]


def test_a_target_that_is_left_alone_is_named_where_no_run_is_asked_for(gallery: Gallery, instance: DagsterInstance) -> None:
    assert evaluated(pending_work_sensor, instance).skip_message == "nothing is due that has no run"
    gallery.upload()
    trip(gallery.store.engine, "probe", "no answer", base_seconds=60, max_seconds=60)
    said = evaluated(pending_work_sensor, instance).skip_message
    assert re.fullmatch(r"probe is paused until 20\S+ \S+ UTC; it failed once: no answer", said or "")


def test_a_check_tells_of_a_target_that_fails_and_when_it_answers_again(gallery: Gallery, instance: DagsterInstance) -> None:
    """A run that finds its target down fails before its checks."""
    engine = gallery.store.engine

    def news(cursor: str | None) -> tuple[dict[str, bool], str | None]:
        data = evaluated(pending_work_sensor, instance, cursor)
        told = [event for event in data.asset_events if isinstance(event, AssetCheckEvaluation)]
        assert {each.asset_check_key for each in told} <= defs.resolve_asset_graph().asset_check_keys
        return {each.check_name: each.passed for each in told}, data.cursor

    assert news(None)[0] == {}
    trip(engine, "detect@ecs", "no capacity", base_seconds=-1, max_seconds=60)
    told, cursor = news(None)
    assert told == {"detections_targets_answer": False}
    assert news(cursor)[0] == {}
    trip(engine, "detect@ecs", "no capacity", base_seconds=-1, max_seconds=60)  # the next batch tried it in vain
    told, cursor = news(cursor)
    assert told == {"detections_targets_answer": False}
    with engine.begin() as connection:
        reset(connection, "detect@ecs")
    assert news(cursor)[0] == {"detections_targets_answer": True}


def test_dead_work_comes_back_only_when_somebody_asks(gallery: Gallery, instance: DagsterInstance) -> None:
    item = gallery.upload()
    gallery.failed(item, "probe", retry_at=None)
    assert tick(pending_work_sensor, instance)[0] == []
    request_reprocessing(gallery.store, [item], ["probe"], reason="the bug is fixed")
    assert tick(pending_work_sensor, instance)[0] == [f"image again {key_of(HOUR)}"]


def test_results_of_an_older_recipe_start_nothing(
    gallery: Gallery, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.done()
    monkeypatch.setenv("MEDIA_THUMBNAIL_QUALITY", "50")
    get_settings.cache_clear()
    assert tick(pending_work_sensor, instance)[0] == []
