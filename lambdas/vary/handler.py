"""The `vary` step: as many variations of a text as a video has segments, from a hosted chat model. There is no embedded one."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lambdas.runtime.contract import BatchItem, ErrorCode
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.overlay_text import MAX_CHARACTERS, MAX_CONTEXT_CHARACTERS, MAX_VARIATIONS
from lambdas.runtime.step import StepContext, StepError, StepResult
from lambdas.runtime.stored_result import compute_once
from lambdas.vary.prompt import ANSWER_SCHEMA, InvalidAnswer, messages, read_answer


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True)

    provider: Literal["openai"]
    model: str = Field(min_length=1)
    base_url: str | None = None
    max_answer_tokens: int = Field(default=16_384, ge=1)


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True)

    base_text: str = Field(min_length=1, max_length=MAX_CHARACTERS)
    context: str | None = Field(default=None, max_length=MAX_CONTEXT_CHARACTERS)
    count: int = Field(ge=1, le=MAX_VARIATIONS)


def process(item: BatchItem, context: StepContext) -> StepResult:
    """result = {"texts": `count` texts that can be drawn, no two alike, "model"}.

    Raises StepError: MODEL_NOT_CONFIGURED for a recipe without a chat model, STEP_ERROR for an input that is none,
    MODEL_ANSWER_INVALID for an answer that isn't what was asked for, and what endpoint and storage raise.
    """
    try:
        parameters = _Parameters.model_validate(context.parameters)
    except ValidationError as error:
        fields = ", ".join(str(fault["loc"][0]) for fault in error.errors())
        raise StepError(ErrorCode.MODEL_NOT_CONFIGURED, f"the recipe's parameters are unusable: {fields}") from None
    try:
        wanted = _Input.model_validate(item.input)
    except ValidationError as error:
        fields = ", ".join(str(fault["loc"][0]) for fault in error.errors())
        raise StepError(ErrorCode.STEP_ERROR, f"this can't be asked for: {fields}", retryable=False) from None

    def ask_model() -> StepResult:
        # Imported when it is used: a later attempt, whose answer is stored, needs no SDK.
        from lambdas.runtime.chat import Question, ask_for_json

        text, answer = ask_for_json(
            Question("vary this text", "variations", ANSWER_SCHEMA, messages(wanted.base_text, wanted.context, wanted.count)),
            model=parameters.model,
            base_url=parameters.base_url,
            max_answer_tokens=parameters.max_answer_tokens,
            remaining_milliseconds=context.remaining_milliseconds,
        )
        try:
            texts = read_answer(text, wanted.count)
        except InvalidAnswer as error:
            raise answer.invalid(f"the model's answer is not what was asked for: {error}") from None
        result = {"texts": texts, "model": parameters.model}
        return StepResult(result, tokens_in=answer.tokens_in, tokens_out=answer.tokens_out)

    return compute_once(item, context, ask_model)


handler = lambda_handler("vary", process)
