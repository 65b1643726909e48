"""`media-assets verify`, `replay` and `rebuild`: what they say, and their exit status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner, Result

from media_assets.cli import connection
from media_assets.cli.commands import app
from media_assets.cli.output import CommandError
from media_assets.settings import get_settings
from tests.conftest import Database
from tests.unit.anchors.locked import locked_bucket
from tests.unit.defs.owner import as_owner
from tests.unit.eventlog.lives import Life
from tests.unit.eventlog.tampering import RECOMPUTE_HASHES, deletion, tampered

CACHED = (connection.settings, connection.store, connection.s3)


@pytest.fixture(autouse=True)
def system(aws: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment names a log of ten events and a bucket for anchors."""
    for name, value in {
        "DATABASE_URL": database.application_url,
        "MEDIA_OWNER_DATABASE_URL": database.owner_url,
        "MEDIA_ANCHOR_BUCKET": locked_bucket(boto3.client("s3")),
    }.items():
        monkeypatch.setenv(name, value)
    _forget()
    database.store.append([*Life("uploads/ada/cat.jpg").done(), *Life("uploads/ada/dog.jpg").done()])
    yield
    connection.store().engine.dispose()
    _forget()


def media_assets(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def as_json(*arguments: str, exit_code: int = 0) -> Any:
    result = media_assets(*arguments, "--json")
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def test_verify_says_what_it_has_proved(database: Database) -> None:
    head_hash = database.store.since(11)[0].hash.hex()
    described = as_json("verify", "--anchor")
    assert described.pop("events_per_second") > 0
    assert described == {
        "intact": True,
        "events": 12,
        "head": 12,
        "hash": head_hash,
        "anchors": 0,
        "broken": None,
        "evidence": [],
        "anchored": 12,
    }
    again = as_json("verify", "--anchor", "--since", "4")
    assert (again["events"], again["anchors"], again["anchored"]) == (8, 1, None)
    said = media_assets("verify").stdout
    assert said.startswith("intact: 12 events up to position 12 (")
    assert said.endswith(f" 1 anchor agrees; hash {head_hash}\n")
    assert media_assets("verify", "--anchor").stdout.endswith("\nposition 12 is anchored already\n")


def test_what_follows_a_position_that_there_never_was(database: Database) -> None:
    assert str(media_assets("verify", "--since", "99").exception) == "there is no position 99; the log ends at 12"
    assert media_assets("verify", "--anchor").stdout.endswith("\nanchored position 12\n")
    assert isinstance(media_assets("verify", "--since", "99").exception, CommandError)
    tampered(database, *deletion("position > 8"))
    described = as_json("verify", "--since", "99", exit_code=1)
    assert described["broken"]["position"] == 9
    assert described["broken"]["reason"] == ("the log ends at position 8, an anchor knows an event at 12: the end was cut off")


@pytest.mark.parametrize("command", [["verify"], ["replay", "--verify"], ["rebuild"]])
def test_tables_that_no_migration_made_are_named(database: Database, command: list[str]) -> None:
    as_owner(database, "ALTER TABLE events RENAME COLUMN user_id TO owner_id")
    error = media_assets(*command).exception
    assert isinstance(error, CommandError)
    assert str(error).startswith("the database isn't what this version's migrations make of it: ")
    assert "user_id" in str(error)
    assert "\n" not in str(error)


def test_a_break_is_named_and_is_exit_status_1(database: Database) -> None:
    assert as_json("verify", "--anchor")["anchored"] == 12
    tampered(database, "UPDATE events SET user_id = 'eve' WHERE position = 8")
    described = as_json("verify", exit_code=1)
    stream = Life("uploads/ada/dog.jpg").stream_id
    assert described["intact"] is False
    assert {**described["broken"], "reason": ""} == {"position": 8, "stream_id": stream, "version": 2, "reason": ""}
    result = media_assets("verify")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"the log is broken at position 8 (version 2 of stream {stream}): its hash should be ")
    assert media_assets("verify", "--since", "8").exit_code == 0
    tampered(database, RECOMPUTE_HASHES)
    assert as_json("verify", exit_code=1)["broken"]["position"] == 12


def test_a_broken_log_is_not_anchored(database: Database) -> None:
    tampered(database, *deletion("position = 3"))
    assert as_json("verify", "--anchor", exit_code=1)["anchored"] is None
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=get_settings().anchor_bucket)


def test_tampering_with_anchors_is_exit_status_1_too(database: Database) -> None:
    as_json("verify", "--anchor")
    key = "anchors/00000000000000000010.json"
    boto3.client("s3").delete_object(Bucket=get_settings().anchor_bucket, Key=key)
    described = as_json("verify", exit_code=1)
    assert (described["intact"], described["broken"], described["anchors"]) == (False, None, 1)
    assert described["evidence"][0].startswith(f"{key} was deleted at ")
    assert f"\n{key} was deleted at " in media_assets("verify").stdout


def test_without_a_bucket_for_anchors_verify_says_what_it_cannot_find(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEDIA_ANCHOR_BUCKET")
    _forget()
    tampered(database, *deletion("position > 8"))
    described = as_json("verify")
    assert (described["intact"], described["anchors"]) == (True, None)
    assert "there are no anchors to compare with, since MEDIA_ANCHOR_BUCKET is not set" in media_assets("verify").stdout
    assert "MEDIA_ANCHOR_BUCKET is not set" in str(media_assets("verify", "--anchor").exception)


def test_rebuild_mends_what_replay_finds(database: Database) -> None:
    assert media_assets("replay").exit_code == 1
    assert as_json("replay", "--verify")["identical"] is True
    as_owner(database, "UPDATE items SET state = 'rejected'")
    as_owner(database, "DELETE FROM thumbnails WHERE size = 256")
    differing = as_json("replay", "--verify", exit_code=1)
    assert differing["identical"] is False
    assert differing["differing"] == [
        {"read_model": "thumbnails", "live_rows": 2, "replayed_rows": 4},
        {"read_model": "items", "live_rows": 2, "replayed_rows": 2},
    ]
    said = media_assets("replay", "--verify")
    assert "\n  thumbnails (2 rows live, 4 replayed)\n  items (2 rows live, 2 replayed)\n" in said.stdout
    assert "media-assets rebuild" in said.stderr
    rebuilt = as_json("rebuild")
    assert rebuilt["events"] == 12
    assert rebuilt["events_per_second"] == pytest.approx(12 / rebuilt["seconds"], abs=1)
    assert 0 < rebuilt["appends_waited_seconds"] < rebuilt["seconds"]
    replayed = as_json("replay", "--verify")
    assert (replayed["identical"], replayed["events"]) == (True, 12)
    assert replayed["events_per_second"] > 0
    assert media_assets("rebuild").stdout.startswith("rebuilt from 12 events in ")


def _forget() -> None:
    get_settings.cache_clear()
    for cached in CACHED:
        cached.cache_clear()
