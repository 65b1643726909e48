"""`media-assets show ITEM --out`: what there is of an item, in a folder, under names for people. Jobs: test_cli_segment.py."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from media_assets.cli.commands import app
from media_assets.cli.downloading import files_of_item
from media_assets.cli.output import CommandError
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.store import EventStore
from tests.conftest import Database
from tests.unit.command_line import said, talking_to, told
from tests.unit.eventlog.films import Film
from tests.unit.eventlog.lives import Life

bikes, cat = Film(), Life()
TIMES = (1500, 4000)


@pytest.fixture
def store(aws: str, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventStore]:
    """The log that the command line talks to, beside a bucket."""
    boto3.client("s3").create_bucket(Bucket="photos")
    with talking_to(database, monkeypatch):
        yield database.store


def with_files(event: NewEvent, field: str) -> NewEvent:
    """The event, and in the bucket the files that it tells of: the bytes of each are its key."""
    files = tuple(
        each.model_copy(update={"sha256": hashlib.sha256(each.key.encode()).hexdigest()})
        for each in getattr(event.payload, field)
    )
    for each in files:
        boto3.client("s3").put_object(Bucket="photos", Key=each.key, Body=each.key.encode())
    return event.model_copy(update={"payload": event.payload.model_copy(update={field: files})})


def refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as raised:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    return str(raised.value)


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_pictures_thumbnails(store: EventStore, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cat"
    store.append([cat.upload(), cat.probed()])
    assert refused("show", cat.key, "--out", str(folder)) == (
        "uploads/ada/cat.jpg is processing: it has no files to download yet"
    )
    assert not folder.parent.exists()

    store.append([with_files(cat.thumbnails(), "thumbnails")])
    downloaded = CliRunner().invoke(app, ["show", cat.key, "--out", str(folder)], catch_exceptions=False)
    assert str(folder / "cat_800px.webp") in downloaded.stdout
    assert "uploads/ada/cat.jpg is processing: later there may be more files" in downloaded.stderr
    files = {"cat_256px.webp": "derived/v1/r1/0/256.webp", "cat_800px.webp": "derived/v1/r1/0/800.webp"}
    assert content(folder) == files
    assert told("show", cat.key, "--out", str(folder)) == told("show", cat.key)  # what is there is kept

    (folder / "cat_256px.webp").write_text("mine")
    assert "cat_256px.webp exists, and is another file: name another folder" in refused("show", cat.key, "--out", str(folder))
    assert content(folder) == {**files, "cat_256px.webp": "mine"}
    boto3.client("s3").put_object(Bucket="photos", Key="derived/v1/r1/0/800.webp", Body=b"changed")
    assert "is not what the event log says" in refused("show", cat.key, "--out", str(tmp_path / "other"))
    assert list(content(tmp_path / "other")) == ["cat_256px.webp"]


def test_a_videos_frames_and_own_segments(store: EventStore, tmp_path: Path) -> None:
    [extracted, *received] = bikes.watched(times=TIMES)
    segmented = with_files(bikes.segmented(), "segments")
    store.append([*bikes.ready(), with_files(extracted, "frames"), *received, segmented])
    said("show", bikes.key, "--out", str(tmp_path))
    assert content(tmp_path) == {
        "bikes_frame_00-00-01.500.jpg": bikes.frame(1500).key,
        "bikes_frame_00-00-04.000.jpg": bikes.frame(4000).key,
        "bikes_segment_000.mp4": segmented.payload.segments[0].key,  # type: ignore[attr-defined]
        "bikes_segment_001.mp4": segmented.payload.segments[1].key,  # type: ignore[attr-defined]
    }
    frame = bikes.frame(4000)
    store.append([with_files(frame.thumbnails("f1"), "thumbnails")])
    said("show", frame.key, "--out", str(tmp_path))
    assert content(tmp_path)["bikes_frame_00-00-04.000_256px.webp"] == "derived/f1/r1/0/256.webp"


def test_frames_that_were_taken_anew_have_digests_of_their_own(store: EventStore) -> None:
    store.append([*bikes.ready(), *bikes.watched(times=TIMES), bikes.segmented(), bikes.reprocess("frames")])
    [extracted, *received] = bikes.watched(times=(2000,), generation=1)
    store.append([with_files(extracted, "frames"), *received])
    [frame] = told("show", bikes.key)["video"]["frames"]
    assert frame["sha256"] == hashlib.sha256(bikes.frame(2000, generation=1).key.encode()).hexdigest()


def test_a_folder_that_cant_be_made(store: EventStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store.append([cat.upload(), cat.probed(), with_files(cat.thumbnails(), "thumbnails")])
    folder = tmp_path / "file" / "folder"
    assert refused("show", cat.key, "--out", str(folder)) == f"the folder {folder} can't be made: Not a directory"


@pytest.mark.parametrize("key", ["uploads/ada/\x1b[2Jé" + 300 * "é" + ".jpg", "uploads/ada/..", "uploads/ada/a/", "x"])
def test_whatever_a_key_is_its_files_have_names(key: str) -> None:
    thumbnails = [{"size": size, "key": f"derived/{size}.webp", "sha256": ""} for size in (256, 800)]
    item: dict[str, Any] = {"key": key, "parent": None, "video": None, "thumbnails": thumbnails}
    names = [each.name for each in files_of_item(item)]
    assert len(set(names)) == 2
    for name in names:
        assert name.isprintable()
        assert "/" not in name
        assert len(f".{name}.part".encode()) <= 255
