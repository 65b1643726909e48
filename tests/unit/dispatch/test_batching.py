"""Batches: nothing lost, order kept, limits respected."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.dispatch.batching import BatchLimits, halves, limits_for, make_batches
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.step import Work
from tests.unit.dispatch.works import video_work, work

LIMITS = BatchLimits(items=4, size_bytes=1000, pixels=1000)

works_of_any_size = st.lists(
    st.builds(lambda b, p: work(size_bytes=b, pixels=p), st.integers(0, 1500), st.integers(0, 1500)), max_size=40
)
any_limits = st.builds(BatchLimits, st.integers(1, 10), st.integers(1, 2000), st.integers(1, 2000))


@given(works_of_any_size, any_limits, st.integers(1, 8))
def test_nothing_is_lost_and_the_order_is_kept(works: list[Work], limits: BatchLimits, parallelism: int) -> None:
    batches = make_batches(works, limits, parallelism)
    assert [each for batch in batches for each in batch] == works
    assert all(batches)


@given(works_of_any_size, any_limits, st.integers(1, 8))
def test_limits_hold_for_every_batch_but_a_single_large_item(works: list[Work], limits: BatchLimits, parallelism: int) -> None:
    for batch in make_batches(works, limits, parallelism):
        assert len(batch) <= limits.items
        if len(batch) > 1:
            assert sum(each.size_bytes for each in batch) <= limits.size_bytes
            assert sum(each.pixels for each in batch) <= limits.pixels


@given(works_of_any_size, any_limits, st.integers(1, 8))
def test_no_batch_could_have_taken_the_next_ones_first_item(works: list[Work], limits: BatchLimits, parallelism: int) -> None:
    batches = make_batches(works, limits, parallelism)
    most = min(limits.items, ceil(len(works) / parallelism))
    for batch, following in pairwise(batches):
        more = [*batch, following[0]]
        assert (
            len(more) > most
            or sum(each.size_bytes for each in more) > limits.size_bytes
            or sum(each.pixels for each in more) > limits.pixels
        )


@given(st.integers(1, 40), st.integers(1, 8))
def test_few_items_are_spread_over_every_thread(number: int, parallelism: int) -> None:
    limits = BatchLimits(items=100, size_bytes=10**9, pixels=10**9)
    batches = make_batches([work() for _ in range(number)], limits, parallelism)
    assert len(batches) <= parallelism
    assert max(map(len, batches)) == ceil(number / parallelism)


@given(st.integers(1, 400), st.integers(1, 8), st.integers(1, 100))
def test_no_batch_is_made_smaller_than_is_worth_it(number: int, parallelism: int, fewest: int) -> None:
    limits = BatchLimits(items=500, size_bytes=10**9, pixels=10**9, fewest=fewest)
    batches = make_batches([work() for _ in range(number)], limits, parallelism)
    assert len(batches) <= max(1, number // fewest)
    assert all(len(batch) >= fewest for batch in batches[:-1])


def test_no_work_is_no_batch() -> None:
    assert make_batches([], LIMITS, 2) == []


def test_an_item_larger_than_a_batch_goes_alone() -> None:
    small, large, last = work(size_bytes=10), work(size_bytes=5000), work(size_bytes=10)
    assert make_batches([small, large, last], LIMITS, 1) == [[small], [large], [last]]


@given(st.integers(1, 64))
def test_halving_finds_any_one_item_in_log2_steps(number: int) -> None:
    batch = [work() for _ in range(number)]
    for poison in (batch[0], batch[-1], batch[number // 2]):
        dead, splits = batch, 0
        while len(dead) > 1:
            parts = halves(dead)
            assert [each for part in parts for each in part] == dead
            assert len(parts) == 2
            (dead,) = [part for part in parts if poison in part]
            splits += 1
        assert dead == [poison]
        assert splits <= (number - 1).bit_length()


@pytest.mark.parametrize(
    ("step", "provider", "items"),
    [("probe", "local", 64), ("probe", "openai", 64), ("thumbnail", "openai", 64),
     ("analyze", "local", 64), ("analyze", "openai", 4), ("embed", "local", 64), ("embed", "openai", 4)],
)  # fmt: skip
def test_only_batches_that_wait_for_a_paid_model_are_short(step: str, provider: str, items: int) -> None:
    assert limits_for(STEPS[step], Settings(model_provider=provider), "lambda").items == items


def test_limits_are_the_settings() -> None:
    settings = Settings(batch_max_items=5, batch_max_bytes=6, batch_max_pixels=7)
    assert limits_for(STEPS["thumbnail"], settings, "lambda") == BatchLimits(5, 6, 7)


def test_videos_are_batched_by_the_work_that_they_are() -> None:
    limits = limits_for(STEPS["frames"], Settings(lambda_max_work_seconds=60), "lambda")
    works = [work("frames") for _ in range(4)]
    seconds = dict(zip([each.item_id for each in works], [30.0, 30.0, 1.0, 70.0], strict=True))
    batches = make_batches(works, limits, 1, seconds_of=lambda each: seconds[each.item_id])
    assert [len(batch) for batch in batches] == [2, 1, 1]
    assert limits_for(STEPS["frames"], Settings(lambda_max_work_seconds=60), "ecs").seconds == 600
    assert limits_for(STEPS["detect"], Settings(), "ecs").fewest == 100


def test_a_batch_is_of_one_recipe() -> None:
    """A job's own options are its recipe, and a request has one."""
    ten = {"cutting_options": {"type": "fixed", "duration_seconds": 10}, "exact": False, "text_input": None}
    five = {**ten, "exact": True}
    works = [video_work(options=ten), video_work(options=ten), video_work(options=five), video_work(options=ten)]
    step, settings = STEPS["segment"], Settings()
    batches = make_batches(
        works, limits_for(step, settings, "ecs"), 1, recipe_of=lambda each: step.recipe_of(each, settings).digest
    )
    assert [len(batch) for batch in batches] == [2, 1, 1]
