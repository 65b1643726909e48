"""The `embed` step: the vector of a text, by the recipe's provider, for search by meaning."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lambdas.runtime.contract import BatchItem, ErrorCode
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.step import StepContext, StepError, StepResult

MAX_CHARACTERS = 8_000
"""What is embedded of a text. Hosted models take about 8,000 tokens and refuse more; the embedded model reads 256."""


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True)

    provider: Literal["local", "openai"]
    model: str = Field(min_length=1)
    dimensions: int = Field(ge=1)
    base_url: str | None = None


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True)

    text: str


class UnusableVector(ValueError):
    """A model's vector can't be stored. The text says why."""


def process(item: BatchItem, context: StepContext) -> StepResult:
    """result = {"model", "dimensions", "vector": floats of length 1, each the shortest decimal of a float32}.

    Raises StepError: MODEL_NOT_CONFIGURED for a recipe that names no provider there is, MODEL_ANSWER_INVALID for a
    vector of another size than the recipe's, STEP_ERROR for an empty text, and what provider and storage raise.
    """
    try:
        parameters = _Parameters.model_validate(context.parameters)
    except ValidationError as error:
        fields = ", ".join(str(fault["loc"][0]) for fault in error.errors())
        raise StepError(ErrorCode.MODEL_NOT_CONFIGURED, f"the recipe's parameters are unusable: {fields}") from None
    text = _Input.model_validate(item.input).text.strip()[:MAX_CHARACTERS]
    if not text:
        raise StepError(ErrorCode.STEP_ERROR, "there is no text to embed", retryable=False)

    def result(vector: list[float]) -> dict[str, Any]:
        return {"model": parameters.model, "dimensions": parameters.dimensions, "vector": vector}

    # Providers are imported when they are used: onnxruntime and the openai SDK would triple a cold start.
    if parameters.provider == "local":
        from lambdas.embed import local_model

        if (parameters.model, parameters.dimensions) != (local_model.MODEL_NAME, local_model.DIMENSIONS):
            raise StepError(
                ErrorCode.MODEL_NOT_CONFIGURED,
                f"the embedded model is {local_model.MODEL_NAME} of {local_model.DIMENSIONS} dimensions, the recipe "
                f"asks for {parameters.model} of {parameters.dimensions}",
            )
        return StepResult(result(unit_vector(local_model.embed_text(text), parameters.dimensions)))

    from lambdas.embed import openai_model
    from lambdas.runtime.stored_result import compute_once

    def ask_model() -> StepResult:
        values, answer = openai_model.embed_text(
            text,
            model=parameters.model,
            dimensions=parameters.dimensions,
            base_url=parameters.base_url,
            remaining_milliseconds=context.remaining_milliseconds,
        )
        try:
            vector = unit_vector(values, parameters.dimensions)
        except UnusableVector as error:
            raise answer.invalid(str(error)) from None
        return StepResult(result(vector), tokens_in=answer.tokens_in, tokens_out=answer.tokens_out)

    if not item.output_prefix:  # a search query: nothing of it is kept
        return ask_model()
    return compute_once(item, context, ask_model)


def unit_vector(values: list[float], dimensions: int) -> list[float]:
    """The vector scaled to Euclidean length 1 and rounded to float32, each value as its shortest decimal.

    Raises UnusableVector if it has another size, holds a value that isn't finite, or has no direction.
    """
    if len(values) != dimensions:
        raise UnusableVector(f"the model's vector has {len(values)} dimensions, the recipe says {dimensions}")
    if not all(math.isfinite(value) for value in values):
        raise UnusableVector("the model's vector holds values that are not finite")
    length = math.hypot(*values)
    if not (0 < length < math.inf):
        raise UnusableVector("the model's vector has no direction")
    return [float(str(np.float32(value / length))) for value in values]


handler = lambda_handler("embed", process)
