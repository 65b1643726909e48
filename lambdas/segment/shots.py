"""Segments at shot boundaries: where ffmpeg's scdet sees one picture follow another, and what that makes of a video."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from lambdas.segment.ffmpeg_process import Sandbox, Source

Cuts = tuple[tuple[int, int], ...]
"""Start and end of each segment in milliseconds since the first picture, without gap or overlap."""

EARLY_MS = 2
"""A picture is at a cut if it is at most so much before it: times are rounded on their way from file to file."""

_WIDTH = 320
_THRESHOLD = 10  # scdet's own default, of 100
_FOUND = "shots.txt"
_TIME = re.compile(r"pts_time:(\d+(?:\.\d+)?)")
_MOST = 100_000


def find_shots(source: Source, sandbox: Sandbox, on_progress: Callable[[float], None]) -> tuple[int, ...]:
    """When a new shot begins, in milliseconds since the first picture, ascending. Raises what `Sandbox.run` raises."""
    shots = (
        source.input()["V:0"]
        .filter("scale", _WIDTH, -2, flags="fast_bilinear")
        .filter("setpts", "PTS-STARTPTS")
        .filter("format", "rgb24")  # of other pictures scdet looks at the brightness only
        .filter("scdet", threshold=_THRESHOLD, sc_pass=1)
        .filter("metadata", "print", file=_FOUND)
    )
    sandbox.run(source, shots.output("-", f="null", fps_mode="passthrough"), on_progress)
    found = tuple(round(float(time) * 1000) for time in _TIME.findall((sandbox.folder / _FOUND).read_text()))
    if len(found) > _MOST:
        raise StepError(ErrorCode.STEP_ERROR, f"the video has {len(found):,} shots", False)
    return found


def cuts_at_shots(shots: Sequence[int], duration_ms: int, min_ms: int, max_ms: int) -> Cuts:
    """Segments from shot boundaries: shots shorter than `min_ms` are joined, what is longer than `max_ms` is divided evenly.

    None is longer than `max_ms`. None is shorter than `min_ms` if that is at most half of `max_ms` and the video is not
    shorter itself.
    """
    kept = [0]
    for boundary in shots:
        if boundary - kept[-1] >= min_ms and duration_ms - boundary >= min_ms:
            kept.append(boundary)
    bounds = [0]
    for start, end in zip(kept, [*kept[1:], duration_ms], strict=True):
        parts = ceil((end - start) / max_ms)
        bounds += [start + (end - start) * part // parts for part in range(1, parts + 1)]
    return tuple(pairwise(bounds))
