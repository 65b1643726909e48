"""A question to a chat model whose answer is JSON, over an OpenAI-compatible endpoint. Imports the SDK: see model_endpoint."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lambdas.runtime.model_endpoint import Answer, ask


@dataclass(frozen=True)
class Question:
    """What a model is asked for: `task` completes "the model refused to …", `schema` (strict mode) is of its answer."""

    task: str
    name: str
    schema: dict[str, Any]
    messages: list[dict[str, Any]]


def ask_for_json(
    question: Question, *, model: str, base_url: str | None, max_answer_tokens: int, remaining_milliseconds: Callable[[], int]
) -> tuple[str, Answer]:
    """The text of the model's answer, out of its Markdown fence if it has one; and the answer, for the tokens.

    An answer, with what a model reasons before it, is cut off after `max_answer_tokens`. Endpoints differ in how they keep to
    schemas: whether the text does is for the caller to see.

    Raises StepError: MODEL_REFUSED, MODEL_ANSWER_INVALID (none, empty or cut off), and what `ask` raises.
    """
    request = {
        "model": model,
        "messages": question.messages,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": question.name, "strict": True, "schema": question.schema},
        },
        "max_completion_tokens": max_answer_tokens,
    }
    answer = ask("/chat/completions", request, base_url=base_url, remaining_milliseconds=remaining_milliseconds)
    return _unfenced(_content(answer, question.task)), answer


def _unfenced(text: str) -> str:
    fenced = re.fullmatch(r"\s*```(?:json)?\s*(.*?)\s*```\s*", text, re.DOTALL)
    return fenced.group(1) if fenced else text


def _content(answer: Answer, task: str) -> str:
    """The text of the first choice, if it is complete and no refusal."""
    choices = answer.body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise answer.invalid("the model's answer has no choices")
    message: Any = choice.get("message")
    message = message if isinstance(message, dict) else {}
    if message.get("refusal") or choice.get("finish_reason") in ("content_filter", "refusal"):
        raise answer.refused(f"the model refused to {task}")
    if choice.get("finish_reason") == "length":
        raise answer.invalid("the model's answer was cut off at its length limit")
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        raise answer.invalid("the model's answer is empty")
    return content
