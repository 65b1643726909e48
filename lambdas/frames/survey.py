"""One pass over a video: its pictures' times, and figures of those that could be chosen.

A pass costs what decoding costs. Beyond so many pixels only pictures are decoded that stand on their own (keyframes), at most
one a second and few enough, so that the time is bounded, however long the video is. Cuts usually are keyframes too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from lambdas.frames.figures import Figures, Viewer, distance
from lambdas.frames.selection import Candidate
from lambdas.frames.shots import shot_starts
from lambdas.frames.track import Track
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError

MOST_PIXELS = 40e9
"""That are decoded: ten minutes in full HD, 30 pictures a second, some 80 seconds on two processors."""
_MOST_SAMPLES = 20_000
_SAMPLE_MS = 120.0
_FEWEST_SAMPLES = 20
_LATEST_MS = 99_999_999
"""What eight digits hold, 27 hours."""


def spacing_ms(duration_ms: int, frame_rate: float, pixels: int) -> float:
    """0 where every picture can be decoded, otherwise how far apart those are at least that are."""
    seconds = duration_ms / 1000
    if seconds * frame_rate * pixels <= MOST_PIXELS:
        return 0.0
    return max(1000.0, duration_ms * pixels / MOST_PIXELS)


@dataclass(frozen=True)
class Sighting:
    """How a picture is found again: by its number among those that were decoded; or by its time and its looks."""

    index: int
    time: int
    fingerprint: int


@dataclass
class Survey:
    """`times` are those of the pictures in the order in which they came, in the track's units; `keys` the indices of those
    that stand on their own."""

    unit_ms: float
    times: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    sampled: list[tuple[int, Figures]] = field(default_factory=list)

    def sightings(self, candidates: Iterable[Candidate]) -> list[Sighting]:
        looks = {index: figures.fingerprint for index, figures in self.sampled}
        return [Sighting(each.index, self.times[each.index], looks[each.index]) for each in candidates]

    def shots(self) -> list[list[Candidate]]:
        """The pictures that could be chosen, by shot. Their times begin with the first picture's, at 0, and ascend."""
        # Pictures come in order. AVI, which has no times of its own, lets some codecs' come with each other's.
        ordered = sorted(self.times)
        told = [(index, round((ordered[index] - ordered[0]) * self.unit_ms), figures) for index, figures in self.sampled]
        seen = [each for each, before in zip(told, [None, *told], strict=False) if before is None or each[1] > before[1]]
        seen = [each for each in seen if each[1] <= _LATEST_MS]
        looks = [figures.signature for _, _, figures in seen]
        steps = [distance(one, other) for one, other in pairwise(looks)]
        candidates = [
            Candidate(index, at, figures.brightness, figures.contrast, figures.sharpness, max(beside))
            for (index, at, figures), beside in zip(seen, zip([0.0, *steps], [*steps, 0.0], strict=False), strict=False)
        ]
        starts = shot_starts([each.timecode_ms for each in candidates], looks)
        return [candidates[start:end] for start, end in zip(starts, [*starts[1:], len(candidates)], strict=True)]


def survey(track: Track, duration_ms: int, apart_ms: float, max_frames: int, progress: Callable[[float], None]) -> Survey:
    """Decode the track from its beginning. Raises StepError: TOO_MANY_FRAMES, and CORRUPT if none can be decoded."""
    found, viewer = Survey(track.unit_ms), Viewer()
    between = min(max(_SAMPLE_MS, duration_ms / _MOST_SAMPLES), duration_ms / _FEWEST_SAMPLES) / track.unit_ms
    latest = 0.0
    for index, frame in enumerate(track.pictures(apart_ms)):
        if index >= max_frames:
            raise StepError(ErrorCode.TOO_MANY_FRAMES, f"the video has more frames than the limit, {max_frames:,}")
        time = frame.pts if frame.pts is not None else found.times[-1] + 1 if found.times else 0
        found.times.append(time)
        if frame.key_frame:
            found.keys.append(index)
        if index == 0 or apart_ms or not -between < time - latest < between:
            latest = time
            found.sampled.append((index, viewer.figures(frame)))
            progress((time - found.times[0]) * track.unit_ms / duration_ms)
    if not found.times:
        raise StepError(ErrorCode.CORRUPT, "none of the video's pictures can be decoded")
    return found
