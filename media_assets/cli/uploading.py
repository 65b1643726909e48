"""Uploading files and following them through the read models until each has come to an end."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Row, text

from media_assets.cli.output import CommandError, money_text, time_text
from media_assets.eventlog.events import item_id_of
from media_assets.eventlog.incarnations import living_items
from media_assets.steps.budgets import Stop, waiting_for_money

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_POLL_SECONDS = 0.5
_FINISHED = {"done", "rejected", "failed"}


@dataclass
class Upload:
    """A file on its way. `state`: uploaded, then done, rejected or failed; `seconds` since its PUT.

    `item_id` is the first item of the key, unless `identify` finds that it was erased.
    """

    path: Path
    key: str
    item_id: uuid.UUID
    version_id: str
    started: float
    state: str = "uploaded"
    code: str | None = None
    message: str | None = None
    seconds: float | None = None

    @property
    def shown_path(self) -> str:
        """The path with whatever isn't UTF-8 in it replaced."""
        return os.fsencode(self.path).decode("utf-8", "replace")

    @property
    def shown_key(self) -> str:
        """The key likewise."""
        return self.key.encode("utf-8", "replace").decode()

    def as_json(self) -> dict[str, Any]:
        return {
            "path": self.shown_path,
            "key": self.shown_key,
            "item_id": str(self.item_id),
            "state": self.state,
            "code": self.code,
            "message": self.message,
            "seconds": self.seconds and round(self.seconds, 2),
        }

    def finish(self, state: str, code: str | None = None, message: str | None = None) -> None:
        self.state, self.code, self.message = state, code, message
        self.seconds = time.monotonic() - self.started


def check_user(user: str) -> None:
    """Raises CommandError for a user that isn't 1 to 64 of a-z, 0-9 and '-'."""
    if not re.fullmatch(r"[a-z0-9-]{1,64}", user):
        raise CommandError(f"--user {user!r} is no user: 1 to 64 of a-z, 0-9 and '-'")


