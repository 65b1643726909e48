"""Segments add up to their video, are in the bucket as recorded, play to their end, and keep their sound in sync.

What is in a segment is told by the function `inspect`: a segment that was copied is a user's bytes.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    asset_check,
    multi_asset_check,
)
from sqlalchemy import Connection, text

from lambdas.runtime.inspection import SegmentFacts, Source
from media_assets.defs.checks.objects import Head, difference, heads_in
from media_assets.defs.checks.scope import Findings, Scope, scope_of
from media_assets.defs.resource import MediaResource
from media_assets.dispatch.errors import TargetUnavailableError
from media_assets.dispatch.inspection import Inspector

_ASKED_FOR_IN_A_RUN = 200
"""Objects that S3 is asked for in a run; standalone, all are."""
_PLAYED_IN_A_RUN = 12
"""Segments that are played in a run, the first and the last of each video or job before others; standalone, all are."""
_ROUNDING_MS = 2
"""Bounds are whole milliseconds."""
_IN_SYNC_MS = 40
"""What people don't notice (ITU-R BT.1359: 45 ms where sound is early). A packet of sound may be longer."""
_PLAYED = {"yuv420p", "yuvj420p"}


@dataclass(frozen=True)
class Cut:
    """A video that was cut, as configured or by a job: what is recorded of it. `work_id` is the item's id or the job's."""

    work_id: uuid.UUID
    job_id: uuid.UUID | None
    item_id: uuid.UUID
    source: Source
    removed: bool
    duration_ms: int
    video: Mapping[str, Any]
    told: int | None
    """How many segments the job tells of."""
    segments: Sequence[Mapping[str, Any]]

    @property
    def frame_ms(self) -> float:
        return 1000 / float(self.video["frame_rate"])


def cuts_of(connection: Connection, scope: Scope) -> list[Cut]:
    """What was cut of the scope's items and jobs, in the version that it was cut of."""
    rows = connection.execute(
        text("""
            SELECT s.item_id AS work_id, j.job_id, u.item_id, u.version_id, u.key, u.size_bytes, u.removed_at, u.duration_ms,
                   u.video, j.segments AS told, g.segments
            FROM steps s LEFT JOIN jobs j ON j.job_id = s.item_id
            JOIN uploads u ON u.item_id = coalesce(j.item_id, s.item_id) AND u.version_id = s.version_id
            LEFT JOIN LATERAL (
                SELECT jsonb_agg(to_jsonb(segment) ORDER BY ordinal) AS segments
                FROM segments segment WHERE work_id = s.item_id AND version_id = s.version_id
            ) g ON true
            WHERE s.step = 'segment' AND s.state = 'done' AND s.item_id = ANY(:ids) ORDER BY s.item_id
        """),
        {"ids": scope.work_ids},
    )
    return [
        Cut(
            work_id=row.work_id,
            job_id=row.job_id,
            item_id=row.item_id,
            source=Source(key=row.key, version_id=row.version_id, size_bytes=row.size_bytes, rotation=row.video["rotation"]),
            removed=row.removed_at is not None,
            duration_ms=row.duration_ms,
            video=row.video,
            told=row.told,
            segments=row.segments or [],
        )
        for row in rows
    ]


def not_adding_up(cuts: Sequence[Cut], scope: Scope, head: Head) -> Findings:
    """Gaps, overlaps, sums that aren't the video's duration; objects that aren't where and what they should be."""
    findings = Findings(checked=len(cuts))
    to_ask = sum(len(cut.segments) for cut in cuts) if scope.whole else _ASKED_FOR_IN_A_RUN
    for cut in cuts:
        findings.problems += [f"{cut.work_id}: {problem}" for problem in _sum(cut)]
        folder = f"processed/{cut.job_id}/" if cut.job_id else f"derived/{cut.item_id}/segment/"
        for segment in cut.segments:
            label = f"{cut.work_id}: segment {segment['ordinal']}"
            if not (segment["key"].startswith(folder) and segment["key"].endswith(f"/segment_{segment['ordinal']:03d}.mp4")):
                findings.problems.append(f"{label} is stored under a key that isn't its own")
            if to_ask > 0:
                to_ask -= 1
                if problem := difference(head(segment["key"]), segment["size_bytes"], segment["sha256"]):
                    findings.problems.append(f"{label} {problem}")
    return findings


def _sum(cut: Cut) -> Iterator[str]:
    if not cut.segments:
        yield "it has no segments"
        return
    if cut.told is not None and cut.told != len(cut.segments):
        yield f"the job tells of {cut.told} segments, there are {len(cut.segments)}"
    if (ordinals := [segment["ordinal"] for segment in cut.segments]) != list(range(len(ordinals))):
        yield f"its segments are numbered {ordinals}"
    at = 0
    for segment in cut.segments:
        if segment["start_ms"] != at:
            what = "a gap" if segment["start_ms"] > at else "an overlap"
            yield f"{what} before segment {segment['ordinal']}: it starts at {segment['start_ms']} ms, not at {at} ms"
        if segment["end_ms"] <= segment["start_ms"]:
            yield f"segment {segment['ordinal']} ends where it starts, or before"
        at = segment["end_ms"]
    if abs(at - cut.duration_ms) > cut.frame_ms + _ROUNDING_MS:
        yield f"its segments end at {at} ms, the video at {cut.duration_ms} ms"


