"""The demo: starts the stack, uploads sample photographs and videos and waits for the sensors to do the rest."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from media_assets.cli import connection
from media_assets.cli.output import CommandError, err, plain, print_line, print_table, time_text
from media_assets.cli.stack import print_addresses
from media_assets.cli.uploading import Upload, find_files, follow, identify, put
from media_assets.dispatch.query_vector import embed_query
from media_assets.eventlog.items import describe
from media_assets.eventlog.search import Hit, nearest
from media_assets.local.stack import Stack
from media_assets.settings import get_settings
from media_assets.steps.pending import step_counts

_SAMPLES = Path(__file__).resolve().parents[2] / "samples"
_MEDIA = {".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif", ".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts"}
_QUERIES = ("a sleeping kitten", "something hot to drink", "space travel", "bicycles in the street")
_TIMEOUT_SECONDS = 300
_DETECTIONS_SHOWN = 4


def demo(
    exit_after: Annotated[bool, typer.Option("--exit", help="Stop after the report instead of staying up.")] = False,
    photos: Annotated[
        Path, typer.Option(help="A folder of photographs and videos instead of the samples.", exists=True)
    ] = _SAMPLES,
) -> None:
    """Start the stack, upload photographs and videos, wait for the sensors, and report.

    Stays up until Ctrl-C, which stops every process that it started. Exit status 1 if a file didn't make it.

    Example: media-assets demo --photos ~/Pictures/holiday
    """
    files = [path for path, _ in find_files([photos]) if path.suffix.lower() in _MEDIA]
    if not files:
        raise CommandError(f"no photograph and no video in {photos}")
    stack = Stack(get_settings())
    was_running = stack.running_environment() is not None
    try:
        began = time.monotonic()
        with err.status("starting") as status:
            stack.up(lambda message: _tell(status, message, began))
        everything_done = _run(files, began)
        environment = stack.running_environment() or {}
        if not exit_after:
            print_addresses(environment)
            print_line("The stack stays up. Ctrl-C stops it.", "bold")
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        everything_done = not exit_after
    finally:
        if not was_running:
            with err.status("stopping"):
                stack.down()
            print_line("every process of the stack has stopped")
    if not everything_done:
        raise typer.Exit(1)


def _tell(status: Any, message: str, began: float) -> None:
    status.update(message)
    err.print(plain(f"{time.monotonic() - began:5.1f} s  {message}", "dim"))


def _run(files: list[Path], began: float) -> bool:
    settings = connection.settings()
    store = connection.store()
    uploaded = time.monotonic()
    uploads = [put(connection.s3(), settings.bucket, path, f"uploads/demo/{path.name}") for path in files]
    identify(store.engine, settings.bucket, uploads)
    print_line(f"{len(uploads)} files are in s3://{settings.bucket}/uploads/demo/; the sensors do the rest")
    with Live(console=err, refresh_per_second=4, transient=True) as live:

        def show(finished: int) -> None:
            with store.engine.connect() as db:
                live.update(_progress(finished, len(uploads), step_counts(db), time.monotonic() - uploaded))

        follow(store.engine, uploads, timeout_seconds=_TIMEOUT_SECONDS, on_progress=show)
    _report(uploads)
    for query in _QUERIES:
        with store.engine.begin() as db:
            hits = nearest(db, embed_query(settings, query), settings.embed_model, 3)
        print_table(
            f'search: "{query}"', ("score", "found", "summary"), [(f"{h.score:.2f}", _found(h), h.summary) for h in hits]
        )
    done = sum(upload.state == "done" for upload in uploads)
    slowest = max(upload.seconds or 0 for upload in uploads)
    print_line(
        f"{done} of {len(uploads)} files done; the last one {slowest:.1f} s after its upload,"
        f" {time.monotonic() - began:.1f} s after the start"
    )
    return done == len(uploads)


def _progress(finished: int, total: int, counts: dict[str, Any], seconds: float) -> Group:
    table = Table(header_style="dim")
    for column in ("step", "pending", "running", "done", "failed", "dead", "rejected"):
        table.add_column(column, justify="left" if column == "step" else "right")
    for name, count in counts.items():
        table.add_row(name, *(str(value) for value in vars(count).values()))
    return Group(Text(f"{finished} of {total} files done, {seconds:.0f} s"), table)


def _report(uploads: list[Upload]) -> None:
    photographs: list[tuple[str, ...]] = []
    videos: list[tuple[str, ...]] = []
    moments: list[tuple[str, ...]] = []
    with connection.store().engine.connect() as db:
        for upload in uploads:
            if upload.state != "done":
                photographs.append((upload.path.name, upload.state, f"{upload.code}: {upload.message}", "", "", ""))
                continue
            item = describe(db, upload.item_id)
            if video := item["video"]:
                lengths = [f"{(each['end_ms'] - each['start_ms']) / 1000:.1f} s" for each in video["segments"]]
                videos.append(
                    (upload.path.name, time_text(video["duration_ms"]), str(len(video["frames"])), ", ".join(lengths))
                )
                for frame in video["frames"]:
                    analysis = describe(db, uuid.UUID(frame["item_id"]))["analysis"] or {}
                    at = time_text(frame["timecode_ms"]) + " poster" * frame["is_poster"]
                    moments.append((upload.path.name, at, analysis.get("summary", ""), ", ".join(analysis.get("tags", [])[:8])))
                continue
            thumbnails = "\n".join(f"{each['width']} x {each['height']}" for each in item["thumbnails"])
            embedding = f"{item['embedding']['model'].removeprefix('local/')}\n{item['embedding']['dimensions']} dimensions"
            tags = ", ".join(item["analysis"]["tags"][:8])
            found = [f"{each['label']} {each['confidence']:.2f}" for each in item["detections"]["detections"]]
            detections = "\n".join(found[:_DETECTIONS_SHOWN])
            photographs.append((upload.path.name, thumbnails, item["analysis"]["summary"], tags, detections, embedding))
    print_table("photographs", ("photo", "thumbnails", "summary", "tags", "detections", "embedding"), photographs)
    if videos:
        print_table("videos", ("video", "duration", "frames", "segments"), videos)
        print_table("moments of videos", ("video", "at", "summary", "tags"), moments)


def _found(hit: Hit) -> str:
    """`chelsea.png`, or `in bikes.mp4 at 0:04`."""
    if hit.timecode_ms is None or hit.parent_key is None:
        return _name(hit.key)
    return f"in {_name(hit.parent_key)} at {time_text(hit.timecode_ms)}"


def _name(key: str) -> str:
    return key.rsplit("/", 1)[1]
