"""Embedding of a text by a model behind an OpenAI-compatible endpoint (OpenAI, Google, Voyage and others)."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable
from typing import Any

from lambdas.runtime.model_endpoint import Answer, ask

_SIZE_FIELDS = {
    "text-embedding-3": "dimensions",
    "gemini-embedding": "dimensions",
    "voyage-": "output_dimension",
}
"""How a model family is told the size of its vectors. Others refuse such a field: their size is their own."""


def embed_text(
    text: str, *, model: str, dimensions: int, base_url: str | None, remaining_milliseconds: Callable[[], int]
) -> tuple[list[float], Answer]:
    """`model`'s vector for the text, as it came, of whatever size and length; and its answer, for the tokens.

    Raises StepError: MODEL_ANSWER_INVALID if the answer holds anything but one vector, and what `ask` raises.
    """
    request: dict[str, Any] = {"model": model, "input": text}
    for family, field in _SIZE_FIELDS.items():
        if model.startswith(family):
            request[field] = dimensions
    answer = ask("/embeddings", request, base_url=base_url, remaining_milliseconds=remaining_milliseconds)
    return _vector(answer), answer


def _vector(answer: Answer) -> list[float]:
    data = answer.body.get("data")
    if not isinstance(data, list) or len(data) != 1:
        count = len(data) if isinstance(data, list) else 0
        raise answer.invalid(f"the model answered one text with {count} vectors")
    vector = data[0].get("embedding") if isinstance(data[0], dict) else None
    if isinstance(vector, str):  # base64 of little-endian float32, which some endpoints send unasked
        try:
            return [value for (value,) in struct.iter_unpack("<f", base64.b64decode(vector, validate=True))]
        except (binascii.Error, struct.error):
            raise answer.invalid("the model's vector is neither a list nor base64 of float32 values") from None
    if not isinstance(vector, list) or not all(type(value) in (int, float) for value in vector):
        raise answer.invalid("the model's vector is not a list of numbers")
    return [float(value) for value in vector]
