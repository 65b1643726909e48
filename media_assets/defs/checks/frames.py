"""Frames are pictures of their video at their times, one of them its poster, and each is an item whose object is there.

Whether a frame is what the video shows is told by the function `inspect`: a video is a user's bytes.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check
from sqlalchemy import Connection, text

from lambdas.runtime.inspection import FrameMatch, FrameToFind, Source
from media_assets.defs.checks.objects import Head, difference, heads_in
from media_assets.defs.checks.scope import Findings, Scope, scope_of
from media_assets.defs.checks.segments import nobody_looked
from media_assets.defs.resource import MediaResource
from media_assets.dispatch.errors import TargetUnavailableError
from media_assets.dispatch.inspection import Inspector

_ASKED_FOR_IN_A_RUN = 200
"""Objects that S3 is asked for in a run; standalone, all are."""
_COMPARED_IN_A_RUN = (4, 6)
"""Videos whose frames are compared in a run, and frames of each; standalone, all are."""
_ALIKE, _ALIKE_IF_HDR = 12.0, 30.0
"""How much a frame may differ from its picture, in levels of 256. What HDR is mapped to has another gradation."""
_SAME = 4.0
"""A frame that differs less is its picture, however alike the pictures around are."""
_CLOSER = 3.0


@dataclass(frozen=True)
class Film:
    """A video's current version, the frames that were told of it, and those that are items now."""

    item_id: uuid.UUID
    source: Source
    duration_ms: int
    frame_ms: float
    hdr: bool
    told: Sequence[Mapping[str, Any]]
    """catalogue.Frame, but for those that were erased since."""
    items: Sequence[Mapping[str, Any]]
    erased: int


def films_of(connection: Connection, scope: Scope) -> list[Film]:
    """The scope's videos that frames were taken from."""
    rows = connection.execute(
        text("""
            SELECT i.item_id, i.key, i.version_id, i.size_bytes, i.duration_ms, i.video, t.body->'frames' AS told, f.items,
                   ARRAY(SELECT e.item_id::text FROM jsonb_array_elements(t.body->'frames') told
                         JOIN events e ON e.item_id = (told->>'item_id')::uuid AND e.type = 'ItemErased') AS erased
            FROM steps s JOIN items i USING (item_id)
            JOIN LATERAL (
                SELECT event_id FROM step_results r
                WHERE r.item_id = i.item_id AND r.version_id = i.version_id AND r.step = 'frames' AND r.outcome = 'done'
                ORDER BY generation DESC LIMIT 1
            ) r ON true
            JOIN told t USING (event_id)
            LEFT JOIN LATERAL (
                SELECT jsonb_agg(jsonb_build_object('item_id', item_id, 'timecode_ms', timecode_ms, 'is_poster', is_poster)
                                 ORDER BY timecode_ms) AS items
                FROM items WHERE parent_item_id = i.item_id AND state <> 'removed'
            ) f ON true
            WHERE s.step = 'frames' AND s.state = 'done' AND i.state <> 'removed' AND i.item_id = ANY(:ids) ORDER BY i.item_id
        """),
        {"ids": scope.item_ids},
    )
    return [
        Film(
            item_id=row.item_id,
            source=Source(key=row.key, version_id=row.version_id, size_bytes=row.size_bytes, rotation=row.video["rotation"]),
            duration_ms=row.duration_ms,
            frame_ms=1000 / float(row.video["frame_rate"]),
            hdr=row.video["hdr"],
            told=[frame for frame in row.told if frame["item_id"] not in row.erased],
            items=row.items or [],
            erased=len(row.erased),
        )
        for row in rows
    ]


def unsound(films: Sequence[Film], scope: Scope, head: Head) -> Findings:
    """Posters that are missing or too many, times out of the video, frames that are no items, objects that aren't as told."""
    findings = Findings(checked=len(films))
    to_ask = sum(len(film.told) for film in films) if scope.whole else _ASKED_FOR_IN_A_RUN
    for film in films:
        findings.problems += [f"{film.item_id}: {problem}" for problem in _items(film)]
        for frame in film.told[:to_ask]:
            to_ask -= 1
            if problem := difference(head(frame["key"]), frame["size_bytes"], frame["sha256"]):
                findings.problems.append(f"{film.item_id}: its frame at {frame['timecode_ms']} ms {problem}")
    return findings


