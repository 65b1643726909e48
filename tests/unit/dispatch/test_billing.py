"""A batch's bill among its items: nothing lost, nothing added, by the work that each was."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.runtime.contract import ErrorCode, ItemOutcome, Metrics
from media_assets.dispatch.billing import charges, split, unanswered
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.prices import lambda_invocation
from tests.unit.dispatch.works import PROBE, THUMBNAIL, answer_to, error, ok, request_for, work

HOSTED = Settings(model_provider="openai")
weights_of_a_batch = st.lists(st.integers(0, 900_000), min_size=1, max_size=64)


@given(st.integers(0, 10**9), weights_of_a_batch)
def test_the_parts_are_the_bill(bill: int, weights: list[int]) -> None:
    assert sum(split(bill, weights)) == bill


@given(st.integers(0, 10**9), weights_of_a_batch)
def test_a_part_is_less_than_a_micro_dollar_off_its_share(bill: int, weights: list[int]) -> None:
    shares = weights if any(weights) else [1] * len(weights)
    for part, share in zip(split(bill, weights), shares, strict=True):
        assert abs(part * sum(shares) - bill * share) < sum(shares)
        assert part >= 0


@pytest.mark.parametrize(
    ("bill", "weights", "parts"),
    [
        (100, [1, 1], [50, 50]),
        (100, [1, 1, 1], [33, 33, 34]),
        (100, [3, 0, 1], [75, 0, 25]),
        (10, [0, 0], [5, 5]),
        (1, [1, 1, 1], [0, 0, 1]),
        (0, [5], [0]),
    ],
)
def test_a_bill_is_split_so(bill: int, weights: list[int], parts: list[int]) -> None:
    assert split(bill, weights) == parts


def outcome(item_id: object, milliseconds: int, tokens_in: int = 0, tokens_out: int = 0) -> ItemOutcome:
    metrics = Metrics(milliseconds=milliseconds, tokens_in=tokens_in, tokens_out=tokens_out)
    return ok(item_id).model_copy(update={"metrics": metrics})


@given(st.lists(st.integers(0, 60_000), min_size=1, max_size=64), st.integers(0, 10_000), st.sampled_from([512, 2048]))
def test_a_batchs_charges_are_its_invocations_bill(times: list[int], overhead: int, memory_mb: int) -> None:
    works = [work() for _ in times]
    manifest = answer_to(request_for(works), [outcome(w.item_id, ms) for w, ms in zip(works, times, strict=True)])
    manifest = manifest.model_copy(update={"billed_milliseconds": sum(times) + overhead, "memory_mb": memory_mb})
    bill = lambda_invocation(HOSTED, milliseconds=sum(times) + overhead, memory_mb=memory_mb)
    assert sum(charges(manifest, PROBE, HOSTED, "lambda").values()) == bill


def test_tokens_are_the_items_own() -> None:
    analyze = STEPS["analyze"]
    works = [work("analyze") for _ in range(2)]
    outcomes = [outcome(works[0].item_id, 600, 1200, 340), outcome(works[1].item_id, 200)]
    manifest = answer_to(request_for(works, analyze), outcomes).model_copy(
        update={"billed_milliseconds": 1000, "memory_mb": 1024}
    )
    invocation = 17
    assert charges(manifest, analyze, HOSTED, "lambda") == {works[0].item_id: 12 + 1024, works[1].item_id: invocation - 12}
    assert sum(charges(manifest, analyze, Settings(model_provider="local"), "lambda").values()) == invocation


def test_what_wasnt_started_pays_nothing_of_its_neighbours_work() -> None:
    works = [work(), work()]
    manifest = answer_to(request_for(works), [outcome(works[0].item_id, 5000), error(works[1].item_id, ErrorCode.NOT_STARTED)])
    assert charges(manifest, PROBE, HOSTED, "lambda") == {works[0].item_id: 84, works[1].item_id: 0}


def test_an_invocation_without_an_answer_is_split_by_estimated_work() -> None:
    def parts(step: str, *sizes: tuple[int, int]) -> list[int]:
        works = [work(step, size_bytes=size_bytes, pixels=pixels) for size_bytes, pixels in sizes]
        found: dict[uuid.UUID, int] = unanswered(works, STEPS[step], HOSTED, "lambda", 60_000)
        return [found[each.item_id] for each in works]

    bill = lambda_invocation(HOSTED, milliseconds=60_000, memory_mb=THUMBNAIL.memory_mb)
    assert parts("thumbnail", (9, 3_000_000), (999, 1_000_000)) == [bill * 3 // 4, bill - bill * 3 // 4]
    assert parts("probe", (300, 0), (100, 0)) == [750, 251]  # bytes, before pixels are known
    assert parts("analyze", (9, 3_000_000), (999, 1_000_000)) == [bill // 2, bill - bill // 2]  # models see thumbnails
