"""The Lambda entry point of thumbnail.

Parameters (the recipe's): `sizes` (pixels of the long side), WebP's `quality` and `method`, `max_bytes`, `max_pixels`.
Result: placeholder (ThumbHash, base64), width, height (of the upright original). Outputs: `<size>.webp` for every size,
with attributes size, width, height.
"""

from __future__ import annotations

import io
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from lambdas.runtime.contract import BatchItem
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.images.header import read_header
from lambdas.runtime.step import StepContext, StepResult
from lambdas.thumbnail.decode import decode
from lambdas.thumbnail.renditions import render

_MAX_WEBP_SIDE = 16383


class Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sizes: frozenset[Annotated[int, Field(ge=1, le=_MAX_WEBP_SIDE)]] = Field(min_length=1)
    quality: int = Field(ge=0, le=100)
    method: int = Field(ge=0, le=6)
    max_bytes: int = Field(gt=0)
    max_pixels: int = Field(gt=0)


def thumbnail(item: BatchItem, context: StepContext) -> StepResult:
    """Write one image's renditions. Raises StepError with the reason if the file can't be decoded."""
    parameters = context.parameters_as(Parameters)
    body = context.storage.read(item, parameters.max_bytes)
    header = read_header(io.BytesIO(body), len(body), parameters.max_pixels)
    picture = decode(body, header, max(parameters.sizes), parameters.max_pixels)
    done = render(picture, parameters.sizes, parameters.quality, parameters.method)
    outputs = tuple(
        context.storage.write(
            item.bucket,
            f"{item.output_prefix}{rendition.size}.webp",
            rendition.webp,
            "image/webp",
            {"size": rendition.size, "width": rendition.width, "height": rendition.height},
        )
        for rendition in done.renditions
    )
    result = {"placeholder": done.placeholder, "width": done.width, "height": done.height}
    return StepResult(result, outputs)


handler = lambda_handler("thumbnail", thumbnail)