def to_play(cuts: Sequence[Cut], scope: Scope) -> list[str]:
    """The keys of the segments that are looked into."""
    ends = [cut.segments[index]["key"] for cut in cuts for index in (0, -1) if cut.segments]
    every = list(dict.fromkeys([*ends, *(segment["key"] for cut in cuts for segment in cut.segments)]))
    return every if scope.whole else every[:_PLAYED_IN_A_RUN]


def not_playing(cuts: Sequence[Cut], found: Mapping[str, SegmentFacts]) -> Findings:
    """Segments that don't decode to their end, aren't as long as recorded, or that browsers don't play from their start."""
    findings = Findings(checked=len(found))
    for cut in cuts:
        looked_into = [(segment, found[segment["key"]]) for segment in cut.segments if segment["key"] in found]
        for segment, facts in looked_into:
            label = f"{cut.work_id}: segment {segment['ordinal']}"
            findings.problems += [f"{label} {problem}" for problem in _playing(cut, segment, facts)]
        if looked_into and cut.video["audio"] and not any(facts.audio_codec for _, facts in looked_into):
            findings.problems.append(f"{cut.work_id}: its segments have no sound, the video has")
    return findings


def _playing(cut: Cut, segment: Mapping[str, Any], facts: SegmentFacts) -> Iterator[str]:
    if facts.problem is not None:
        yield f"doesn't decode: {facts.problem}"
        return
    if not facts.begins_with_keyframe:
        yield "doesn't begin with a keyframe"
    if not facts.faststart:
        yield "has its index at its end"
    if facts.video_codec != "h264" or facts.pixel_format not in _PLAYED or facts.audio_codec not in {"aac", None}:
        yield f"is {facts.video_codec} ({facts.pixel_format}) with {facts.audio_codec or 'no sound'}"
    frame_ms = max(cut.frame_ms, facts.longest_frame_ms) if cut.video["variable_frame_rate"] else cut.frame_ms
    recorded_ms = segment["end_ms"] - segment["start_ms"]
    if abs(facts.duration_ms - recorded_ms) > frame_ms + _ROUNDING_MS:
        yield f"lasts {facts.duration_ms:.0f} ms, recorded are {recorded_ms} ms"


def out_of_sync(
    cuts: Sequence[Cut], found: Mapping[str, SegmentFacts], audio_offset_ms: Callable[[Source], float | None]
) -> Findings:
    """Segments whose sound begins earlier or later than their picture, other than in the video itself."""
    findings = Findings()
    for cut in cuts:
        of_video: float | None = None
        for segment in cut.segments:
            facts = found.get(segment["key"])
            if facts is None or facts.audio_offset_ms is None:
                continue
            findings.checked += 1
            allowed_ms = max(_IN_SYNC_MS, facts.audio_packet_ms or 0)
            offset_ms = facts.audio_offset_ms
            if abs(offset_ms) >= allowed_ms and not cut.removed:
                # Videos may begin without sound: asked for only where it matters.
                of_video = audio_offset_ms(cut.source) or 0 if of_video is None else of_video
                offset_ms -= of_video if segment["start_ms"] == 0 else max(0, of_video - segment["start_ms"])
            if abs(offset_ms) >= allowed_ms:
                findings.problems.append(
                    f"{cut.work_id}: the sound of segment {segment['ordinal']} is {abs(offset_ms):.0f} ms "
                    f"{'late' if offset_ms > 0 else 'early'}"
                )
    return findings


@asset_check(
    asset="video_segments",
    description="Segments follow each other from the video's beginning to its end, and are in the bucket as recorded.",
)
def segments_add_up(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    with media.store.engine.connect() as connection:
        scope = scope_of(context, connection, "segment")
        cuts = cuts_of(connection, scope)
    return not_adding_up(cuts, scope, heads_in(media.s3, media.settings.bucket)).result(scope)


_ASSET = "video_segments"


@multi_asset_check(
    specs=[
        AssetCheckSpec(
            "segments_play",
            asset=_ASSET,
            description="Every segment begins with a keyframe, decodes to its last picture, and lasts as long as recorded.",
        ),
        AssetCheckSpec(
            "segments_in_sync", asset=_ASSET, description="The sound of every segment begins less than 40 ms from its picture."
        ),
    ],
)
def segments_look_right(context: AssetCheckExecutionContext, media: MediaResource) -> Iterator[AssetCheckResult]:
    with media.store.engine.connect() as connection:
        scope = scope_of(context, connection, "segment")
        cuts = cuts_of(connection, scope)
    try:
        inspector, keys = Inspector(media.settings), to_play(cuts, scope)
        found = inspector.segments(keys)
        played, synced = not_playing(cuts, found), out_of_sync(cuts, found, inspector.audio_offset_ms)
    except TargetUnavailableError as error:
        for name in ("segments_play", "segments_in_sync"):
            yield nobody_looked(error, scope, name)
        return
    yield played.result(scope, check_name="segments_play", left_out=len(keys) - len(found))
    yield synced.result(scope, check_name="segments_in_sync")


def nobody_looked(error: TargetUnavailableError, scope: Scope, check_name: str | None = None) -> AssetCheckResult:
    """The result of a check whose function doesn't answer: a warning, since nothing is known to be wrong."""
    unknown = Findings(problems=[f"nobody could look: {error}"])
    return unknown.result(scope, AssetCheckSeverity.WARN, check_name=check_name)
