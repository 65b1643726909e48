"""`media-assets erase`: what it asks, what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from media_assets.cli import connection
from media_assets.cli.commands import app
from media_assets.cli.output import CommandError
from media_assets.eventlog.items import ItemErasedError, ItemNotFoundError
from tests.unit.erasure.conftest import KEY, Album


@pytest.fixture(autouse=True)
def _connected(album: Album) -> Iterator[None]:
    """The command line talks to the album."""
    caches = (connection.settings, connection.store, connection.s3)
    for cache in caches:
        cache.cache_clear()
    yield
    connection.store().engine.dispose()
    for cache in caches:
        cache.cache_clear()


def run(*arguments: str, expect: int = 0) -> Result:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == expect, done.output
    return done


def receipts(*arguments: str) -> list[dict[str, Any]]:
    return list(json.loads(run("erase", *arguments, "--yes", "--json").stdout))


def test_the_receipt_of_an_erasure_and_of_the_next_one(album: Album) -> None:
    cat = album.gallery.done("cat.jpg")
    [first] = receipts(KEY, str(cat), "--reason", "request 4711")
    assert set(first) == {
        "item_id", "user_id", "erased_at", "frames", "jobs", "removed", "second_sweep_at", "complete", "erased_before"
    }  # fmt: skip
    assert (first["item_id"], first["user_id"], first["erased_before"], first["complete"]) == (str(cat), "ada", False, False)
    assert {name: count for name, count in first["removed"].items() if name != "rows"} == {
        "payloads": 6, "vectors": 1, "object_versions": 1, "derived_objects": 3, "contact_sheets": 0
    }  # fmt: skip
    assert album.store.stream(f"item-{cat}")[-1].payload.model_dump() == {"reason": "request 4711"}
    assert album.nothing_is_left_of(cat)
    [second] = receipts(KEY)
    assert second == {**first, "erased_before": True}


def test_what_a_person_reads(album: Album) -> None:
    cat = album.gallery.done("cat.jpg")
    said = run("erase", KEY, "--yes").stdout
    assert f"item {cat} is erased" in said
    assert "payloads 6" in said
    assert "embeddings 1" in said
    assert "versions of the original 1, derived objects 3, contact sheets 0" in said
    assert "second sweep  due at" in said
    again = run("erase", str(cat)).stdout  # nothing to confirm
    assert "was erased at" in again
    assert "objects that were being written may be left until the second sweep, due at 20" in again
    album.second_sweep(cat)
    assert run("erase", KEY).stdout.endswith(" UTC; nothing is left of it\n")
    for command in ("show", "events"):
        with pytest.raises(ItemErasedError, match=f"item {cat} was erased at"):
            CliRunner().invoke(app, [command, KEY], catch_exceptions=False)
    with pytest.raises(ItemErasedError, match=f"item {cat} was erased at"):
        CliRunner().invoke(app, ["show", str(cat)], catch_exceptions=False)
    events = json.loads(run("events", str(cat), "--json").stdout)
    assert [(event["type"], event["payload"]) for event in events][-2:] == [
        ("DetectionsCompleted", None),
        ("ItemErased", {"reason": "asked for"}),
    ]


def test_nothing_is_erased_unasked(album: Album) -> None:
    album.upload()
    for arguments in (["erase", KEY], ["erase", "--user", "ada"], ["erase", KEY, "--json"]):
        with pytest.raises(CommandError, match="say --yes"):
            CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert album.objects() == [KEY]


@pytest.mark.parametrize(("answer", "erased"), [("y", True), ("", False)])
def test_a_person_at_a_terminal_is_asked(album: Album, answer: str, erased: bool) -> None:
    cat = album.upload()
    keyboard, terminal = os.openpty()
    os.write(keyboard, f"{answer}\n".encode())
    done = subprocess.run(
        [Path(sys.executable).with_name("media-assets"), "erase", KEY], stdin=terminal, capture_output=True, text=True
    )
    os.close(terminal)
    os.close(keyboard)
    assert done.returncode == (0 if erased else 1)
    assert f"s3://{album.bucket}/{KEY}" in done.stderr
    assert "Erase this for good?" in done.stderr
    assert album.nothing_is_left_of(cat) == erased


def test_one_unknown_item_and_none_is_erased(album: Album) -> None:
    album.upload()
    with pytest.raises(ItemNotFoundError, match=r"cow\.jpg"):
        CliRunner().invoke(app, ["erase", KEY, "uploads/ada/cow.jpg", "--yes"], catch_exceptions=False)
    for arguments in (["erase", "--yes"], ["erase", KEY, "--user", "ada", "--yes"], ["erase", "--user", "A b", "--yes"]):
        with pytest.raises(CommandError):
            CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert album.objects() == [KEY]


def test_everything_of_a_user(album: Album) -> None:
    items = {str(album.upload(f"uploads/ada/{number}.jpg")) for number in range(3)}
    album.put("uploads/ada/unheard.jpg")
    album.upload("uploads/bob/kept.jpg")
    found = receipts("--user", "ada")
    assert len(found) == 4
    assert items < {receipt["item_id"] for receipt in found}
    assert album.objects() == ["uploads/bob/kept.jpg"]
    assert "items of user bob that are erased: 1" in run("erase", "--user", "bob", "--yes").stdout
    again = run("erase", "--user", "ada", "--yes").stdout
    assert "items of user ada that are erased: 0" in again
    assert "4 items were erased" in again
    assert {(each["item_id"], each["erased_before"]) for each in receipts("--user", "ada")} == {
        (each["item_id"], True) for each in found
    }
    with pytest.raises(CommandError, match="no item of user 'nobody', now or erased before"):
        CliRunner().invoke(app, ["erase", "--user", "nobody", "--yes"], catch_exceptions=False)


def test_objects_that_stay_are_told_and_end_in_an_error(album: Album, monkeypatch: pytest.MonkeyPatch) -> None:
    cat = album.upload()
    album.s3.put_object_lock_configuration(
        Bucket=album.bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    album.put()
    done = run("erase", KEY, "--yes", "--json", expect=1)
    assert f"not all is removed yet, the next sweep tries again: item {cat}: S3 removed all but 1 of 2" in done.stderr
    assert [receipt["item_id"] for receipt in json.loads(done.stdout)] == [str(cat)]
    assert album.rows_of(cat) == {}
