"""The command `show`: an item with everything derived from it, and the files of that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from media_assets.cli import connection
from media_assets.cli.downloading import download, files_of_item, print_paths
from media_assets.cli.jobs import print_jobs, print_segments
from media_assets.cli.output import (
    CommandError,
    Json,
    bytes_text,
    counted,
    err,
    exact_time_text,
    money_text,
    plain,
    print_json,
    print_table,
)
from media_assets.cli.uploading import waits_for_money
from media_assets.eventlog.costs import item_cost, video_costs
from media_assets.eventlog.items import describe, resolve
from media_assets.steps.budgets import waiting_for_money

Item = Annotated[str, typer.Argument(help="Item id, or S3 key such as uploads/me/photo.jpg.")]
Out = Annotated[
    Path | None,
    typer.Option(
        help="A folder to put what there is into, each file checked: a picture's thumbnails, a video's frames and the segments"
        " that it was cut into without a job (`job JOB_ID --out` has a job's).",
        file_okay=False,
    ),
]
_UNFINISHED = ("received", "processing")


def show(item: Item, out: Out = None, as_json: Json = False) -> None:
    """Show an item with everything derived from it.

    Examples: media-assets show uploads/me/chelsea.png

              media-assets show uploads/me/bikes.mp4 --out bikes
    """
    with connection.store().engine.connect() as db:
        item_id = resolve(db, item, connection.settings().bucket_name)
        found = {**describe(db, item_id), "micro_dollars": item_cost(db, item_id)}
        if found["video"]:
            frames, jobs = video_costs(db, item_id)
            found["video"] |= {"frames_micro_dollars": frames, "jobs_micro_dollars": jobs}
        stop = waiting_for_money(db, [item_id], datetime.now(UTC).date()).get(item_id)
    found["spent_budget"] = stop and {
        "user_id": stop.user_id,
        "day": stop.day.isoformat(),
        "limit_micro_dollars": stop.limit_micro_dollars,
        "spent_micro_dollars": stop.spent_micro_dollars,
    }
    paths = [] if out is None else _download(found, out)
    if as_json:
        print_json(found)
    else:
        _print_item(found, waits_for_money(stop) if stop else None)
        print_paths(paths)


def _download(found: Mapping[str, Any], folder: Path) -> list[Path]:
    files = files_of_item(found)
    unfinished = found["state"] in _UNFINISHED
    if not files:
        raise CommandError(f"{found['key']} is {found['state']}: it has no files to download{' yet' * unfinished}")
    if unfinished:
        err.print(plain(f"{found['key']} is {found['state']}: later there may be more files"), soft_wrap=True)
    return download(found["bucket"], files, folder)


def _print_item(found: Mapping[str, Any], waits: str | None) -> None:
    analysis, rejection, detected = found["analysis"] or {}, found["rejection"] or {}, found["detections"]
    video, parent = found["video"], found["parent"]
    rows: list[tuple[str, object]] = [
        ("item", found["item_id"]),
        ("key", f"s3://{found['bucket']}/{found['key']}"),
        ("state", found["state"]),
        ("", waits),
        ("rejected", f"{rejection['code']}: {rejection['message']}" if rejection else None),
        ("format", found["format"]),
        ("duration", video and _video_text(video)),
        ("sound", video and ("; ".join(map(_track_text, video["audio"])) or "none")),
        (
            "taken from",
            parent and f"{parent['key']} at {exact_time_text(parent['timecode_ms'])}{', its poster' * parent['is_poster']}",
        ),
        ("size", found["width"] and f"{found['width']} x {found['height']} px, {bytes_text(found['size_bytes'])}"),
        ("cost so far", _cost_text(found)),
        ("summary", analysis.get("summary")),
        ("category", analysis.get("category")),
        ("tags", ", ".join(analysis.get("tags", []))),
        ("objects", ", ".join(f"{o['caption']} ({o['confidence']:.0%})" for o in analysis.get("objects", []))),
        ("text", " / ".join(analysis.get("text", []))),
        ("colours", ", ".join(f"{c['name']} {c['share']:.0%}" for c in analysis.get("dominant_colours", []))),
        ("analysed by", analysis.get("model")),
        ("detections", detected and f"{len(detected['detections'])} by {detected['model']}"),
        ("embedding", found["embedding"] and f"{found['embedding']['model']}, {found['embedding']['dimensions']} dimensions"),
        *((f"{t['size']} px", f"{t['width']} x {t['height']}  {t['key']}") for t in found["thumbnails"]),
        *(
            (name, f"{step['state']} after {counted(step['failures'], 'failure')}: {step['error']['message']}")
            for name, step in found["steps"].items()
            if step["error"] and step["state"] in {"pending", "dead"}
        ),
    ]
    print_table(found["key"], ("", ""), [row for row in rows if row[1]])
    if detected and detected["detections"]:
        print_table(
            "detections, in pixels of the upright original",
            ("label", "confidence", "x", "y", "width", "height"),
            [(each["label"], f"{each['confidence']:.0%}", *each["bbox"]) for each in detected["detections"]],
        )
    if video:
        _print_video(video)


def _cost_text(found: Mapping[str, Any]) -> str:
    """`$0.000120`; of a video `$0.000120, its frames $0.004300, its jobs $0.000000`: none of them is part of another."""
    own, video = money_text(found["micro_dollars"]), found["video"]
    if not video:
        return own
    return f"{own}, its frames {money_text(video['frames_micro_dollars'])}, its jobs {money_text(video['jobs_micro_dollars'])}"


def _video_text(video: Mapping[str, Any]) -> str:
    facts = [exact_time_text(video["duration_ms"]), f"{video['frame_rate']:g} frames a second", video["codec"]]
    if video["variable_frame_rate"]:
        facts[1] += " (varying)"
    if video["hdr"]:
        facts.append("HDR")
    if video["rotation"]:
        facts.append(f"turned by {video['rotation']}°")
    return ", ".join(facts)


def _track_text(track: Mapping[str, Any]) -> str:
    language = f", {track['language']}" if track["language"] else ""
    return f"{track['codec']}, {counted(track['channels'], 'channel')}, {track['sample_rate_hz']} Hz{language}"


def _print_video(video: Mapping[str, Any]) -> None:
    if video["frames"]:
        rows = [
            (exact_time_text(each["timecode_ms"]), "poster" * each["is_poster"], each["state"], each["item_id"], each["key"])
            for each in video["frames"]
        ]
        print_table("frames", ("at", "", "state", "item", "key"), rows)
    if video["segments"]:
        print_segments(video["segments"])
    if video["jobs"]:
        print_jobs(video["jobs"])
