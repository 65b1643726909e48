"""Analysis of a picture by a vision model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

from PIL import Image

from lambdas.analyze.prompt import InvalidAnswer, answer_schema, messages, read_answer
from lambdas.analyze.schema import Analysis
from lambdas.runtime.model_endpoint import Answer, ask


def analyze_image(
    image: Image.Image,
    original_width: int,
    original_height: int,
    *,
    model: str,
    base_url: str | None,
    max_answer_tokens: int,
    remaining_milliseconds: Callable[[], int],
) -> tuple[Analysis, Answer]:
    """What `model` says about the upright `image`, boxes in pixels of the original; and its answer, for the tokens.

    An answer, with what a model reasons before it, is cut off after `max_answer_tokens`.

    Raises StepError: MODEL_REFUSED, MODEL_ANSWER_INVALID, and what `ask` raises.
    """
    request = {
        "model": model,
        "messages": messages(_data_url(image)),
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "analysis", "strict": True, "schema": answer_schema()},
        },
        "max_completion_tokens": max_answer_tokens,
    }
    answer = ask("/chat/completions", request, base_url=base_url, remaining_milliseconds=remaining_milliseconds)
    try:
        return read_answer(_content(answer), original_width, original_height), answer
    except InvalidAnswer as error:
        raise answer.invalid(f"the model's answer does not follow the schema: {error}") from None


def _data_url(image: Image.Image) -> str:
    """The picture as JPEG, which every endpoint takes (llama.cpp's takes no WebP); transparent parts become white."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _content(answer: Answer) -> str:
    """The text of the first choice, if it is complete and no refusal."""
    choices = answer.body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise answer.invalid("the model's answer has no choices")
    message: Any = choice.get("message")
    message = message if isinstance(message, dict) else {}
    if message.get("refusal") or choice.get("finish_reason") in ("content_filter", "refusal"):
        raise answer.refused("the model refused to describe this picture")
    if choice.get("finish_reason") == "length":
        raise answer.invalid("the model's answer was cut off at its length limit")
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        raise answer.invalid("the model's answer is empty")
    return content
