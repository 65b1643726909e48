"""A detector of one's own: an ONNX file whose output has one of the usual layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from lambdas.detect.layouts import PADDING, Candidates, Layout, layout_of
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from lambdas.runtime.vision.detection import Detection, distinct
from lambdas.runtime.vision.inference import Floats, open_session
from lambdas.runtime.vision.picture import Letterbox

_MOST_CANDIDATES = 1000  # are compared with each other
_ROUNDING = 1e-3  # by which a probability may leave 0–1


class OwnModel:
    """A model that was found usable: it loads, takes pictures, has a known layout and answers to an empty picture."""

    def __init__(self, body: bytes, labels: tuple[str, ...]) -> None:
        """Raises StepError MODEL_NOT_CONFIGURED, saying what is wrong with the model."""
        try:
            self._session: Any = open_session(body)
        except Exception as error:  # onnxruntime's have no base of their own
            raise _unusable(f"onnxruntime can't load it: {_one_line(error)}") from error
        self._labels = labels
        self._input, self._height, self._width = self._canvas()
        self._output, self._layout = self._first_output()
        try:
            self._candidates(self._empty_canvas(), min_confidence=1)
        except StepError as error:
            raise _unusable(f"tried on an empty picture, {error.message}") from error

    def detect(self, image: Image.Image, min_confidence: float, most: int) -> list[Detection]:
        """The things in an upright RGB picture, `most` of them, most confident first.

        Raises StepError: MODEL_ANSWER_INVALID when the model fails at this picture, MODEL_NOT_CONFIGURED when it knows more
        labels than there are.
        """
        letterbox = Letterbox.of(image.size, self._width, self._height)
        canvas = self._empty_canvas()
        letterbox.place(letterbox.scaled(image), canvas)
        found = self._candidates(canvas, min_confidence)
        if len(found.labels) and not (found.labels.min() >= 0 and found.labels.max() < len(self._labels)):
            raise _unusable(f"it found things by numbers up to {found.labels.max()}; there are {len(self._labels)} labels")
        confidences, boxes = np.clip(found.confidences, 0, 1), letterbox.fractions(found.boxes)
        detections = [
            Detection(self._labels[label], confidence, *box)
            for label, confidence, box in zip(found.labels, confidences.tolist(), boxes.tolist(), strict=True)
        ]
        return distinct(detections, most) if self._layout.overlaps else detections[:most]

    def _candidates(self, canvas: Floats, min_confidence: float) -> Candidates:
        """The most confident ones first."""
        pixels = canvas[:, :, ::-1] if self._layout.reverse_channels else canvas
        image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None] / np.float32(self._layout.divisor))
        try:
            (output,) = self._session.run([self._output], {self._input: image})
            found = self._layout.candidates(np.asarray(output, np.float32)[0])
        except Exception as error:  # as above, and numpy's: nothing makes a model keep to the shape that it declares
            raise _invalid(f"the detection model made nothing: {_one_line(error)}") from error
        if not np.all((found.confidences >= -_ROUNDING) & (found.confidences <= 1 + _ROUNDING)):
            raise _invalid("the detection model made confidences that are not between 0 and 1")
        counting = np.nonzero(found.confidences >= min_confidence)[0]
        chosen = counting[np.argsort(-found.confidences[counting], kind="stable")][:_MOST_CANDIDATES]
        if not np.isfinite(found.boxes[chosen]).all():
            raise _invalid("the detection model made boxes that have no place")
        return Candidates(found.boxes[chosen], found.confidences[chosen], found.labels[chosen])

    def _empty_canvas(self) -> Floats:
        return np.full((self._height, self._width, 3), PADDING, np.float32)

    def _canvas(self) -> tuple[str, int, int]:
        """Name, height and width of the input."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise _unusable(f"it has {len(inputs)} inputs instead of one")
        (only,) = inputs
        said = f"{only.type.removeprefix('tensor').strip('()')} {' × '.join(str(side) for side in only.shape)}"
        match only.type, only.shape:
            case "tensor(float)", [int() as batch, 3, int() as height, int() as width] if batch == 1:
                return only.name, height, width
            case "tensor(float)", [str() | None, 3, int() as height, int() as width]:
                return only.name, height, width
        raise _unusable(f"its input is {said}; it must be float 1 × 3 × height × width with a fixed height and width")

    def _first_output(self) -> tuple[str, Layout]:
        output = self._session.get_outputs()[0]
        try:
            return output.name, layout_of(output.shape, self._height, self._width, len(self._labels))
        except ValueError as error:
            raise _unusable(str(error)) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _unusable(why: str) -> StepError:
    return StepError(ErrorCode.MODEL_NOT_CONFIGURED, f"the detection model can't be used: {why}")


def _invalid(message: str) -> StepError:
    return StepError(ErrorCode.MODEL_ANSWER_INVALID, message)
