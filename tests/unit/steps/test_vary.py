"""The step `vary` on the orchestrator's side: what it asks for, what it may cost, and which results it takes."""

from __future__ import annotations

import uuid
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import create_engine

from lambdas.runtime.contract import ItemOutcome
from media_assets.settings import ModelPrice, Settings
from media_assets.steps.segment_plan import JobOptions, cuts
from media_assets.steps.step import Job, Work
from media_assets.steps.vary import VaryText
from tests.unit.dispatch.works import work

LOCAL = Settings(model_provider="local", vary_model=None)
HOSTED = Settings(model_provider="openai")
VIDEO = {"duration_ms": 25_000, "frame_rate": 30.0}
STEP = VaryText()


def job_work(cut: dict[str, Any] | None = None, **text: Any) -> Work:
    options = {
        "cutting_options": cut or {"type": "fixed", "duration_seconds": 10},
        "text_input": {"strategy": "base_vary", "base_text": "Hello", "context": "a harbour"} | text,
    }
    return replace(work("vary"), video=VIDEO, job=Job(uuid.uuid4(), options))


def inputs(*works: Work) -> dict[uuid.UUID, dict[str, Any]]:
    with create_engine("sqlite://").connect() as connection:
        return STEP.inputs(connection, works, HOSTED)


def test_a_text_is_wanted_for_each_segment_of_the_plan() -> None:
    fixed = job_work()
    random = job_work({"type": "random", "min_duration": 2, "max_duration": 5, "seed": "x"}, context=None)
    wanted = inputs(fixed, random)
    assert wanted[fixed.item_id] == {"base_text": "Hello", "context": "a harbour", "count": 3}
    assert random.job is not None
    cut = JobOptions.model_validate(random.job.options).cutting_options
    planned = cuts(25_000, 30.0, cut, random.job.item_id)
    assert planned is not None
    assert wanted[random.item_id] == {"base_text": "Hello", "context": None, "count": len(planned)}


def test_work_that_plans_no_texts_is_a_fault() -> None:
    with pytest.raises(ValueError, match="no number of texts"):
        inputs(job_work({"type": "scenes", "min_duration": 2, "max_duration": 5}))
    with pytest.raises(ValueError, match="no job"):
        inputs(work("vary"))


def test_a_result_is_one_text_for_each_segment() -> None:
    asked = replace(job_work(), input={"base_text": "Hello", "context": None, "count": 2})
    outcome = ItemOutcome(item_id=str(asked.item_id), result={"texts": ["Hi", "Hey"], "model": "m"})
    assert STEP.payload(asked, outcome).texts == ("Hi", "Hey")
    with pytest.raises(ValueError, match="2 texts are not one for each of 3 segments"):
        STEP.payload(replace(asked, input={"count": 3}), outcome)


def test_the_model_is_part_of_the_recipe_and_paid_by_the_token() -> None:
    other = Settings(
        model_provider="local", vary_model="writer", model_prices={"writer": ModelPrice(input=Decimal(1), output=Decimal(10))}
    )
    assert STEP.recipe(HOSTED).digest != STEP.recipe(other).digest
    assert STEP.recipe(HOSTED) == STEP.recipe(Settings(model_provider="openai", vary_max_answer_tokens=99))
    assert STEP.parameters(HOSTED)["model"] == STEP.hosted_model(HOSTED) == HOSTED.analyze_model
    assert STEP.hosted_model(LOCAL) is None
    tokens_in, tokens_out = STEP.most_tokens(other)
    assert STEP.tokens_micro_dollars(other, tokens_in, tokens_out) == tokens_in + 10 * tokens_out
    assert STEP.most_micro_dollars(other) > tokens_in + 10 * tokens_out
