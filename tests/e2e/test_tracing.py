"""From an event back to its upload and its Dagster run, on a running stack."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.e2e.conftest import SAMPLES, RunningStack

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def photos(running: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Keys of a photo that is done, and reprocessed in its analysis, and of a file that was rejected."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "traced.jpg").write_bytes((SAMPLES / "rocket.jpg").read_bytes())
    (folder / "cut.jpg").write_bytes((SAMPLES / "china.jpg").read_bytes()[:5000])
    uploads = running.json("upload", folder, "--user", "tess", "--wait", expect=1)
    keys = {Path(each["path"]).stem: each["key"] for each in uploads}
    running.cli("reprocess", keys["traced"], "--step", "analyze")
    running.eventually(lambda: [e["type"] for e in running.json("events", keys["traced"])].count("EmbeddingStored") == 2)
    return keys


def tags_of(running: RunningStack, run_id: str) -> dict[str, str]:
    answer = running.graphql(f'{{ runOrError(runId: "{run_id}") {{ ... on Run {{ tags {{ key value }} }} }} }}')
    return {tag["key"]: tag["value"] for tag in answer["runOrError"]["tags"]}


def status_of(url: str) -> int:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return int(answer.status)


@pytest.mark.parametrize("name", ["traced", "cut"])
def test_every_event_names_its_upload_and_a_cause_that_is_in_the_log(
    running: RunningStack, photos: dict[str, str], name: str
) -> None:
    upload, *others = running.json("events", photos[name])
    assert (upload["correlation_id"], upload["causation_id"]) == (upload["event_id"], None)
    known = {upload["event_id"]}
    for event in others:
        assert event["correlation_id"] == upload["event_id"]
        assert event["causation_id"] in known
        known.add(event["event_id"])
    assert len(others) == (9 if name == "traced" else 2)


def test_the_tree_shows_what_led_to_what(running: RunningStack, photos: dict[str, str]) -> None:
    story: list[dict[str, Any]] = running.json("events", photos["traced"], "--tree")
    branches = [(told["depth"], told["type"], told["step"]) for told in story]
    branches.remove((3, "DetectionsCompleted", "detect"))  # before or after the analysis, whichever was sooner
    assert branches == [
        (0, "UploadReceived", None),
        (1, "MediaProbed", "probe"),
        (2, "ThumbnailCreated", "thumbnail"),
        (3, "AnalysisCompleted", "analyze"),
        (4, "EmbeddingStored", "embed"),
        (5, "ReprocessRequested", "embed"),
        (6, "EmbeddingStored", "embed"),
        (4, "ReprocessRequested", "analyze"),
        (5, "AnalysisCompleted", "analyze"),
    ]
    drawn = running.cli("events", photos["traced"], "--tree").stdout
    assert "└─ MediaProbed" in drawn
    assert "generation 1: asked for on the command line" in drawn
    assert "truncated: " in running.cli("events", photos["cut"], "--tree").stdout


def test_runs_open_in_the_ui_and_say_who_asked_for_them_and_why(running: RunningStack, photos: dict[str, str]) -> None:
    events = running.json("events", photos["traced"])
    urls = {event["run_url"] for event in events if event["run_id"]}
    assert urls == {f"{running.environment['DAGSTER_URL']}/runs/{event['run_id']}" for event in events if event["run_id"]}
    assert {status_of(url) for url in urls} == {200}

    first, last = (tags_of(running, next(e["run_id"] for e in chosen if e["run_id"])) for chosen in (events, events[::-1]))
    for tags in (first, last):
        assert tags["dagster/sensor_name"] in {"s3_upload_sensor", "pending_work_sensor"}
        assert int(tags["dagster/tick"]) > 0
        assert tags["media-assets/pipeline"] in {"image", "detection"}
        assert tags["media-assets/hour"] == tags["dagster/partition"]
        assert "uploads/" not in " ".join(tags.values())
    assert events[0]["event_id"] in first.values() or "media-assets/upload.1" not in first
    assert (last["media-assets/recomputations"], last["media-assets/upload.1"]) == ("1", events[0]["event_id"])


def test_a_functions_log_is_found_by_the_upload_and_by_the_attempt(running: RunningStack, photos: dict[str, str]) -> None:
    probed = next(event for event in running.json("events", photos["cut"]) if event["type"] == "MediaProbed")
    environment = running.environment
    logs = boto3.client(
        "logs",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name=environment["AWS_REGION"],
    )
    for wanted in (probed["correlation_id"], probed["attempt_id"]):
        lines = logs.filter_log_events(logGroupName="/aws/lambda/media-assets-local-probe", filterPattern=f'"{wanted}"')[
            "events"
        ]
        told = json.loads(lines[0]["message"])
        assert (told["started"], told["run_id"]) == ("probe", probed["run_id"])
        assert told["attempt_id"] == probed["attempt_id"]
        assert probed["correlation_id"] in told["correlation_ids"]


def test_an_event_s_id_finds_the_item(running: RunningStack, photos: dict[str, str]) -> None:
    events = running.json("events", photos["cut"])
    assert running.json("events", events[1]["event_id"]) == events
