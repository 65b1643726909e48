"""Commands about items: upload, events, search."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import text

from media_assets.cli import connection
from media_assets.cli.output import CommandError, Json, err, print_json, print_line, print_table, time_text
from media_assets.cli.story import event_json, print_events, print_story, told_json
from media_assets.cli.uploading import Upload, check_user, find_files, follow, identify, irregular_files, put
from media_assets.dispatch.query_vector import embed_query
from media_assets.eventlog.events import item_stream, job_stream
from media_assets.eventlog.items import resolve_told
from media_assets.eventlog.search import Hit, nearest
from media_assets.eventlog.story import tell


def upload(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders with everything in them.", exists=True)],
    user: Annotated[str, typer.Option(help="Whose upload it is: 1 to 64 of a-z, 0-9 and '-'.")] = "me",
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow until each file is done (detections, too), rejected or failed.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Give up waiting after this many seconds without progress.", min=1)] = 1200,
    as_json: Json = False,
) -> None:
    """Upload files to the bucket, as any S3 client would.

    Exit status 1 if one fails or is rejected, or with --wait has to wait for money; the reason stands in a line each.

    Example: media-assets upload ~/Pictures/holiday --user ada --wait
    """
    files = find_files(paths)
    check_user(user)
    if skipped := irregular_files(paths):
        err.print(f"{skipped} skipped: no regular {'file' if skipped == 1 else 'files'}")
    settings = connection.settings()
    progress = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
    )
    uploads: list[Upload] = []
    with progress:
        task = progress.add_task("uploading", total=len(files))
        for path, name in files:
            uploads.append(put(connection.s3(), settings.bucket, path, f"uploads/{user}/{name}"))
            progress.advance(task)
        identify(connection.store().engine, settings.bucket, uploads)
        if wait:
            on_their_way = [each for each in uploads if each.state == "uploaded"]
            task = progress.add_task("processing, detections too", total=len(on_their_way))
            follow(
                connection.store().engine,
                on_their_way,
                timeout_seconds=timeout,
                on_progress=lambda finished: progress.update(task, completed=finished),
            )
    if as_json:
        print_json([each.as_json() for each in uploads])
    else:
        _print_uploads(uploads)
    if any(each.state in {"failed", "rejected"} for each in uploads):
        raise typer.Exit(1)


def _print_uploads(uploads: list[Upload]) -> None:
    bad = [each for each in uploads if each.state in {"failed", "rejected"}]
    for each in bad:
        print_line(f"{each.state} {each.shown_path}: {each.code}: {each.message}", "red")
    for state in ("done", "uploaded"):
        if number := sum(each.state == state for each in uploads):
            print_line(f"{number} of {len(uploads)} {state}")


def events(
    item: Annotated[str, typer.Argument(help="Item id, S3 key, job id, the id of an event, or account-USER.")],
    tree: Annotated[bool, typer.Option("--tree", help="Each event under the one that led to it.")] = False,
    as_json: Json = False,
) -> None:
    """Show what happened to an item, to a job, or to a user's budget, straight from the event log.

    Examples: media-assets events uploads/me/chelsea.png

              media-assets events uploads/me/chelsea.png --tree

              media-assets events account-ada --tree
    """
    store = connection.store()
    dagster_url = connection.settings().dagster_url
    if item.startswith("account-"):
        stream = title = item
    elif job_id := _told_job(item):
        stream, title = job_stream(job_id), f"job {job_id}"
    else:
        with store.engine.connect() as db:
            item_id = resolve_told(db, item, connection.settings().bucket_name)
        stream, title = item_stream(item_id), str(item_id)
    history = store.stream(stream)
    if not history:
        why = "there is no such job" if item.startswith("job-") else "no budget of that user has been spent"
        raise CommandError(f"{item} has no events: {why}")
    if as_json and tree:
        print_json([told_json(told, dagster_url) for told in tell(history)])
    elif as_json:
        print_json([event_json(event, dagster_url) for event in history])
    elif tree:
        print_story(tell(history), dagster_url)
    else:
        print_events(title, history, dagster_url)


def search(
    query: Annotated[str, typer.Argument(help="What to look for, in words.")],
    limit: Annotated[int, typer.Option(help="At most this many hits.", min=1, max=100)] = 10,
    as_json: Json = False,
) -> None:
    """Find pictures, and moments of videos, by meaning.

    Example: media-assets search "a sleeping kitten" --limit 3
    """
    settings = connection.settings()
    vector = embed_query(settings, query)
    with connection.store().engine.begin() as db:
        hits = nearest(db, vector, settings.embed_model, limit)
    if as_json:
        print_json([_hit_json(hit) for hit in hits])
    elif not hits:
        print_line("nothing is searchable yet")
    else:
        rows = [(f"{hit.score:.3f}", hit_text(hit), hit.summary) for hit in hits]
        print_table(query, ("score", "found", "summary"), rows)


def hit_text(hit: Hit) -> str:
    """Where a hit is: its key, or `in uploads/me/bikes.mp4 at 0:04`."""
    if hit.timecode_ms is None:
        return hit.key
    return f"in {hit.parent_key or hit.parent_item_id} at {time_text(hit.timecode_ms)}"


def _hit_json(hit: Hit) -> dict[str, Any]:
    return {
        "item_id": str(hit.item_id),
        "key": hit.key,
        "score": round(hit.score, 4),
        "summary": hit.summary,
        "parent_item_id": hit.parent_item_id and str(hit.parent_item_id),
        "parent_key": hit.parent_key,
        "timecode_ms": hit.timecode_ms,
    }


def _told_job(reference: str) -> uuid.UUID | None:
    """The job that a reference names by its id, by its stream, or by the id of one of its events; also one that was erased."""
    with suppress(ValueError):
        named = uuid.UUID(reference.removeprefix("job-"))
        with connection.store().engine.connect() as db:
            told = db.execute(
                text("SELECT job_id FROM events WHERE (event_id = :id OR stream_id = :stream) AND job_id IS NOT NULL LIMIT 1"),
                {"id": named, "stream": job_stream(named)},
            ).scalar_one_or_none()
        return named if told is None and reference.startswith("job-") else told
    return None
