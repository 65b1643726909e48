"""The Lambda entry point of probe.

Parameters (the recipe's): `max_bytes` and `max_pixels` of a picture. Result: kind, format, content_type, width, height
(pixels, as stored), orientation (EXIF's, 1–8), upright_width, upright_height, frames (where the header counts them), exif.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lambdas.probe.exif import public_exif
from lambdas.probe.source import SourceFile
from lambdas.runtime.contract import BatchItem
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.images.header import read_header
from lambdas.runtime.step import StepContext, StepResult
from lambdas.runtime.storage import require_bytes


class Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(gt=0)
    max_pixels: int = Field(gt=0)


def probe(item: BatchItem, context: StepContext) -> StepResult:
    """Measure one upload from ranged reads of its header. Raises StepError with the reason for a rejection."""
    limits = context.parameters_as(Parameters)
    require_bytes(item.size_bytes, limits.max_bytes)
    file = SourceFile(lambda start, length: context.storage.read_range(item, start, length), item.size_bytes)
    header = read_header(file, item.size_bytes, limits.max_pixels)
    upright_width, upright_height = header.upright_size
    result: dict[str, Any] = {
        "kind": "image",
        "format": header.format.value,
        "content_type": header.format.content_type,
        "width": header.width,
        "height": header.height,
        "orientation": header.orientation,
        "upright_width": upright_width,
        "upright_height": upright_height,
        "exif": public_exif(header.exif),
    }
    if header.frames is not None:
        result["frames"] = header.frames
    return StepResult(result)


handler = lambda_handler("probe", probe)
