"""A plan of segments: covers the video, is the same everywhere, and says what can't be before anything is done."""

from __future__ import annotations

import uuid
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from media_assets.cuts import Cut, FixedCut, RandomCut, ScenesCut
from media_assets.steps.segment_plan import JobOptions, PlanError, SegmentPlan, TextInput, cuts, plan

DURATIONS = st.integers(1, 4 * 3600 * 1000)
LENGTHS = st.floats(0.5, 600)
RATES = st.sampled_from([0.2, 1, 10, 23.976, 25, 29.97, 60, 240]) | st.floats(0.1, 240)
VIDEOS = st.uuids()
VIDEO = uuid.UUID("00000000-0000-4000-8000-000000000001")


@st.composite
def between(draw: st.DrawFn) -> RandomCut:
    shortest, longest = sorted((draw(LENGTHS), draw(LENGTHS)))
    return RandomCut(min_duration=shortest, max_duration=longest)


KNOWN = st.builds(FixedCut, duration_seconds=LENGTHS) | between()


def lengths(duration_ms: int, cut: Cut, frame_rate: float = 30, video_id: uuid.UUID = VIDEO) -> list[int]:
    bounds = cuts(duration_ms, frame_rate, cut, video_id)
    assert bounds is not None
    return [end - start for start, end in bounds]


def planned(cut: Cut, duration_ms: int = 60_000, most_segments: int = 2000, **text_input: Any) -> SegmentPlan:
    options = JobOptions(cutting_options=cut, text_input=TextInput(**text_input) if text_input else None)
    return plan(duration_ms, 30, options, VIDEO, most_segments=most_segments)


@given(DURATIONS, RATES, KNOWN, VIDEOS)
def test_segments_cover_the_video_without_gap_or_overlap(
    duration_ms: int, frame_rate: float, cut: Cut, video_id: uuid.UUID
) -> None:
    bounds = cuts(duration_ms, frame_rate, cut, video_id)
    assert bounds is not None
    assert bounds[0][0] == 0
    assert bounds[-1][1] == duration_ms
    assert all(one[1] == following[0] for one, following in pairwise(bounds))
    assert all(start < end for start, end in bounds)


@given(DURATIONS, RATES, KNOWN, VIDEOS)
def test_no_segment_is_shorter_than_a_frame_unless_the_video_is(
    duration_ms: int, frame_rate: float, cut: Cut, video_id: uuid.UUID
) -> None:
    found = lengths(duration_ms, cut, frame_rate, video_id)
    assert min(found) * frame_rate >= 1000 or len(found) == 1