def find_files(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Files with the name each gets in the bucket: folders keep their inner structure, hidden files stay out.

    Raises CommandError if there is none, or if two would get the same name and one would replace the other.
    """
    files: list[tuple[Path, str]] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.is_file())
            files += [
                (each, (Path(path.resolve().name) / each.relative_to(path)).as_posix())
                for each in inside
                if not _is_hidden(each.relative_to(path))
            ]
        else:
            files.append((path, path.name))
    if not files:
        raise CommandError(f"no file in {', '.join(map(str, paths))}")
    named: dict[str, Path] = {}
    for path, name in files:
        if (other := named.setdefault(name, path)) is not path:
            raise CommandError(f"{other} and {path} would both be {name} in the bucket; upload them one by one, or a folder")
    return files


def irregular_files(paths: Sequence[Path]) -> int:
    """How many things in the folders `find_files` leaves out for being neither files nor folders: dangling links, pipes."""
    inside = [(each, each.relative_to(path)) for path in paths if path.is_dir() for each in path.rglob("*")]
    return sum(not _is_hidden(name) and not each.is_file() and not each.is_dir() for each, name in inside)


def put(s3: S3Client, bucket: str, path: Path, key: str) -> Upload:
    """PUT one file; one that can't be read, or whose name can't be a key, comes back as failed. Raises botocore's errors."""
    upload = Upload(path, key, item_id_of(bucket, key.encode("utf-8", "replace").decode()), "", time.monotonic())
    try:
        if not key.isprintable():
            raise ValueError("the name has characters that are no text; rename the file")
        with path.open("rb") as body:
            answer = s3.put_object(Bucket=bucket, Key=key, Body=body)
        upload.version_id = answer.get("VersionId", "null")
    except (OSError, ValueError) as error:
        upload.finish("failed", "unreadable", str(error))
    return upload


def identify(engine: Engine, bucket: str, uploads: Sequence[Upload]) -> None:
    """Find out which items the uploads become; the log needn't have heard of them yet."""
    with engine.connect() as connection:
        items = living_items(connection, [(bucket, upload.shown_key) for upload in uploads])
    for upload in uploads:
        upload.item_id = items[bucket, upload.shown_key]


def follow(
    engine: Engine, uploads: Sequence[Upload], *, timeout_seconds: float, on_progress: Callable[[int], None] = lambda n: None
) -> None:
    """Wait until every upload, identified before, is done, rejected or failed, and note how each ended. It is done when every
    step is, detection too, which may wait a while for company on its way to a task; a video is when its frames are, too.

    One that was replaced by a newer upload of its key ends as failed with code `superseded`; those still unfinished
    after `timeout_seconds` in which not one step of any ended as failed with code `timeout`, though the system goes on.
    Those that wait for money end so at once, with code `over_budget`.
    """
    waiting = {upload.item_id: upload for upload in uploads}
    for upload in uploads:
        if waiting[upload.item_id] is not upload:
            upload.finish("failed", "superseded", "a later file of this call has the same key")
    deadline, steps_ended = time.monotonic() + timeout_seconds, 0
    while waiting and time.monotonic() < deadline:
        for item_id in _finish(engine, waiting):
            del waiting[item_id]
        # Of many files the first one may be done long after the last one's first step.
        if steps_ended != (steps_ended := _steps_ended(engine, waiting)):
            deadline = time.monotonic() + timeout_seconds
        on_progress(len(uploads) - len(waiting))
        if waiting:
            time.sleep(_POLL_SECONDS)
    for upload in waiting.values():
        upload.finish("failed", "timeout", f"not finished: no progress for {timeout_seconds:.0f} s; see media-assets status")


def wait_until_probed(engine: Engine, upload: Upload, *, timeout_seconds: float) -> None:
    """Wait until an upload, identified before, is measured. Raises CommandError if it is rejected or replaced, or if that takes
    longer than `timeout_seconds`."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            measured = connection.execute(
                text("SELECT kind FROM items WHERE item_id = :id AND version_id = :version"),
                {"id": upload.item_id, "version": upload.version_id},
            ).scalar_one_or_none()
        if measured is not None:
            return
        _finish(engine, {upload.item_id: upload})
        if upload.state in {"failed", "rejected"}:
            raise CommandError(f"{upload.shown_path} is {upload.state}: {upload.code}: {upload.message}")
        time.sleep(_POLL_SECONDS)
    raise CommandError(f"{upload.shown_path} isn't measured after {timeout_seconds:.0f} s; see media-assets status")


def waits_for_money(stop: Stop) -> str:
    """Why a user's items wait, as a sentence for a person."""
    spent, limit = money_text(stop.spent_micro_dollars), money_text(stop.limit_micro_dollars)
    return f"waits for money: {stop.user_id}'s budget of {stop.day} is spent ({spent} of {limit})"


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _steps_ended(engine: Engine, items: Iterable[uuid.UUID]) -> int:
    with engine.connect() as connection:
        counted = connection.execute(
            text("""
                SELECT count(*) FROM steps
                WHERE state <> 'pending'
                  AND item_id IN (SELECT unnest(CAST(:ids AS uuid[]))
                                  UNION ALL SELECT item_id FROM items WHERE parent_item_id = ANY(:ids))
            """),
            {"ids": list(items)},
        )
        return int(counted.scalar_one())


def _finish(engine: Engine, waiting: dict[uuid.UUID, Upload]) -> list[uuid.UUID]:
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                SELECT w.item_id, i.version_id, i.state, i.kind, i.rejection_code, i.rejection_message,
                       s.step, s.error_code, s.error_message,
                       EXISTS (SELECT FROM uploads u WHERE u.item_id = i.item_id AND u.version_id = w.version_id) AS known,
                       EXISTS (SELECT FROM events e WHERE e.item_id = w.item_id AND e.type = 'ItemErased') AS erased
                FROM unnest(CAST(:ids AS uuid[]), CAST(:versions AS text[])) AS w (item_id, version_id)
                LEFT JOIN items i USING (item_id)
                LEFT JOIN steps s ON s.item_id = i.item_id AND s.state = 'dead'
            """),
            {"ids": list(waiting), "versions": [upload.version_id for upload in waiting.values()]},
        ).all()
        stops = waiting_for_money(connection, waiting, datetime.now(UTC).date())
        frames = _frames_left(connection, [row.item_id for row in rows if row.kind == "video" and row.state == "done"])
        stops |= waiting_for_money(connection, [frame.item_id for frame in frames.values()], datetime.now(UTC).date())
    finished = []
    for row in rows:
        upload = waiting[row.item_id]
        if row.erased:
            upload.finish("failed", "erased", "the item was erased")
        elif row.version_id != upload.version_id:
            if not row.known:
                continue
            upload.finish("failed", "superseded", "a newer upload of the key, or its removal, took its place")
        elif row.state == "rejected":
            upload.finish("rejected", row.rejection_code, row.rejection_message)
        elif row.state == "failed":
            upload.finish("failed", row.error_code, f"{row.step}: {row.error_message}")
        elif row.state == "removed":
            upload.finish("failed", "removed", "the object is no longer in the bucket")
        elif frame := frames.get(row.item_id):
            if frame.state in _FINISHED:
                place = f"frame at {time_text(frame.timecode_ms)}: {frame.step}: "
                upload.finish("failed", frame.error_code, place + frame.error_message)
            elif stop := stops.get(frame.item_id):
                upload.finish("failed", "over_budget", waits_for_money(stop))
            else:
                continue
        elif row.state in _FINISHED:
            upload.finish(row.state)
        elif stop := stops.get(row.item_id):
            upload.finish("failed", "over_budget", waits_for_money(stop))
        else:
            continue
        finished.append(row.item_id)
    return finished


def _frames_left(connection: Connection, videos: Sequence[uuid.UUID]) -> dict[uuid.UUID, Row[Any]]:
    """For each of these videos a frame that isn't done, if there is one: one that is at work, otherwise one that failed."""
    if not videos:
        return {}
    rows = connection.execute(
        text("""
            SELECT DISTINCT ON (f.parent_item_id) f.parent_item_id, f.item_id, f.timecode_ms, f.state, s.step, s.error_code,
                   s.error_message
            FROM items f LEFT JOIN steps s ON s.item_id = f.item_id AND s.state IN ('dead', 'rejected')
            WHERE f.parent_item_id = ANY(:ids) AND f.state NOT IN ('done', 'removed')
            ORDER BY f.parent_item_id, f.state IN ('failed', 'rejected'), f.timecode_ms
        """),
        {"ids": list(videos)},
    )
    return {row.parent_item_id: row for row in rows}
