"""Runs ONNX models: those that are stored in lambdas/models, and others from their bytes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_MODELS = Path(__file__).resolve().parents[2] / "models"


def open_session(model: Path | bytes) -> Any:
    """An onnxruntime session. One thread: Lambda has about one CPU, and results repeat."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@cache
def session(file_name: str) -> Any:
    """The session of a model of lambdas/models, made once a process."""
    return open_session(_MODELS / file_name)


def run(file_name: str, image: Floats) -> dict[str, Floats]:
    """Every output by name, for an image of shape (1, 3, height, width)."""
    model = session(file_name)
    names = [output.name for output in model.get_outputs()]
    return dict(zip(names, model.run(names, {"image": image}), strict=True))
