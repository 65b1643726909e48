"""Cutting a video with one ffmpeg process: its segment muxer begins a file at each keyframe that is due.

Where video is copied these are the first keyframes at or after the planned cuts; where it is encoded, keyframes are forced
at the first picture at or after them.
"""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from lambdas.runtime.video.mode import Mode
from lambdas.segment.ffmpeg_process import Sandbox, Source
from lambdas.segment.layers import Layers
from lambdas.segment.mp4 import Mp4, read_mp4
from lambdas.segment.shots import EARLY_MS, Cuts
from lambdas.segment.sound import find_sound
from lambdas.segment.source import SourceFacts

_PATTERN = "segment_%03d.mp4"
_LIST = "segments.csv"
_TIMES = "times.txt"
_MOST_SEGMENTS = 10_000
"""An argument of a command may have 128 KB."""
_AUDIO_BITRATE = "160k"
_HIGHEST_SAMPLE_RATE = 48_000
_NO_PICTURES = "the file has no pictures that can be read"
_AHEAD_OF_TIME = {"ultrafast": 0}
"""By how many pictures x264 decodes ahead of what is shown, by its preset. Sound has to be as early, or what belongs to the
end of a segment would be in the file of the next one."""


@dataclass(frozen=True)
class Segment:
    """A file, and from when to when of the source it is, in milliseconds."""

    path: Path
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Encoding:
    """How video is encoded: x264's rate factor and preset, the size it gets (even), and the texts over it."""

    crf: int
    preset: str
    width: int
    height: int
    layers: Layers | None = None


class NotPlayable(Exception):
    """Browsers can't play the video as it is: it has to be encoded."""


def cut(
    source: Source,
    sandbox: Sandbox,
    facts: SourceFacts,
    cuts: Cuts,
    mode: Mode,
    encoding: Encoding,
    on_progress: Callable[[float], None],
) -> tuple[Segment, ...]:
    """The segments, which cover the whole source. They may be fewer than the cuts: two that fall on one picture are one.

    Raises NotPlayable if a copy turns out to be none for browsers; StepError TRUNCATED if the file ends before its end,
    STEP_ERROR if what ffmpeg made isn't what was planned; what `Sandbox.run` and `find_sound` raise.
    """
    if len(cuts) > _MOST_SEGMENTS:
        raise StepError(ErrorCode.STEP_ERROR, f"{len(cuts):,} segments are planned; the limit is {_MOST_SEGMENTS:,}", False)
    wanted = [start for start, _ in cuts[1:]]
    sound = find_sound(source, sandbox, facts.video.audio[0].codec) if facts.video.audio else None
    run = _Run(source, sandbox, facts, mode, encoding, sound)
    first, starts = run.starts(wanted, on_progress)
    if _may_be_too_many(wanted, starts):
        wanted = _first_at_or_after(wanted, run.possible_starts())
        first, starts = run.starts(wanted, on_progress)
    files = [sandbox.folder / (_PATTERN % index) for index in range(len(starts))]
    made = _verified(files, len(wanted) + 1, mode)
    end = _end(starts[-1], first, made[-1], facts)
    return tuple(Segment(*each) for each in zip(files, starts, [*starts[1:], end], strict=True))


