"""What computing costs: AWS's and OpenAI's price lists, to the micro-dollar, never rounded to nothing."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_assets.settings import ModelPrice, Settings
from media_assets.steps.prices import fargate_task, lambda_invocation, model_call

SETTINGS = Settings(model_provider="openai")


@pytest.mark.parametrize(
    ("milliseconds", "memory_mb", "micro_dollars"),
    [
        (1_000_000, 1024, 16_667),  # 1,000 GB-seconds at $0.0000166667, and $0.20 a million requests
        (300_000, 2048, 10_001),
        (1000, 1024, 17),
        (50, 2048, 2),
        (0, 512, 1),  # a request
    ],
)
def test_an_invocation_of_lambda(milliseconds: int, memory_mb: int, micro_dollars: int) -> None:
    assert lambda_invocation(SETTINGS, milliseconds=milliseconds, memory_mb=memory_mb) == micro_dollars


@pytest.mark.parametrize(
    ("seconds", "vcpus", "memory_mb", "micro_dollars"),
    [
        ("3600", "1", 2048, 49_370),  # $0.04048 a vCPU-hour, $0.004445 a GB-hour
        ("1800", "2", 4096, 49_370),
        ("3600", "0.25", 512, 12_343),
        ("60", "1", 2048, 823),
        ("3", "1", 2048, 823),  # a minute at least
        ("60.01", "1", 2048, 837),  # a begun second counts
    ],
)
def test_a_task_of_fargate(seconds: str, vcpus: str, memory_mb: int, micro_dollars: int) -> None:
    assert fargate_task(SETTINGS, seconds=Decimal(seconds), vcpus=Decimal(vcpus), memory_mb=memory_mb) == micro_dollars


@pytest.mark.parametrize(
    ("model", "tokens_in", "tokens_out", "micro_dollars"),
    [
        ("gpt-4.1-mini", 1_000_000, 1_000_000, 2_000_000),
        ("gpt-4.1-mini", 1200, 340, 1024),
        ("text-embedding-3-small", 1_000_000, 0, 20_000),
        ("text-embedding-3-small", 9, 0, 1),
        ("gpt-4.1-mini", 0, 0, 0),
        ("local/all-minilm-l6-v2-int8", 1_000_000, 0, 0),
    ],
)
def test_a_call_of_a_model(model: str, tokens_in: int, tokens_out: int, micro_dollars: int) -> None:
    assert model_call(SETTINGS, model, tokens_in=tokens_in, tokens_out=tokens_out) == micro_dollars


def test_a_model_without_a_price_costs_an_error_and_not_nothing() -> None:
    with pytest.raises(KeyError, match="mystery"):
        model_call(SETTINGS, "mystery", tokens_in=1, tokens_out=1)


@given(st.integers(0, 900_000), st.integers(128, 10_240), st.decimals("0.0000000001", "0.001", places=10))
def test_what_is_recorded_is_the_bill_and_less_than_a_micro_dollar_more(ms: int, memory_mb: int, price: Decimal) -> None:
    settings = Settings(lambda_gb_second_dollars=price)
    exact = Fraction(ms, 1000) * Fraction(memory_mb, 1024) * Fraction(price) + Fraction("0.0000002")
    assert 0 <= lambda_invocation(settings, milliseconds=ms, memory_mb=memory_mb) - exact * 1_000_000 < 1


def test_a_free_service_is_free() -> None:
    free = Settings(lambda_gb_second_dollars=Decimal(0), lambda_request_dollars=Decimal(0))
    assert lambda_invocation(free, milliseconds=1000, memory_mb=2048) == 0
    free = Settings(model_provider="openai", model_prices={"gpt-4.1-mini": ModelPrice(input=Decimal(0))})
    assert model_call(free, "gpt-4.1-mini", tokens_in=1_000_000, tokens_out=1_000_000) == 0