@given(DURATIONS, KNOWN, VIDEOS)
def test_lengths_are_those_asked_for_but_for_the_last(duration_ms: int, cut: Cut, video_id: uuid.UUID) -> None:
    found = lengths(duration_ms, cut, video_id=video_id)
    shortest, longest = (
        (cut.duration_seconds, cut.duration_seconds) if isinstance(cut, FixedCut) else (cut.min_duration, cut.max_duration)
    )
    least, most = round(shortest * 1000), round(longest * 1000)
    assert all(least <= each <= most for each in found[:-1])
    assert found[-1] <= most + min(least // 2, 1000)
    if len(found) > 1:
        assert found[-1] >= min(least // 2, 1000)


@given(st.integers(30_000, 600_000), VIDEOS)
def test_random_lengths_leave_no_short_rest_where_it_can_be_helped(duration_ms: int, video_id: uuid.UUID) -> None:
    cut = RandomCut(min_duration=5, max_duration=15)
    assert all(5000 <= each <= 15_000 for each in lengths(duration_ms, cut, video_id=video_id))


def test_random_lengths_are_the_same_on_every_machine_and_others_for_another_video_or_seed() -> None:
    cut = RandomCut(min_duration=5, max_duration=15)
    found = lengths(60_000, cut)
    assert found == [9924, 9283, 7278, 9298, 14_482, 9735]
    assert lengths(60_000, cut, video_id=uuid.UUID(int=2)) != found
    assert lengths(60_000, cut.model_copy(update={"seed": "again"})) != found


@pytest.mark.parametrize(
    ("duration_ms", "seconds", "found"),
    [
        (60_000, 10, [10_000] * 6),
        (65_000, 10, [10_000] * 6 + [5000]),
        (61_000, 10, [10_000] * 6 + [1000]),
        (60_999, 10, [10_000] * 5 + [10_999]),  # under a second
        (2240, 1, [1000, 1240]),  # under half of what was asked for
        (9000, 10, [9000]),
        (20, 10, [20]),
        (3000, 0.5, [500] * 6),
    ],
)
def test_fixed_lengths(duration_ms: int, seconds: float, found: list[int]) -> None:
    assert lengths(duration_ms, FixedCut(duration_seconds=seconds)) == found


def test_a_slide_show_is_not_cut_between_its_frames() -> None:
    assert lengths(10_000, FixedCut(duration_seconds=0.5), frame_rate=0.5) == [2000] * 5


def test_scenes_are_counted_by_their_bounds() -> None:
    cut = ScenesCut(min_duration=2, max_duration=15)
    assert cuts(60_000, 30, cut, VIDEO) is None
    assert (planned(cut).bounds, planned(cut).least, planned(cut).most) == (None, 4, 30)
    assert (planned(cut, duration_ms=500).least, planned(cut, duration_ms=500).most) == (1, 1)


def test_a_video_without_duration_is_refused() -> None:
    with pytest.raises(PlanError, match="a video of 0 ms has nothing to cut"):
        planned(FixedCut(duration_seconds=10), duration_ms=0)


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (FixedCut(duration_seconds=0.5), "that makes 120 segments, and 50 are allowed: a duration of 1.2 s or more is within"),
        (RandomCut(min_duration=0.5, max_duration=1), r"that makes \d+ segments, and 50 .*: a min_duration of 1.2 s or more"),
        (ScenesCut(min_duration=1, max_duration=9), "that makes up to 60 segments, and 50 are allowed: a min_duration of 1.2"),
    ],
)
def test_too_many_segments_are_refused_and_what_is_told_instead_is_allowed(cut: Cut, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        planned(cut, most_segments=50)
    assert planned(FixedCut(duration_seconds=1.2), most_segments=50).most == 50
    assert planned(ScenesCut(min_duration=1.2, max_duration=9), most_segments=50).most == 50


def test_texts_by_strategy() -> None:
    halves = FixedCut(duration_seconds=30)
    assert planned(halves).texts is None
    for_all = planned(halves, strategy="one_for_all", base_text="Hello")
    assert (for_all.texts, for_all.varied, for_all.text_of(1)) == (("Hello", "Hello"), False, "Hello")
    own = planned(halves, strategy="unique_for_all", unique_texts=("One", "Two"))
    assert (own.texts, own.text_of(1)) == (("One", "Two"), "Two")
    varied = planned(halves, strategy="base_vary", base_text="Hello", context="a shop")
    assert (varied.texts, varied.varied, varied.text_of(0)) == (None, True, None)
    scenes = planned(ScenesCut(min_duration=2, max_duration=60), strategy="one_for_all", base_text="Hello")
    assert (scenes.texts, scenes.text_of(7)) == (("Hello",), "Hello")


@pytest.mark.parametrize("texts", [("One",), ("One", "Two", "Three")])
def test_as_many_own_texts_as_segments(texts: tuple[str, ...]) -> None:
    with pytest.raises(PlanError, match=f"there are {len(texts)} texts for 2 segments: give one for each"):
        planned(FixedCut(duration_seconds=30), strategy="unique_for_all", unique_texts=texts)


@pytest.mark.parametrize(
    "text_input",
    [
        {"strategy": "unique_for_all", "unique_texts": ("One",)},
        {"strategy": "base_vary", "base_text": "Hello"},
    ],
)
def test_scenes_have_one_text_for_all_or_none(text_input: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match="needs to know how many segments there will be"):
        planned(ScenesCut(min_duration=2, max_duration=60), **text_input)


@pytest.mark.parametrize(
    ("text_input", "message"),
    [
        ({"strategy": "one_for_all"}, "strategy one_for_all needs base_text"),
        ({"strategy": "base_vary"}, "strategy base_vary needs base_text"),
        ({"strategy": "unique_for_all", "unique_texts": []}, "strategy unique_for_all needs unique_texts"),
        ({"strategy": "unique_for_all", "base_text": "a"}, "strategy unique_for_all needs unique_texts"),
        ({"strategy": "one_for_all", "base_text": "a", "unique_texts": ["b"]}, "takes base_text, not unique_texts"),
        ({"strategy": "unique_for_all", "base_text": "a", "unique_texts": ["b"]}, "takes unique_texts, not base_text"),
        ({"strategy": "one_for_all", "base_text": "a", "context": "b"}, "strategy one_for_all takes no context"),
        ({"strategy": "base_vary", "base_text": "a", "context": "b\x01"}, "the context has control characters"),
        ({"strategy": "one_for_all", "base_text": " \n"}, "the text is blank"),
        ({"strategy": "unique_for_all", "unique_texts": ["a", ""]}, "text 2: the text is blank"),
        ({"strategy": "one_for_all", "base_text": "\U00013000"}, r"the font has no glyph for U\+13000 EGYPTIAN"),
        ({"strategy": "one_for_all", "base_text": "x" * 201}, "the text has 201 characters; it may have 200"),
        ({"strategy": "one_for_all", "base_text": "a\x1b[2J"}, r"the text has control characters: U\+001B"),
        (
            {"strategy": "unique_for_all", "unique_texts": ["a", "b\ud800"]},
            r"text 2: the text has control characters: U\+D800",
        ),
    ],
)
def test_texts_that_make_no_sense(text_input: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TextInput.model_validate(text_input)


def test_texts_may_have_lines_and_joined_characters() -> None:
    text = "Two\nlines, a face 😀 and שלום\u200f"
    assert TextInput(strategy="one_for_all", base_text=text).base_text == text
    assert TextInput(strategy="one_for_all", base_text="e\u0301\r\nx").base_text == "é\nx"


@given(KNOWN)
def test_options_survive_being_stored(cut: Cut) -> None:
    options = JobOptions(cutting_options=cut, text_input=TextInput(strategy="base_vary", base_text="a", context="b"))
    assert JobOptions.model_validate(options.model_dump(mode="json")) == options


@pytest.mark.parametrize(
    "cut",
    [
        {"type": "fixed", "duration_seconds": 0.4},
        {"type": "fixed", "duration_seconds": "nan"},
        {"type": "random", "min_duration": 5, "max_duration": 4},
        {"type": "scenes", "min_duration": 5},
        {"type": "thirds"},
        {"duration_seconds": 5},
    ],
)
def test_cuts_that_make_no_sense(cut: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobOptions.model_validate({"cutting_options": cut})
