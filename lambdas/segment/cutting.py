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
from lambdas.segment.ffmpeg_process import Sandbox, Source
from lambdas.segment.layers import Layers
from lambdas.segment.mp4 import Mp4, read_mp4
from lambdas.segment.shots import Cuts
from lambdas.segment.source import Mode, SourceFacts

_PATTERN = "segment_%03d.mp4"
_LIST = "segments.csv"
_MOST_SEGMENTS = 10_000
"""An argument of a command may have 128 KB."""
_EARLY_US = 600
"""A picture is at a cut if it is at most so much before it: cuts are in milliseconds, pictures' times are finer."""
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
    STEP_ERROR if what ffmpeg made isn't what was planned; what `Sandbox.run` raises.
    """
    if len(cuts) > _MOST_SEGMENTS:
        raise StepError(ErrorCode.STEP_ERROR, f"{len(cuts):,} segments are planned; the limit is {_MOST_SEGMENTS:,}", False)
    wanted = [start for start, _ in cuts[1:]]
    run = _Run(source, sandbox, facts, mode, encoding)
    offset = 0
    begun = run.begun(wanted, offset, on_progress)
    if begun[0] > 1000 / facts.video.frame_rate:
        offset = begun[0]  # so much sound comes before the first picture, from which plans count
        begun = run.begun(wanted, offset, on_progress)
    if _may_be_too_many([start + offset for start in wanted], begun):
        wanted, offset = _first_at_or_after(wanted, run.possible_starts()), begun[0]
        begun = run.begun(wanted, offset, on_progress)
    starts = [start - begun[0] for start in begun]
    segments = _segments(sandbox.folder, starts, facts.video.duration_ms)
    _verify(segments, facts, wanted, mode)
    return segments


@dataclass(frozen=True)
class _Run:
    source: Source
    sandbox: Sandbox
    facts: SourceFacts
    mode: Mode
    encoding: Encoding

    def begun(self, wanted: Sequence[int], offset: int, on_progress: Callable[[float], None]) -> list[int]:
        """Cut where it is wanted, `offset` later. The answer is when each segment's first picture is, by the file's own time.
        Files of an earlier run that are no part of it are gone."""
        for path in self.sandbox.folder.glob("segment_*.mp4"):
            path.unlink()
        self.sandbox.run(self.source, self._output([start + offset for start in wanted], offset), on_progress)
        with (self.sandbox.folder / _LIST).open(newline="") as file:
            begun = [round(float(start) * 1000) for _, start, _ in csv.reader(file)]
        if not begun:
            raise StepError(ErrorCode.CORRUPT, _NO_PICTURES)
        return [begun[0] + round(_read(self.sandbox.folder / (_PATTERN % 0)).first_picture_ms), *begun[1:]]

    def possible_starts(self) -> list[int]:
        """When there is a keyframe, or a picture if video is encoded, in milliseconds since the first, ascending."""
        listing = self.source.input()["V:0"].output(
            "pictures.txt",
            f="framecrc",
            c="copy",
            avoid_negative_ts="disabled",
            **({} if self.mode is Mode.ENCODED else {"bsf:v": "noise=drop=not(key)"}),
        )
        self.sandbox.run(self.source, listing)
        unit, times = 0.0, []
        with (self.sandbox.folder / "pictures.txt").open() as file:
            for line in file:
                if line.startswith("#tb 0:"):
                    numerator, denominator = line.removeprefix("#tb 0:").split("/")
                    unit = 1000 * int(numerator) / int(denominator)
                elif not line.startswith("#"):
                    times.append(int(line.split(",")[2]) * unit)
        return sorted(round(time - min(times)) for time in times)

    def _output(self, wanted: Sequence[int], offset: int) -> Any:
        seconds = ",".join(f"{(start * 1000 - _EARLY_US) / 1e6:.4f}" for start in wanted)
        opened = self.source.input()
        encodes = self.mode is Mode.ENCODED
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
                options["force_key_frames:v"] = seconds
        if self.facts.video.audio:
            streams.append(opened["a:0"])
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
            **({"segment_times": seconds} if wanted else {"segment_time": 10**6}),
            **options,
        )

    def _picture(self, opened: Any, offset: int) -> Any:
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


def _may_be_too_many(wanted: Sequence[int], starts: Sequence[int]) -> bool:
    """Whether a start may be one that nobody wants, both by the file's own time. After two cuts that fall on one keyframe the muxer, which counts, takes
    the next keyframe for the second of them."""
    return any(cut * 1000 - _EARLY_US <= start * 1000 for cut, start in zip(wanted[1:], starts[1:-1], strict=False))


def _first_at_or_after(wanted: Sequence[int], possible: Sequence[int]) -> list[int]:
    """The starts that the wanted ones really fall on, each once. What has none goes into the last segment."""
    at = (bisect_left(possible, start) for start in wanted)
    return sorted({possible[index] for index in at if index < len(possible)} - {0})


def _segments(folder: Path, starts: Sequence[int], duration_ms: int) -> tuple[Segment, ...]:
    ends = [*starts[1:], max(duration_ms, starts[-1] + 1)]
    return tuple(Segment(folder / (_PATTERN % index), *bounds) for index, bounds in enumerate(zip(starts, ends, strict=True)))


def _verify(segments: Sequence[Segment], facts: SourceFacts, wanted: Sequence[int], mode: Mode) -> None:
    if len(segments) > len(wanted) + 1:
        raise _not_as_planned(f"{len(segments)} segments were made where {len(wanted) + 1} were planned")
    duration_ms = facts.video.duration_ms
    for number, segment in enumerate(segments, 1):
        made = _read(segment.path)
        if not made.plays_in_browsers and mode is not Mode.ENCODED:
            raise NotPlayable
        if not (made.pictures and made.begins_with_keyframe and made.plays_in_browsers and made.index_first):
            raise _not_as_planned(f"segment {number} doesn't begin with a keyframe, or browsers can't play it")
    end_ms = segments[-1].start_ms + made.duration_ms
    if end_ms < duration_ms - min(max(500, duration_ms / 100), 2000):
        raise StepError(
            ErrorCode.TRUNCATED, f"the file's pictures and sound end at {end_ms / 1000:.1f} s of {duration_ms / 1000:.1f} s"
        )


def _read(path: Path) -> Mp4:
    try:
        return read_mp4(path)
    except LookupError:
        raise StepError(ErrorCode.CORRUPT, _NO_PICTURES) from None


def _not_as_planned(what: str) -> StepError:
    return StepError(ErrorCode.STEP_ERROR, what)
