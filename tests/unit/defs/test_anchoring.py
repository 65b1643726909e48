"""The log is anchored every hour, and a log that was tampered with is found by the run and by the daily check."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from dagster import DagsterInstance

from media_assets.anchors.bucket import AnchorBucket
from media_assets.definitions import defs
from media_assets.defs.checks.event_log import chain_is_intact
from media_assets.settings import get_settings
from tests.conftest import Database
from tests.unit.anchors.locked import locked_bucket
from tests.unit.defs.conftest import evaluate
from tests.unit.defs.gallery import Gallery
from tests.unit.eventlog.lives import Life
from tests.unit.eventlog.tampering import RECOMPUTE_HASHES, deletion, tampered


@pytest.fixture
def anchors(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> AnchorBucket:
    """A locked bucket that settings name."""
    s3: Any = boto3.client("s3")
    name = locked_bucket(s3)
    monkeypatch.setenv("MEDIA_ANCHOR_BUCKET", name)
    get_settings.cache_clear()
    return AnchorBucket(s3, name)


def anchor(instance: DagsterInstance) -> Any:
    job = defs.resolve_job_def("anchor_log_job")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def test_each_run_anchors_what_was_appended_since_the_last_one(
    database: Database, anchors: AnchorBucket, instance: DagsterInstance
) -> None:
    for head in (6, 12):
        database.store.append(Life(f"uploads/ada/{head}.jpg").done())
        assert anchor(instance).success
        assert anchor(instance).success  # nothing was appended: no further anchor
        assert anchors.newest_position() == head
    assert [known.position for known in anchors.read().known] == [6, 12]


def test_a_run_on_a_broken_log_fails_and_says_where(
    database: Database, anchors: AnchorBucket, instance: DagsterInstance
) -> None:
    database.store.append(Life().done())
    tampered(database, "UPDATE events SET user_id = 'eve' WHERE position = 4")
    result = anchor(instance)
    assert not result.success
    [failure] = result.get_step_failure_events()
    said = str(failure.event_specific_data.error.cause or failure.event_specific_data.error)
    assert f"the log is broken at position 4 (version 4 of stream {Life().stream_id})" in said
    assert anchors.newest_position() == 0


def test_the_daily_check_finds_what_was_done_to_the_log(
    database: Database, anchors: AnchorBucket, instance: DagsterInstance
) -> None:
    database.store.append(Life().done())
    assert anchor(instance).success
    evaluation = evaluate(chain_is_intact, instance)
    assert evaluation.passed
    assert {name: value.value for name, value in evaluation.metadata.items()} == {
        "events": 6,
        "anchors": 1,
        "hash": database.store.since(5)[0].hash.hex(),
    }

    tampered(database, "UPDATE events SET user_id = 'eve' WHERE position = 3", RECOMPUTE_HASHES)
    evaluation = evaluate(chain_is_intact, instance)
    assert not evaluation.passed
    assert evaluation.metadata["broken_at"].value == 6
    assert "an anchor says" in str(evaluation.metadata["found"].value)


def test_the_daily_check_finds_what_was_done_to_anchors(
    database: Database, anchors: AnchorBucket, instance: DagsterInstance
) -> None:
    database.store.append(Life().done())
    assert anchor(instance).success
    key = "anchors/00000000000000000006.json"
    boto3.client("s3").delete_object(Bucket=get_settings().anchor_bucket, Key=key)
    evaluation = evaluate(chain_is_intact, instance)
    assert not evaluation.passed
    assert str(evaluation.metadata["tampering_with_anchors"].value).startswith(f"{key} was deleted at ")


def test_without_a_bucket_the_check_says_so_and_sees_no_cut_tail(
    database: Database, gallery: Gallery, instance: DagsterInstance
) -> None:
    database.store.append(Life().done())
    tampered(database, *deletion("position > 3"))
    evaluation = evaluate(chain_is_intact, instance)
    assert evaluation.passed
    assert evaluation.metadata["anchors"].value == "no bucket is configured"


def test_without_a_bucket_a_run_says_what_is_missing(gallery: Gallery, instance: DagsterInstance) -> None:
    [failure] = anchor(instance).get_step_failure_events()
    assert "MEDIA_ANCHOR_BUCKET is not set" in str(failure.event_specific_data.error)
