"""Commands about jobs: jobs, job, cancel."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from media_assets.cli import connection
from media_assets.cli.downloading import download, print_paths, segments_of_job
from media_assets.cli.output import (
    CommandError,
    Json,
    bytes_text,
    counted,
    cut_text,
    exact_time_text,
    print_json,
    print_line,
    print_table,
)
from media_assets.cli.uploading import check_user
from media_assets.eventlog.items import resolve
from media_assets.eventlog.jobs import describe_job, list_jobs
from media_assets.steps.jobs import cancel_job

_SHOWN = 20

Out = Annotated[Path | None, typer.Option(help="A folder to put the finished segments into, each checked.", file_okay=False)]
JobId = Annotated[str, typer.Argument(help="As `segment` and `jobs` tell it.", metavar="JOB_ID")]


def jobs(
    item: Annotated[str | None, typer.Option(help="Of this video: item id or S3 key.")] = None,
    user: Annotated[str | None, typer.Option(help="Of this user's videos.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help=f"List so many. Default: {_SHOWN}, with --json all of them.")] = None,
    as_json: Json = False,
) -> None:
    """List jobs, the newest first.

    Example: media-assets jobs --item uploads/me/bikes.mp4
    """
    if user is not None:
        check_user(user)
    bucket = connection.settings().bucket_name
    with connection.store().engine.connect() as db:
        item_id = None if item is None else resolve(db, item, bucket)
        wanted = limit if limit is not None or as_json else _SHOWN + 1
        found = list_jobs(db, item_id=item_id, user_id=user, limit=wanted)
    if as_json:
        print_json(found)
        return
    if not found:
        print_line("no jobs: media-assets segment submits one")
        return
    shown = found if limit is not None else found[:_SHOWN]
    print_jobs(shown)
    if len(found) > len(shown):
        print_line("and older ones: --limit, or --json for all")


def job(job_id: JobId, out: Out = None, as_json: Json = False) -> None:
    """Show a job: how far it is, what it was asked to do, and its segments.

    Example: media-assets job 0a1b2c3d-… --out segments
    """
    with connection.store().engine.connect() as db:
        found = describe_job(db, _job_id(job_id))
    if out is not None and found["state"] != "completed":
        raise CommandError(f"job {job_id} is {found['state']}: it has no segments to download")
    paths = download(found["bucket"], segments_of_job(found), out) if out is not None else []
    if as_json:
        print_json(found)
    else:
        _print_job(found)
        print_paths(paths)


def cancel(
    job_id: JobId,
    reason: Annotated[str, typer.Option(help="Why. It stays in the log.")] = "asked for on the command line",
    as_json: Json = False,
) -> None:
    """Cancel a job that hasn't ended: nothing more is computed for it.

    Example: media-assets cancel 0a1b2c3d-…
    """
    identifier = _job_id(job_id)
    cancel_job(connection.store(), identifier, reason=reason)
    if as_json:
        with connection.store().engine.connect() as db:
            print_json(describe_job(db, identifier))
    else:
        print_line(f"job {identifier} is cancelled")


def print_ended(found: Mapping[str, Any], paths: list[Path]) -> None:
    """How a job ended, for whoever waited for it."""
    if found["state"] == "completed":
        print_segments(found["segments"])
        print_line(f"job {found['job_id']}: {counted(found['segment_count'], 'segment')}", "green")
    else:
        error = found["error"]
        said = "is cancelled" if found["state"] == "cancelled" else f"failed: {error['code']}"
        print_line(f"job {found['job_id']} {said}: {error['message']}", "red")
    print_paths(paths)


def _print_job(found: Mapping[str, Any]) -> None:
    options, error = found["options"], found["error"]
    rows: list[tuple[str, object]] = [
        ("job", found["job_id"]),
        ("video", f"s3://{found['bucket']}/{found['key']}"),
        ("state", f"{found['state']}, {found['progress']} %"),
        ("because", error and f"{error['code']}: {error['message']}"),
        ("cut", cut_text(options["cutting_options"]) + (", to the frame" if options["exact"] else "")),
        ("text", _text_text(options["text_input"])),
        ("submitted", _when(found["submitted_at"])),
        ("started", _when(found["started_at"])),
        ("ended", _when(found["finished_at"])),
    ]
    print_table(f"job {found['job_id']}", ("", ""), [row for row in rows if row[1]])
    if found["segments"]:
        print_segments(found["segments"])


def _text_text(text_input: Mapping[str, Any] | None) -> str | None:
    if text_input is None:
        return None
    said = text_input["base_text"] or counted(len(text_input["unique_texts"]), "text")
    return f"{said} ({text_input['strategy']})"


def print_jobs(shown: Sequence[Mapping[str, Any]]) -> None:
    print_table(
        "jobs",
        ("job", "video", "state", "done", "segments", "submitted (UTC)"),
        [
            (
                each["job_id"],
                each["key"],
                each["state"],
                f"{each['progress']} %",
                each["segment_count"],
                _when(each["submitted_at"]),
            )
            for each in shown
        ],
    )


def print_segments(segments: Sequence[Mapping[str, Any]]) -> None:
    has_text = any(segment["text"] for segment in segments)
    print_table(
        "segments",
        ("#", "from", "to", "size", *(["text"] if has_text else []), "key"),
        [
            (
                segment["index"],
                exact_time_text(segment["start_ms"]),
                exact_time_text(segment["end_ms"]),
                bytes_text(segment["size_bytes"]),
                *([segment["text"]] if has_text else []),
                segment["key"],
            )
            for segment in segments
        ],
    )


def _when(iso: str | None) -> str:
    return "" if iso is None else iso[:19].replace("T", " ")


def _job_id(value: str) -> uuid.UUID:
    try:
        return uuid.UUID(value.removeprefix("job-"))
    except ValueError:
        raise CommandError(f"{value!r} is no job id: media-assets jobs lists them") from None
