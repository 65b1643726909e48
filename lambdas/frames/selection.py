"""Which pictures of a video stand for it: the best of each shot, spread over the video, and the poster among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

DARK, BRIGHT = 14.0, 243.0
"""Mean luma of what shows nothing but black, or white."""
FLAT = 5.0
"""Standard deviation of the luma, below which there is but one colour."""
BLURRED = 0.05
"""Share of the sharpness of the video's other shots, below which there is nothing to make out."""
_POSTER_ELSEWHERE = 0.7
"""What a picture counts as a poster that isn't in the first third."""


@dataclass(frozen=True)
class Candidate:
    """A picture that could be chosen. `change` is how different it is from the pictures beside it (figures.distance).

    `index` says which one it is; both index and time ascend.
    """

    index: int
    timecode_ms: int
    brightness: float
    contrast: float
    sharpness: float
    change: float

    @property
    def shows_something(self) -> bool:
        return DARK <= self.brightness <= BRIGHT and self.contrast >= FLAT

    @property
    def score(self) -> float:
        """From 0 to 1: lit, rich in contrast, sharp and still."""
        lit = _ramp(self.brightness, 0, 60) * _ramp(255 - self.brightness, 0, 50)
        rich = _ramp(self.contrast, 0, 45)
        sharp = self.sharpness / (self.sharpness + 150)
        still = 1 / (1 + self.change / 0.15)
        return lit * rich * (0.2 + 0.8 * sharp) * (0.4 + 0.6 * still)


def choose(shots: Sequence[Sequence[Candidate]], most: int) -> list[Candidate]:
    """At most one picture a shot and `most` (≥ 1) in all, in the order of their times; at least one if there is any.

    Pictures that are black, white, of one colour or blurred are chosen only where the video has nothing else: then it is
    the one that is least so. Of too many shots, those are left out that are worse than others near them.
    """
    bests = [max(shot, key=lambda each: (each.shows_something, each.score)) for shot in shots if shot]
    if not bests:
        return []
    showing = [each for each in bests if each.shows_something]
    if not showing:
        return [_best(bests)]
    sharp_enough = BLURRED * median(each.sharpness for each in showing)
    return _spread([each for each in showing if each.sharpness >= sharp_enough], most)


def poster(chosen: Sequence[Candidate], duration_ms: int) -> Candidate:
    """The best one, of the first third of the video unless a later one is much better. Raises ValueError if there is none."""
    return max(
        chosen, key=lambda each: (each.score * (1 if each.timecode_ms * 3 <= duration_ms else _POSTER_ELSEWHERE), -each.index)
    )


def _spread(pictures: Sequence[Candidate], most: int) -> list[Candidate]:
    """The best of each of `most` equal parts of the time; where parts have none, those farthest from the ones that are in."""
    if len(pictures) <= most:
        return list(pictures)
    start, end = pictures[0].timecode_ms, pictures[-1].timecode_ms + 1
    parts: dict[int, list[Candidate]] = {}
    for each in pictures:
        parts.setdefault((each.timecode_ms - start) * most // (end - start), []).append(each)
    chosen = [_best(part) for part in parts.values()]
    times = {each.timecode_ms for each in chosen}
    rest = {each: min(abs(each.timecode_ms - time) for time in times) for each in pictures if each not in chosen}
    while len(chosen) < most:
        farthest = max(rest, key=lambda each: (rest[each], each.score, -each.index))
        del rest[farthest]
        chosen.append(farthest)
        rest = {each: min(gap, abs(each.timecode_ms - farthest.timecode_ms)) for each, gap in rest.items()}
    return sorted(chosen, key=lambda each: each.index)


def _best(pictures: Sequence[Candidate]) -> Candidate:
    return max(pictures, key=lambda each: (each.score, -each.index))


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))
