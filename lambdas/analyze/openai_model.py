"""Analysis of a picture by a vision model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

from PIL import Image

from lambdas.analyze.prompt import InvalidAnswer, answer_schema, messages, read_answer
from lambdas.analyze.schema import Analysis
from lambdas.runtime.chat import Question, ask_for_json
from lambdas.runtime.model_endpoint import Answer


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

    Raises StepError: MODEL_ANSWER_INVALID, and what `ask_for_json` raises.
    """
    text, answer = ask_for_json(
        Question("describe this picture", "analysis", answer_schema(), messages(_data_url(image))),
        model=model,
        base_url=base_url,
        max_answer_tokens=max_answer_tokens,
        remaining_milliseconds=remaining_milliseconds,
    )
    try:
        return read_answer(text, original_width, original_height), answer
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