@dataclass(frozen=True)
class _Run:
    source: Source
    sandbox: Sandbox
    facts: SourceFacts
    mode: Mode
    encoding: Encoding
    sound: str | None
    """ffmpeg's name of the track; None: there is none."""

    def starts(self, wanted: Sequence[int], on_progress: Callable[[float], None]) -> tuple[int, list[int]]:
        """Cut. The answer is when the first picture is, by the file's own time, and when each segment's first one is after it.
        Files of an earlier run that are no part of it are gone."""
        for path in self.sandbox.folder.glob("segment_*.mp4"):
            path.unlink()
        self.sandbox.run(self.source, self._output(wanted), on_progress)
        with (self.sandbox.folder / _LIST).open(newline="") as file:
            begun = [float(start) * 1000 for _, start, _ in csv.reader(file)]
        if not begun:
            raise StepError(ErrorCode.CORRUPT, _NO_PICTURES)
        # The first segment begins with its sound, if that comes first; the others with a keyframe.
        first = begun[0] + _read(self.sandbox.folder / (_PATTERN % 0)).first_picture_ms
        return round(first), [0, *(round(start - first) for start in begun[1:])]

    def possible_starts(self) -> list[int]:
        """When there is a keyframe, or a picture if video is encoded, in milliseconds since the first, ascending."""
        times = self._times({} if self.mode is Mode.ENCODED else {"bsf:v": "noise=drop=not(key)"})
        return sorted(round(time - min(times)) for time in times)

    def _times(self, options: dict[str, Any]) -> list[float]:
        """Of pictures, in milliseconds by the file's own time, in the order in which they are stored."""
        listing = self.source.input()["V:0"].output(_TIMES, f="framecrc", c="copy", avoid_negative_ts="disabled", **options)
        self.sandbox.run(self.source, listing)
        unit, times = 0.0, []
        with (self.sandbox.folder / _TIMES).open() as file:
            for line in file:
                if line.startswith("#tb 0:"):
                    numerator, denominator = line.removeprefix("#tb 0:").split("/")
                    unit = 1000 * int(numerator) / int(denominator)
                elif not line.startswith("#"):
                    times.append(int(line.split(",")[2]) * unit)
        (self.sandbox.folder / _TIMES).unlink()
        if not times:
            raise StepError(ErrorCode.CORRUPT, _NO_PICTURES)
        return times

    def _output(self, wanted: Sequence[int]) -> Any:
        opened = self.source.input()
        encodes = self.mode is Mode.ENCODED
        # The segment muxer counts from the first picture, keyframes are forced by the file's own time.
        offset = self._times({"frames:v": 1})[0] if encodes else 0
        streams = [self._picture(opened, offset) if encodes else opened["V:0"]]
        options: dict[str, Any] = {"c:v": "copy"}
        if encodes:
            options = {
                "c:v": "libx264",
                "crf": self.encoding.crf,
                "preset": self.encoding.preset,
                "pix_fmt": "yuv420p",
                "fps_mode": "vfr",
                "enc_time_base:v": "demux",
                "audio_preload": round(_AHEAD_OF_TIME.get(self.encoding.preset, 2) / self.facts.video.frame_rate * 1e6),
            }
            if wanted:
                options["force_key_frames:v"] = _seconds(wanted, offset)
        if self.sound is not None:
            streams.append(opened[self.sound])
            options |= self._sound()
        return ffmpeg.output(
            *streams,
            _PATTERN,
            f="segment",
            segment_format="mp4",
            segment_format_options="movflags=+faststart",
            segment_list=_LIST,
            segment_list_type="csv",
            reset_timestamps=1,
            avoid_negative_ts="disabled",  # shifted times don't meet segment_times
            map_metadata=-1,
            map_chapters=-1,
            **({"segment_times": _seconds(wanted)} if wanted else {"segment_time": 10**6}),
            **options,
        )

    def _picture(self, opened: Any, offset: float) -> Any:
        """As it is shown: ffmpeg has turned it upright already."""
        video = opened["V:0"]
        if self.facts.video.hdr:
            # The transfer function is tagged, PQ or HLG; the rest is BT.2020's also where that isn't said.
            video = (
                video.filter("setparams", color_primaries="bt2020", colorspace="bt2020nc")
                .filter("zscale", t="linear", npl=100)
                .filter("format", "gbrpf32le")
                .filter("zscale", p="bt709")
                .filter("tonemap", "hable", desat=0)
                .filter("zscale", t="bt709", m="bt709", r="tv")
            )
        video = video.filter("scale", self.encoding.width, self.encoding.height, flags="bicubic").filter("setsar", 1)
        video = video.filter("format", "yuv420p")
        layers = self.encoding.layers
        return video if layers is None else layers.over(self.sandbox.folder, video, offset)

    def _sound(self) -> dict[str, Any]:
        if self.facts.audio_is_copied:
            return {"c:a": "copy"}
        track = self.facts.video.audio[0]
        return {
            "c:a": "aac",
            "b:a": _AUDIO_BITRATE,
            "af": "aresample=async=1",  # where sound is missing there is silence, so that the rest stays at its time
            **({"ac": 2} if track.channels > 2 else {}),
            **({"ar": _HIGHEST_SAMPLE_RATE} if track.sample_rate_hz > _HIGHEST_SAMPLE_RATE else {}),
        }


def _seconds(wanted: Sequence[int], offset: float = 0) -> str:
    return ",".join(f"{(start - EARLY_MS + offset) / 1000:.4f}" for start in wanted)


def _may_be_too_many(wanted: Sequence[int], starts: Sequence[int]) -> bool:
    """Whether a start may be one that nobody wants. After two cuts that fall on one keyframe the muxer, which counts, takes the
    next keyframe for the second of them."""
    return any(cut - EARLY_MS <= start for cut, start in zip(wanted[1:], starts[1:-1], strict=False))


def _first_at_or_after(wanted: Sequence[int], possible: Sequence[int]) -> list[int]:
    """The starts that the wanted ones really fall on, each once. What has none goes into the last segment."""
    at = (bisect_left(possible, start - EARLY_MS) for start in wanted)
    return sorted({possible[index] for index in at if index < len(possible)} - {0})


def _verified(files: Sequence[Path], planned: int, mode: Mode) -> list[Mp4]:
    if len(files) > planned:
        raise _not_as_planned(f"{len(files)} segments were made where {planned} were planned")
    segments = [_read(path) for path in files]
    if mode is not Mode.ENCODED and not all(segment.plays_in_browsers for segment in segments):
        raise NotPlayable
    for number, made in enumerate(segments, 1):
        if not (made.pictures and made.begins_with_keyframe and made.plays_in_browsers and made.index_first):
            raise _not_as_planned(f"segment {number} doesn't begin with a keyframe, or browsers can't play it")
    return segments


def _end(last_start: int, first_picture: int, last: Mp4, facts: SourceFacts) -> int:
    """When the last segment ends: where probe says that the video does, unless its pictures end elsewhere."""
    expected, shown = facts.video.duration_ms, last_start + last.shown_ms
    reached = first_picture + last_start + last.duration_ms
    if reached < expected - min(max(500, expected / 100), 2000):
        raise StepError(
            ErrorCode.TRUNCATED, f"the file's pictures and sound end at {reached / 1000:.1f} s of {expected / 1000:.1f} s"
        )
    return expected if abs(shown - expected) <= 1000 / facts.video.frame_rate else max(round(shown), last_start + 1)


def _read(path: Path) -> Mp4:
    try:
        return read_mp4(path)
    except LookupError:
        raise StepError(ErrorCode.CORRUPT, _NO_PICTURES) from None


def _not_as_planned(what: str) -> StepError:
    return StepError(ErrorCode.STEP_ERROR, what, False)
