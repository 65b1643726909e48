"""Our step functions as Pixeltable's: it stores a function by module and name, so they are in a module of their own."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pixeltable as pxt  # type: ignore[import-not-found]

from benchmarks.one_photo import Photo, facts_of, local
from media_assets.settings import Settings
from media_assets.steps.embed import text_of

FOLDER = "BENCH_PIXELTABLE_FOLDER"
"""Variable that names the folder for thumbnails."""
_DIMENSIONS = Settings(model_provider="local").embed_dimensions


@pxt.udf
def probe(path: str) -> pxt.Json:
    return _photo(path).run("probe", {}).result


@pxt.udf
def thumbnail(path: str) -> pxt.Json:
    made = _photo(path).run("thumbnail", {})
    return {**made.result, "outputs": [output.model_dump() for output in made.outputs]}


@pxt.udf
def analyze(path: str, probed: pxt.Json, thumbnails: pxt.Json) -> pxt.Json:
    return _photo(path).run("analyze", _facts(probed, thumbnails)).result


@pxt.udf
def detect(path: str, probed: pxt.Json, thumbnails: pxt.Json) -> pxt.Json:
    return _photo(path).run("detect", _facts(probed, thumbnails)).result


@pxt.udf
def text(analyzed: pxt.Json) -> str:
    return text_of(analyzed["analysis"])


@pxt.udf
def embed(text: str) -> pxt.Array[(_DIMENSIONS,), np.float32]:
    return np.array(_nothing().run("embed", {"text": text}).result["vector"], np.float32)


def _photo(path: str) -> Photo:
    return local(Path(path), Path(os.environ[FOLDER]) / Path(path).stem)


@cache
def _nothing() -> Photo:
    """Embedding reads a text and no photo."""
    return local(Path(__file__), Path(os.environ[FOLDER]))


def _facts(probed: dict[str, Any], thumbnails: dict[str, Any]) -> dict[str, Any]:
    return facts_of(probed, {output["attributes"]["size"]: output["key"] for output in thumbnails["outputs"]})