def _items(film: Film) -> Iterator[str]:
    posters = sum(frame["is_poster"] for frame in film.items)
    if posters > 1 or (posters == 0 and not film.erased):
        yield f"{posters} of its frames are its poster"
    if late := [frame["timecode_ms"] for frame in film.items if frame["timecode_ms"] > film.duration_ms + film.frame_ms]:
        yield f"it lasts {film.duration_ms} ms, and has frames at {late} ms"
    told = {(frame["item_id"], frame["timecode_ms"], frame["is_poster"]) for frame in film.told}
    items = {(frame["item_id"], frame["timecode_ms"], frame["is_poster"]) for frame in film.items}
    if missing := sorted(at for _, at, _ in told - items):
        yield f"its frames at {missing} ms are no items, or others than was told"
    if unknown := sorted(at for _, at, _ in items - told):
        yield f"it has frames at {unknown} ms that nobody told of"


def to_compare(films: Sequence[Film], scope: Scope) -> dict[uuid.UUID, list[FrameToFind]]:
    """Frames by video; of some, spread over its duration, where not all are compared."""
    most_films, most_frames = (len(films), None) if scope.whole else _COMPARED_IN_A_RUN
    return {
        film.item_id: [
            FrameToFind(key=frame["key"], timecode_ms=frame["timecode_ms"]) for frame in _spread(film.told, most_frames)
        ]
        for film in films[:most_films]
    }


def _spread(frames: Sequence[Mapping[str, Any]], most: int | None) -> Sequence[Mapping[str, Any]]:
    return frames if most is None or len(frames) <= most else [frames[index * len(frames) // most] for index in range(most)]


def misplaced(film: Film, wanted: Sequence[FrameToFind], found: Mapping[str, FrameMatch]) -> Iterator[str]:
    """Frames that aren't what their video shows at their time."""
    for frame in wanted:
        match = found.get(frame.key)
        if match is None:
            continue
        label = f"{film.item_id}: its frame at {frame.timecode_ms} ms"
        around = [each for each in (match.before, match.after) if each is not None]
        if match.problem is not None:
            yield f"{label} can't be compared: {match.problem}"
        elif match.at is None:
            yield f"{label}: the video has no picture then"
        elif match.at > (_ALIKE_IF_HDR if film.hdr else _ALIKE) or (
            match.at > _SAME and around and min(around) < match.at - _CLOSER
        ):
            yield f"{label} isn't what the video shows then (they differ by {match.at:.0f} of 256)"


@asset_check(
    asset="video_frames",
    description="Every video with frames has one poster; frames lie within the video, are items, and are in the bucket.",
)
def frames_are_sound(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    with media.store.engine.connect() as connection:
        scope = scope_of(context, connection, "frames")
        films = films_of(connection, scope)
    return unsound(films, scope, heads_in(media.s3, media.settings.bucket)).result(scope)


@asset_check(asset="video_frames", description="Every frame is what its video shows at the frame's time.")
def frames_belong_to_their_timecode(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    with media.store.engine.connect() as connection:
        scope = scope_of(context, connection, "frames")
        films = films_of(connection, scope)
    findings, left_out = Findings(), 0
    inspector, wanted = Inspector(media.settings), to_compare(films, scope)
    try:
        for film in (film for film in films if wanted.get(film.item_id)):
            found = inspector.frames(film.source, wanted[film.item_id])
            findings.checked += len(found)
            left_out += len(wanted[film.item_id]) - len(found)
            findings.problems += misplaced(film, wanted[film.item_id], found)
    except TargetUnavailableError as error:
        return nobody_looked(error, scope)
    return findings.result(scope, left_out=left_out)
