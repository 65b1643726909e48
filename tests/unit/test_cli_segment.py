"""`media-assets segment`, `jobs`, `job` and `cancel`: plans, jobs that are followed, and their files."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import Result
from typer.testing import CliRunner

from media_assets.cli import following
from media_assets.cli.commands import app
from media_assets.cli.output import CommandError
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.jobs import list_jobs
from media_assets.eventlog.store import EventStore
from media_assets.steps.jobs import JobRefusedError
from media_assets.steps.segment_plan import PlanError
from tests.conftest import Database
from tests.unit.command_line import said, talking_to, told
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.lives import NOON, Life, spending_stopped

bikes = Film()


@pytest.fixture
def store(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventStore]:
    """The log that the command line talks to. It has a video of ten seconds."""
    database.store.append(bikes.ready())
    monkeypatch.setattr(following, "_POLL_SECONDS", 0.05)
    with talking_to(database, monkeypatch):
        yield database.store


def refused(*arguments: str, error: type[Exception] = CommandError) -> str:
    with pytest.raises(error) as raised:
        CliRunner().invoke(app, ["segment", bikes.key, *arguments], catch_exceptions=False)
    return str(raised.value)


def submitted(store: EventStore) -> list[dict[str, Any]]:
    with store.engine.connect() as db:
        return list_jobs(db)


def meanwhile(store: EventStore, arguments: list[str], *tell: Callable[[Job], list[NewEvent]]) -> Result:
    """What a command that follows a job says, while this is told of the job, a little later each."""

    def work() -> None:
        while not (found := submitted(store)):
            time.sleep(0.02)
        for each in tell:
            time.sleep(0.1)
            store.append(each(Job(bikes, uuid.UUID(found[0]["job_id"]))))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        return CliRunner().invoke(app, ["segment", bikes.key, *arguments], catch_exceptions=False)
    finally:
        worker.join()


def test_a_plan_is_shown_and_nothing_is_stored(store: EventStore) -> None:
    head = store.head()
    plan = told("segment", bikes.key, "--fixed", "4", "--dry-run")
    assert plan["segments"] == [
        {"index": 0, "start_ms": 0, "end_ms": 4000, "text": None},
        {"index": 1, "start_ms": 4000, "end_ms": 8000, "text": None},
        {"index": 2, "start_ms": 8000, "end_ms": 10_000, "text": None},
    ]
    assert (plan["least_segments"], plan["most_segments"], plan["encodes"], plan["target"]) == (3, 3, False, "lambda")
    assert plan["options"]["cutting_options"] == {"type": "fixed", "duration_seconds": 4.0}
    assert plan["estimated_micro_dollars"] > 0
    text = said("segment", bikes.key, "--fixed", "4", "--text", "Hello [red]", "--dry-run")
    lines = [line.split() for line in text.splitlines()]
    assert ["2", "0:08", "0:10", "2", "Hello", "[red]"] in lines
    assert "3 segments, encoded anew, cut to the frame" in text
    assert "of work on Lambda (small). Nothing was stored." in text
    assert "move on to the next keyframes" in said("segment", bikes.key, "--fixed", "4", "--dry-run")
    assert store.head() == head


def test_plans_by_option(store: EventStore) -> None:
    def plan(*options: str) -> Any:
        return told("segment", bikes.key, *options, "--dry-run")

    assert len(plan()["segments"]) == 1
    random = plan("--random", "1", "3")
    assert random == plan("--random", "1", "3")
    assert random["segments"] != plan("--random", "1", "3", "--seed", "again")["segments"]
    scenes = plan("--scenes", "--min", "1", "--max", "4", "--text", "Hello")
    assert (scenes["segments"], scenes["least_segments"], scenes["most_segments"]) == (None, 3, 10)
    assert plan("--scenes", "--max", "1")["options"]["cutting_options"] == {
        "type": "scenes",
        "min_duration": 1.0,
        "max_duration": 1.0,
    }
    assert '3 to 10 segments, as scenes are found, "Hello" on each' in said(
        "segment", bikes.key, "--scenes", "--min", "1", "--max", "4", "--text", "Hello", "--dry-run"
    )
    assert plan("--exact")["encodes"]


def test_what_cant_be_copied_from_its_container_is_encoded_and_priced_so(store: EventStore) -> None:
    copied = told("segment", bikes.key, "--dry-run")
    avi = Film("uploads/ada/bikes.avi")
    probed = avi.probed()
    store.append([avi.upload(), probed.model_copy(update={"payload": probed.payload.model_copy(update={"format": "avi"})})])
    plan = told("segment", avi.key, "--dry-run")
    assert (copied["encodes"], plan["encodes"]) == (False, True)
    assert plan["estimated_micro_dollars"] > copied["estimated_micro_dollars"]


def test_large_and_long_work_is_for_ecs(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told("segment", bikes.key, "--exact", "--dry-run")["target"] == "lambda"
    large = Film("uploads/ada/large.mp4")
    upload = large.upload()
    payload = upload.payload.model_copy(update={"size_bytes": 300_000_000})
    store.append([upload.model_copy(update={"payload": payload}), large.probed()])
    plan = told("segment", large.key, "--dry-run")
    assert (plan["target"], plan["target_reason"]) == ("ecs", "many_bytes")
    assert plan["estimated_micro_dollars"] >= 1000  # a minute of a task at least


def test_a_text_for_each_segment_from_a_file(store: EventStore, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("One\nTwo\n")
    plan = told("segment", bikes.key, "--fixed", "5", "--texts", str(texts), "--dry-run")
    assert [each["text"] for each in plan["segments"]] == ["One", "Two"]
    assert refused("--fixed", "2", "--texts", str(texts), error=PlanError) == (
        "there are 2 texts for 5 segments: give one for each"
    )
    texts.write_bytes(b"\xff")
    assert "is no text in UTF-8" in refused("--texts", str(texts))
    texts.write_text("")
    assert "is empty: it has to have a line for each segment" in refused("--texts", str(texts))
    assert submitted(store) == []


NONSENSE: list[tuple[list[str], type[Exception], str]] = [
    (["--fixed", "5", "--scenes"], CommandError, "give one of --fixed, --random and --scenes"),
    (["--fixed", "5", "--min", "2"], CommandError, "--min and --max go with --scenes"),
    (["--seed", "x"], CommandError, "--seed goes with --random"),
    (["--text", "a", "--vary", "b"], CommandError, "give one of --text, --vary and --texts"),
    (["--context", "a"], CommandError, "--context goes with --vary"),
    (["--random", "5", "2"], CommandError, "min_duration is 5 s, more than max_duration, 2 s"),
    (["--fixed", "0.1"], CommandError, "--fixed 0.1: it has to be greater than or equal to 0.5"),
    (["--text", " "], CommandError, "--text: the text is blank"),
    (["--vary", " "], CommandError, "--vary: the text is blank"),
    (["--vary", "a"], JobRefusedError, "no chat model is configured"),
    (["--scenes", "--vary", "a"], PlanError, "base_vary needs to know how many segments there will be"),
    (["--detach", "--out", "x"], CommandError, "--out waits for the segments, and --detach doesn't"),
]


def test_what_makes_no_sense_is_refused_before_anything_is_stored(store: EventStore) -> None:
    for arguments, error, message in NONSENSE:
        assert message in refused(*arguments, error=error)
    assert submitted(store) == []


def test_a_job_is_followed_to_its_end(store: EventStore) -> None:
    done = meanwhile(
        store,
        ["--fixed", "5"],
        lambda job: [job.started(), job.progressed()],
        lambda job: [job.segmented(), job.completed()],
    )
    assert done.exit_code == 0
    [job] = submitted(store)
    assert f"processed/{job['job_id']}/segment_001.mp4" in done.stdout
    assert f"job {job['job_id']}: 2 segments" in done.stdout


def test_a_job_that_fails_ends_with_its_reason_and_status_1(store: EventStore) -> None:
    done = meanwhile(store, [], lambda job: [job.failed()])
    assert done.exit_code == 1
    assert "failed: timeout: given up" in done.stdout
    [job] = submitted(store)
    assert told("job", job["job_id"])["error"] == {"code": "timeout", "message": "given up"}


def test_json_is_the_job_at_its_end(store: EventStore) -> None:
    def complete(job: Job) -> list[NewEvent]:
        return [job.segmented(texts=["Hello"] * 2), job.completed()]

    job = json.loads(meanwhile(store, ["--text", "Hello", "--json"], complete).stdout)
    assert (job["state"], job["progress"], [each["text"] for each in job["segments"]]) == ("completed", 100, ["Hello"] * 2)
    assert job["options"]["text_input"]["strategy"] == "one_for_all"


def test_without_progress_it_gives_up_and_the_job_goes_on(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refused("--timeout", "1")
    [job] = submitted(store)
    assert message == f"no progress for 1 s; see media-assets status. it goes on: media-assets job {job['job_id']}"
    assert job["state"] == "pending"


def test_ctrl_c_ends_the_waiting_and_not_the_job(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(following.time, "sleep", interrupted)
    ended = CliRunner().invoke(app, ["segment", bikes.key])
    [job] = submitted(store)
    assert (ended.exit_code, job["state"]) == (130, "pending")
    assert f"It goes on: media-assets job {job['job_id']}" in ended.stderr


def test_detached_it_is_submitted_and_listed_and_can_be_cancelled(store: EventStore) -> None:
    job_id = told("segment", bikes.key, "--fixed", "5", "--detach")["job_id"]
    assert [(each["job_id"], each["state"]) for each in told("jobs", "--item", bikes.key)] == [(job_id, "pending")]
    assert told("jobs", "--user", "grace") == []
    assert "no jobs" in said("jobs", "--user", "grace")
    assert job_id in said("jobs")
    text = said("job", f"job-{job_id}")
    assert "every 5 s" in text
    assert "pending, 0 %" in text
    with pytest.raises(CommandError, match=f"job {job_id} is pending: it has no segments to download"):
        CliRunner().invoke(app, ["job", job_id, "--out", "x"], catch_exceptions=False)
    assert said("cancel", job_id, "--reason", "not wanted") == f"job {job_id} is cancelled\n"
    assert told("job", job_id)["error"] == {"code": "cancelled", "message": "not wanted"}
    with pytest.raises(CommandError, match="'x' is no job id"):
        CliRunner().invoke(app, ["cancel", "x"], catch_exceptions=False)


def test_a_job_that_waits_for_money_is_not_waited_for(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_VARY_MODEL", "gpt-4.1-mini")
    store.append([spending_stopped(day=NOON.date().replace(year=2100))])
    assert "waits for money: ada's budget" in refused("--vary", "Hello")


def finished_job(store: EventStore, bucket: str, bodies: list[bytes]) -> str:
    """A job whose segments are objects of these contents, the log says."""
    job = Job(bikes, uuid.UUID(told("segment", bikes.key, "--detach")["job_id"]))
    for index, body in enumerate(bodies):
        boto3.client("s3").put_object(Bucket=bucket, Key=f"processed/{job.job_id}/segment_{index:03d}.mp4", Body=body)
    store.append([job.segmented(number=len(bodies), bodies=bodies), job.completed(len(bodies))])
    return str(job.job_id)


def test_segments_are_downloaded_and_checked(aws: str, store: EventStore, tmp_path: Path) -> None:
    boto3.client("s3").create_bucket(Bucket="photos")
    job_id = finished_job(store, "photos", [b"one", b"two"])
    folder = tmp_path / "segments"
    assert str(folder / "segment_001.mp4") in said("job", job_id, "--out", str(folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "segment_000.mp4": b"one",
        "segment_001.mp4": b"two",
    }
    said("job", job_id, "--out", str(folder))  # what is there is kept

    (folder / "segment_000.mp4").write_bytes(b"mine")
    with pytest.raises(CommandError, match=r"segment_000\.mp4 exists, and is another file: name another folder"):
        CliRunner().invoke(app, ["job", job_id, "--out", str(folder)], catch_exceptions=False)
    boto3.client("s3").put_object(Bucket="photos", Key=f"processed/{job_id}/segment_001.mp4", Body=b"changed")
    with pytest.raises(CommandError, match="is not what the event log says"):
        CliRunner().invoke(app, ["job", job_id, "--out", str(tmp_path / "other")], catch_exceptions=False)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["segment_000.mp4"]


def test_a_file_is_uploaded_and_waited_for_until_it_is_measured(
    aws: str, store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3.client("s3").create_bucket(Bucket="photos")
    monkeypatch.setenv("MEDIA_BUCKET", "photos")
    path = tmp_path / "new.mp4"
    path.write_bytes(b"a video")
    with pytest.raises(CommandError, match="has to be measured first: media-assets upload"):
        CliRunner().invoke(app, ["segment", str(path), "--dry-run"], catch_exceptions=False)
    new = Film("uploads/ada/new.mp4")
    assert uploaded(new) == []
    worker = threading.Thread(target=probe, args=(store, new, new.probed()))
    worker.start()
    job = told("segment", str(path), "--user", "ada", "--detach")
    worker.join()
    assert (job["item_id"], job["key"], job["state"]) == (str(new.item_id), new.key, "pending")


def test_a_file_that_is_rejected_ends_it(aws: str, store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Life("uploads/ada/bad.mp4")
    boto3.client("s3").create_bucket(Bucket="photos")
    monkeypatch.setenv("MEDIA_BUCKET", "photos")
    path = tmp_path / "bad.mp4"
    path.write_bytes(b"no video")
    worker = threading.Thread(target=probe, args=(store, bad, bad.rejected()))
    worker.start()
    with pytest.raises(CommandError, match=r"bad\.mp4 is rejected: corrupt: it is corrupt"):
        CliRunner().invoke(app, ["segment", str(path), "--user", "ada"], catch_exceptions=False)
    worker.join()
    assert submitted(store) == []


def uploaded(life: Life) -> list[str]:
    """The versions of a key that are in the bucket."""
    found = boto3.client("s3").list_object_versions(Bucket="photos", Prefix=life.key)
    return [version["VersionId"] for version in found.get("Versions", [])]


def probe(store: EventStore, life: Life, outcome: NewEvent) -> None:
    """Wait for an upload, and tell the log of it with this outcome of its probe."""
    while not (versions := uploaded(life)):
        time.sleep(0.05)
    payload = outcome.payload.model_copy(update={"version_id": versions[0]})
    store.append([life.upload(versions[0]), outcome.model_copy(update={"payload": payload})])
