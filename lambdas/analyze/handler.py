"""The `analyze` step: category, summary, tags, objects, text and colours of a picture, by the recipe's provider.

It works on a thumbnail, never on the original: small, upright, sRGB, and decoded by nothing but the WebP decoder.
"""

from __future__ import annotations

from typing import Any, Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lambdas.analyze.schema import Analysis
from lambdas.runtime.contract import BatchItem, ErrorCode
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.step import StepContext, StepError, StepResult
from lambdas.runtime.vision.thumbnails import PictureFacts


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True)

    provider: Literal["local", "openai"]
    model: str = Field(min_length=1)
    base_url: str | None = None
    input_px: int
    """Which of the thumbnails is looked at: the size of its long side."""
    max_answer_tokens: int = Field(default=8192, ge=1)


class _Input(PictureFacts):
    exif: dict[str, Any] = Field(default_factory=dict)


def process(item: BatchItem, context: StepContext) -> StepResult:
    """result = {"analysis": Analysis as JSON, "provider", "model"}.

    Raises StepError: MODEL_NOT_CONFIGURED for a recipe that names no provider or thumbnail there is, and what the
    provider and the storage raise.
    """
    try:
        parameters = _Parameters.model_validate(context.parameters)
    except ValidationError as error:
        fields = ", ".join(str(fault["loc"][0]) for fault in error.errors())
        raise StepError(ErrorCode.MODEL_NOT_CONFIGURED, f"the recipe's parameters are unusable: {fields}") from None
    facts = _Input.model_validate(item.input)
    facts.require(parameters.input_px)

    def picture() -> Image.Image:
        return facts.read(item, context, parameters.input_px)

    def result(analysis: Analysis) -> dict[str, Any]:
        return {
            "analysis": analysis.model_dump(mode="json"),
            "provider": parameters.provider,
            "model": parameters.model,
        }

    # Providers are imported when they are used: onnxruntime and the openai SDK would triple a cold start.
    if parameters.provider == "local":
        from lambdas.analyze import local_model

        if parameters.model != local_model.MODEL_NAME:
            raise StepError(
                ErrorCode.MODEL_NOT_CONFIGURED,
                f"the embedded model is {local_model.MODEL_NAME}, the recipe asks for {parameters.model}",
            )
        return StepResult(result(local_model.analyze_image(picture(), facts.width, facts.height, facts.exif)))

    from lambdas.analyze import openai_model
    from lambdas.runtime.stored_result import compute_once

    def ask_model() -> StepResult:
        analysis, answer = openai_model.analyze_image(
            picture(),
            facts.width,
            facts.height,
            model=parameters.model,
            base_url=parameters.base_url,
            max_answer_tokens=parameters.max_answer_tokens,
            remaining_milliseconds=context.remaining_milliseconds,
        )
        return StepResult(result(analysis), tokens_in=answer.tokens_in, tokens_out=answer.tokens_out)

    return compute_once(item, context, ask_model)


handler = lambda_handler("analyze", process)
