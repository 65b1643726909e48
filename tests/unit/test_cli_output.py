"""What the command line prints is text: no key, path or query is taken for markup, and files are told one by one."""

from __future__ import annotations

import os
from pathlib import Path

import boto3
import pytest

from media_assets.cli.output import CommandError, plain, print_line, print_table
from media_assets.cli.uploading import check_user, find_files, irregular_files, put

HOSTILE = "[/red] [bold]x[/bold] \x1b[2J"


def test_markup_and_control_characters_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HOSTILE, ("key", "summary"), [(HOSTILE, HOSTILE)])
    print_line(HOSTILE, "red")
    printed = capsys.readouterr().out
    assert "\x1b[2J" not in printed
    assert printed.count("[/red] [bold]x[/bold] \\x1b[2J") >= 2


def test_plain_text_keeps_lines() -> None:
    assert plain("a\nb\tc").plain == "a\nb\\x09c"


def test_folders_keep_their_structure_and_hidden_files_stay_out(tmp_path: Path) -> None:
    for name in ("album/a.jpg", "album/deep/b.jpg", "album/.hidden/c.jpg", "album/.d.jpg", "e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    files = find_files([tmp_path / "album", tmp_path / "e.jpg"])
    assert [name for _, name in files] == ["album/a.jpg", "album/deep/b.jpg", "e.jpg"]


def test_what_is_neither_file_nor_folder_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert irregular_files([tmp_path, tmp_path / "a.jpg"]) == 0
    for name in ("link.jpg", ".hidden.jpg"):
        (tmp_path / name).symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert irregular_files([tmp_path, tmp_path / "a.jpg"]) == 2
    assert [path.name for path, _ in find_files([tmp_path])] == ["a.jpg"]


def test_two_files_of_one_name_are_refused_before_anything_is_uploaded(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.jpg").write_bytes(b"x")
    with pytest.raises(CommandError, match=r"would both be same\.jpg"):
        find_files([tmp_path / "one" / "same.jpg", tmp_path / "two" / "same.jpg"])


def test_a_folder_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no file in"):
        find_files([tmp_path])


@pytest.mark.parametrize("user", ["", "Bad User", "../x", "ada/", "a" * 65, "ada\n"])
def test_a_user_is_what_the_help_says(user: str) -> None:
    with pytest.raises(CommandError, match="is no user"):
        check_user(user)
    check_user("ada-99")


@pytest.mark.parametrize("name", [b"bad\xff.jpg", b"esc\x1b.jpg"])
def test_a_name_that_is_no_text_fails_alone(aws: str, tmp_path: Path, name: bytes) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="names")
    file = tmp_path / name.decode("utf-8", "surrogateescape")
    file.write_bytes(b"x")
    upload = put(s3, "names", file, f"uploads/ada/{file.name}")
    assert (upload.state, upload.code) == ("failed", "unreadable")
    assert upload.message == "the name has characters that are no text; rename the file"
    assert upload.as_json()["path"].endswith(".jpg")
    assert "Contents" not in s3.list_objects_v2(Bucket="names")


def test_a_file_that_is_gone_fails_alone(aws: str, tmp_path: Path) -> None:
    upload = put(boto3.client("s3"), "names", tmp_path / "gone.jpg", "uploads/ada/gone.jpg")
    assert upload.state == "failed"
    assert "No such file" in str(upload.message)
