"""Segments at shot boundaries: where they are found, and how short and long shots become segments."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.segment.shots import cuts_at_shots
from tests.unit.conftest import Bucket
from tests.unit.segment.segmenting import planned, segmented, uploaded
from tests.unit.videos import Videos


@st.composite
def videos_in_shots(draw: st.DrawFn) -> tuple[list[int], int]:
    duration = draw(st.integers(1, 600_000))
    return sorted(draw(st.sets(st.integers(1, duration), max_size=50))), duration


@given(videos_in_shots(), st.integers(500, 60_000), st.integers(0, 60_000))
def test_segments_cover_the_video_and_none_is_too_long(video: tuple[list[int], int], shortest: int, more: int) -> None:
    shots, duration = video
    cuts = cuts_at_shots(shots, duration, shortest, shortest + more)
    assert cuts[0][0] == 0
    assert cuts[-1][1] == duration
    assert all(before[1] == after[0] for before, after in pairwise(cuts))
    assert all(0 < end - start <= shortest + more for start, end in cuts)


@given(videos_in_shots(), st.integers(500, 60_000), st.integers(0, 60_000))
def test_none_is_too_short_where_that_is_possible(video: tuple[list[int], int], shortest: int, more: int) -> None:
    shots, duration = video
    cuts = cuts_at_shots(shots, duration, shortest, 2 * shortest + more)
    if duration >= shortest:
        assert min(end - start for start, end in cuts) >= shortest
    else:
        assert cuts == ((0, duration),)


@pytest.mark.parametrize(
    ("shots", "cuts"),
    [
        ((), ((0, 5000), (5000, 10_000))),
        ((3000, 7000), ((0, 3000), (3000, 7000), (7000, 10_000))),
        ((1000, 3000, 9500), ((0, 3000), (3000, 6500), (6500, 10_000))),
        ((500, 1000, 1500, 2000, 2500), ((0, 2000), (2000, 6000), (6000, 10_000))),
    ],
)
def test_short_shots_are_joined_and_long_ones_divided(shots: tuple[int, ...], cuts: tuple[tuple[int, int], ...]) -> None:
    assert cuts_at_shots(shots, 10_000, 2000, 6000) == cuts


def test_a_video_is_cut_where_its_shots_change(bucket: Bucket, videos: Videos) -> None:
    item = uploaded(bucket, videos("shots"))
    scenes = {"type": "scenes", "min_duration": 0.5, "max_duration": 60.0}
    for exact in (False, True):
        found = segmented(bucket, planned(item), cut=scenes, exact=exact)
        assert found.bounds == [(0, 1000), (1000, 2000), (2000, 3000)]
    for segment, colour in zip(found.segments, ((254, 0, 0), (0, 128, 0), (0, 0, 254)), strict=True):
        for picture in (0, -1):
            assert segment.picture(picture).getpixel((80, 60)) == pytest.approx(colour, abs=8)


def test_one_text_goes_over_all_shots(bucket: Bucket, videos: Videos) -> None:
    scenes = {"type": "scenes", "min_duration": 0.5, "max_duration": 60.0}
    found = segmented(bucket, planned(uploaded(bucket, videos("shots")), texts=["Hallo"]), cut=scenes)
    assert found.mode == "encoded"
    assert [(segment.start_ms, segment.text) for segment in found.segments] == [(0, "Hallo"), (1000, "Hallo"), (2000, "Hallo")]
