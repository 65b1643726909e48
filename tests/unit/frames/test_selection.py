"""Which pictures are chosen, from figures alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lambdas.frames.figures import Signature, figures_of
from lambdas.frames.selection import Candidate, choose, poster
from lambdas.frames.shots import MIN_SHOT_MS, shot_starts

GOOD = Candidate(index=0, timecode_ms=0, brightness=110, contrast=50, sharpness=400, change=0.02)


def candidate(timecode_ms: int, **figures: float) -> Candidate:
    return replace(GOOD, index=timecode_ms // 10, timecode_ms=timecode_ms, **figures)


@st.composite
def videos(draw: st.DrawFn) -> list[list[Candidate]]:
    """Shots of candidates whose times ascend throughout."""
    sizes = draw(st.lists(st.integers(1, 5), max_size=12))
    gaps = draw(st.lists(st.integers(10, 60_000), min_size=sum(sizes), max_size=sum(sizes)))
    made = [
        Candidate(
            index, time,
            draw(st.sampled_from([0, 10, 20, 110, 250])), draw(st.sampled_from([0, 4, 30, 60])),
            draw(st.sampled_from([0, 10, 300, 2000])), draw(st.floats(0, 1)),
        )
        for index, time in enumerate(accumulate(gaps))
    ]  # fmt: skip
    ends = list(accumulate(sizes))
    return [made[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(videos(), st.integers(1, 15))
def test_what_holds_for_any_video(shots: list[list[Candidate]], most: int) -> None:
    chosen = choose(shots, most)
    assert (not chosen) == (not shots)
    assert len(chosen) <= most
    assert all(one.timecode_ms < other.timecode_ms for one, other in pairwise(chosen))
    assert all(sum(each in shot for each in chosen) <= 1 for shot in shots)
    assert all(any(each in shot for shot in shots) for each in chosen)
    if any(each.shows_something for shot in shots for each in shot):
        assert all(each.shows_something for each in chosen)
    elif chosen:
        assert len(chosen) == 1
    if chosen:
        assert poster(chosen, 60_000) in chosen


@given(videos())
def test_a_shot_gives_its_best(shots: list[list[Candidate]]) -> None:
    for each in choose(shots, 1000):
        (shot,) = [shot for shot in shots if each in shot]
        assert each.score == max(other.score for other in shot if other.shows_something == each.shows_something)


@given(st.lists(st.floats(1, 2000), min_size=30, max_size=60), st.integers(2, 29))
def test_they_are_spread_over_the_video(sharpness: list[float], most: int) -> None:
    shots = [[candidate(second * 1000, sharpness=200 + value)] for second, value in enumerate(sharpness)]
    chosen = choose(shots, most)
    assert len(chosen) == most
    part = (len(sharpness) - 1) * 1000 / most
    assert all(other.timecode_ms - one.timecode_ms <= 2 * part + 1000 for one, other in pairwise(chosen))


@pytest.mark.parametrize(
    "worse",
    [
        {"brightness": 2, "contrast": 1},
        {"brightness": 253, "contrast": 2},
        {"contrast": 0},
        {"sharpness": 3},
        {"change": 0.5},
        {"brightness": 20},
    ],
)
def test_the_better_one_of_a_shot(worse: dict[str, float]) -> None:
    assert choose([[candidate(0, **worse), candidate(100), candidate(200, **worse)]], 5) == [candidate(100)]


@pytest.mark.parametrize("nothing", [{"brightness": 2, "contrast": 1}, {"contrast": 0}, {"sharpness": 3}])
def test_a_shot_that_shows_nothing_is_left_out(nothing: dict[str, float]) -> None:
    shots = [[candidate(0)], [candidate(1000, **nothing)], [candidate(2000)]]
    assert choose(shots, 5) == [candidate(0), candidate(2000)]


def test_of_nothing_but_black_there_is_one() -> None:
    black = [candidate(time, brightness=time / 1000, contrast=0, sharpness=0) for time in (0, 1000, 2000)]
    assert len(choose([[each] for each in black], 5)) == 1


def test_the_poster_is_early_unless_something_later_is_much_better() -> None:
    early, later = candidate(1000, sharpness=300), candidate(50_000, sharpness=900)
    assert poster([early, later], 60_000) == early
    assert poster([replace(early, sharpness=10, contrast=10), later], 60_000) == later


GROUNDS = ((0, 0, 0), (135, 0, 0), (0, 135, 0), (0, 0, 135), (135, 135, 0), (135, 135, 135))


@cache
def picture(shot: int, blur: int = 1) -> NDArray[np.uint8]:
    """Noise on a ground of its own; pictures of different shots have no colour in common."""
    cells = np.random.default_rng(shot).integers(0, 120, (24 // blur, 32 // blur, 3)) + GROUNDS[shot]
    return np.kron(cells, np.ones((blur * 4, blur * 4, 1))).astype(np.uint8)


@cache
def signature(shot: int) -> Signature:
    return figures_of(picture(shot)).signature


@given(st.lists(st.integers(5, 12), min_size=1, max_size=6))
def test_cuts_are_where_the_picture_changes(lengths: list[int]) -> None:
    signatures = [signature(shot) for shot, length in enumerate(lengths) for _ in range(length)]
    times = [index * 120 for index in range(len(signatures))]
    assert shot_starts(times, signatures) == [0, *accumulate(lengths)][:-1]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 3000))
def test_shots_are_never_too_short(pictures: list[int], apart: int) -> None:
    signatures = [signature(each) for each in pictures]
    times = [index * apart for index in range(len(signatures))]
    starts = shot_starts(times, signatures)
    assert starts[0] == 0
    assert all(times[other] - times[one] >= MIN_SHOT_MS for one, other in pairwise(starts))


def test_a_dissolve_ends_in_another_shot() -> None:
    one, other = picture(1).astype(float), picture(2).astype(float)
    shares = [0.0] * 10 + [step / 12 for step in range(12)] + [1.0] * 10
    signatures = [figures_of((one + (other - one) * share).astype(np.uint8)).signature for share in shares]
    starts = shot_starts([index * 120 for index in range(len(shares))], signatures)
    assert len(starts) == 2
    assert 10 < starts[1] <= 24


def test_figures_know_sharp_from_blurred_and_bright_from_dark() -> None:
    sharp, blurred = figures_of(picture(1)), figures_of(picture(1, blur=8))
    assert sharp.sharpness > 5 * blurred.sharpness
    grey = figures_of(np.full((20, 30, 3), 90, np.uint8))
    assert grey.brightness == pytest.approx(90, abs=0.1)
    assert max(grey.contrast, grey.sharpness) < 0.01
    assert sharp.fingerprint != blurred.fingerprint


@pytest.mark.parametrize("shape", [(4, 4), (4, 320), (320, 5), (9, 16), (180, 320)])
def test_figures_of_any_shape(shape: tuple[int, int]) -> None:
    figures = figures_of(np.zeros((*shape, 3), np.uint8))
    assert np.isfinite(figures.signature).all()
    assert figures.brightness == 0
