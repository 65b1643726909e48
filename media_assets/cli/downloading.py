"""Getting files from the bucket into a folder, each as the digest in the event log says: what `--out` does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rich.progress import Progress

from media_assets.cli import connection
from media_assets.cli.output import CommandError, err, print_line

_PIECE = 1 << 20
_LONGEST_STEM_BYTES = 180
"""File systems take 255 for a name; a key's last part may be longer."""


@dataclass(frozen=True)
class Download:
    """An object that the log has the digest (SHA-256, hex) of, and the name that it gets in a folder."""

    key: str
    sha256: str
    name: str


def segments_of_job(found: Mapping[str, Any]) -> list[Download]:
    """A job's segments, under the names that they have in the bucket. `found` is what `describe_job` says."""
    return [Download(each["key"], each["sha256"], PurePosixPath(each["key"]).name) for each in found["segments"]]


def files_of_item(found: Mapping[str, Any]) -> list[Download]:
    """What there is of an item: a picture's thumbnails, a video's frames and the segments it was cut into without a job.

    Named after the upload: `cat_256px.webp`, `bikes_frame_00-00-05.344.jpg`, `bikes_segment_000.mp4`, and of a frame
    `bikes_frame_00-00-05.344_256px.webp`. `found` is what `describe` says.
    """
    stem, video = _named_after(found), found["video"] or {"frames": [], "segments": []}
    named = [
        *((each, f"{each['size']}px") for each in found["thumbnails"]),
        *((each, _frame_name(each["timecode_ms"])) for each in video["frames"] if each["sha256"]),
        *((each, f"segment_{each['index']:03d}") for each in video["segments"]),
    ]
    return [Download(each["key"], each["sha256"], f"{stem}_{name}{PurePosixPath(each['key']).suffix}") for each, name in named]


def download(bucket: str, files: Sequence[Download], folder: Path) -> list[Path]:
    """Write them into a folder, which is made if need be.

    What is there already is kept. Raises CommandError for a folder that can't be written, for a file of that name with other
    content, and for an object that isn't what the log says.
    """
    _make(folder)
    paths = []
    with Progress(console=err, transient=True) as progress:
        for file in progress.track(files, description="downloading"):
            path = folder / file.name
            if path.is_dir():
                raise CommandError(f"{path} exists, and is a folder: name another folder for the downloads")
            if path.exists():
                with path.open("rb") as there:
                    if hashlib.file_digest(there, "sha256").hexdigest() != file.sha256:
                        raise CommandError(f"{path} exists, and is another file: name another folder")
            else:
                _fetch(bucket, file, path)
            paths.append(path)
    return paths


def print_paths(paths: Sequence[Path]) -> None:
    for path in paths:
        print_line(f"  {path}")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"the folder {folder} can't be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CommandError(f"the folder {folder} can't be written")


def _fetch(bucket: str, file: Download, path: Path) -> None:
    body = connection.s3().get_object(Bucket=bucket, Key=file.key)["Body"]
    digest = hashlib.sha256()
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as unfinished:
            for piece in body.iter_chunks(_PIECE):
                digest.update(piece)
                unfinished.write(piece)
        if digest.hexdigest() != file.sha256:
            raise CommandError(f"s3://{bucket}/{file.key} is not what the event log says: its digest is another one")
        partial.rename(path)
    except OSError as error:
        raise CommandError(f"{path} can't be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def _named_after(found: Mapping[str, Any]) -> str:
    parent = found["parent"]
    if parent is None or parent["key"] is None:
        return _stem(found["key"])
    return f"{_stem(parent['key'])}_{_frame_name(parent['timecode_ms'])}"


def _stem(key: str) -> str:
    """A key's last part without its suffix, as a part of a file's name."""
    printable = "".join(each if each.isprintable() else "_" for each in PurePosixPath(key).stem)
    return printable.encode()[:_LONGEST_STEM_BYTES].decode(errors="ignore")


def _frame_name(timecode_ms: int) -> str:
    seconds, milliseconds = divmod(timecode_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"frame_{hours:02}-{minutes:02}-{seconds:02}.{milliseconds:03}"
