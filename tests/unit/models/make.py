"""Makes the detectors beside this file: real ONNX models of a few kB that find red and blue things.

They have the inputs and outputs of the usual exports, and a canvas 96 wide and 64 high. A cell's score is how red, or how
blue, its pixels are on average; its box lies on its centre, one stride wide and half a stride high. Cells of stride 8 score
half, so that a patch that fills a cell of stride 16 is found once.

    python -m venv onnx-venv && onnx-venv/bin/pip install onnx==1.23.2 numpy==2.4.6
    onnx-venv/bin/python tests/unit/models/make.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx  # type: ignore[import-not-found, unused-ignore]  # for making them only, the project doesn't depend on it
from onnx import TensorProto, helper, numpy_helper  # type: ignore[import-not-found, unused-ignore]

HEIGHT, WIDTH = 64, 96
STRIDES = (8, 16, 32)
CELLS = [(column, row, stride) for stride in STRIDES for row in range(HEIGHT // stride) for column in range(WIDTH // stride)]
CENTRED = np.array([((c + 0.5) * s, (r + 0.5) * s, s, s / 2) for c, r, s in CELLS], np.float32)
OBJECTNESS = 0.9
RGB, BGR = (0, 1, 2), (2, 1, 0)


class Graph:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, operation: str, *inputs: object, **attributes: Any) -> str:
        """Adds a node; arrays among its inputs become constants. The name of its output."""
        name = f"{operation}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, [self.named(each) for each in inputs], [name], **attributes))
        return name

    def named(self, value: object) -> str:
        if isinstance(value, str):
            return value
        self.constants.append(numpy_helper.from_array(np.asarray(value), f"constant_{len(self.constants)}"))
        return str(self.constants[-1].name)

    def scores(self, channels: tuple[int, int, int], brightest: float, *, clipped: bool = True) -> str:
        """Of each cell: red, blue; shape (1, cells, 2)."""
        red, _, blue = channels
        weights = np.full((2, 3, 1, 1), -0.5, np.float32)
        weights[0, red], weights[1, blue] = 1, 1
        levels = []
        for stride, weight in zip(STRIDES, (0.5, 1, 1), strict=True):
            mean = self("AveragePool", "images", kernel_shape=[stride, stride], strides=[stride, stride])
            level = self("Conv", mean, weights * np.float32(weight / brightest))
            if clipped:
                level = self("Clip", level, np.float32(0), np.float32(1))
            levels.append(self("Reshape", level, np.array([1, 2, -1])))
        return self("Transpose", self("Concat", *levels, axis=2), perm=[0, 2, 1])

    def save(self, name: str, output: str, shape: list[object], size: tuple[object, object] = (HEIGHT, WIDTH)) -> None:
        self.nodes.append(helper.make_node("Identity", [output], ["output0"]))
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ("batch", 3, *size))],
            [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        Path(__file__).with_name(f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def yolox(name: str, boxes: np.ndarray[Any, Any]) -> None:
    graph = Graph()
    scores = graph.scores(BGR, 255)
    something = np.full((1, len(CELLS), 1), OBJECTNESS, np.float32)
    graph.save(name, graph("Concat", boxes[None], something, scores, axis=2), [1, len(CELLS), 7])


def yolov5() -> None:
    """Three boxes a cell, the same, of which the second and the third are less sure."""
    graph = Graph()
    scores = graph.scores(RGB, 1)
    rows = [
        graph("Concat", CENTRED[None], np.full((1, len(CELLS), 1), OBJECTNESS * factor, np.float32), scores, axis=2)
        for factor in (1, 0.9, 0.8)
    ]
    graph.save("yolov5", graph("Concat", *rows, axis=1), [1, 3 * len(CELLS), 7])


def yolov8(name: str = "yolov8", size: tuple[object, object] = (HEIGHT, WIDTH), *, clipped: bool = True) -> None:
    graph = Graph()
    scores = graph.scores(RGB, 1, clipped=clipped)
    if not clipped:
        scores = graph("Sub", scores, np.float32(3))
    rows = graph("Concat", CENTRED[None], scores, axis=2)
    graph.save(name, graph("Transpose", rows, perm=[0, 2, 1]), [1, 6, len(CELLS)], size)


def end_to_end() -> None:
    """The five best cells of red, then of blue: nobody promises an order."""
    graph = Graph()
    edges = np.concatenate([CENTRED[:, :2] - CENTRED[:, 2:] / 2, CENTRED[:, :2] + CENTRED[:, 2:] / 2], axis=1)
    scores = graph("Split", graph.scores(RGB, 1), axis=2, num_outputs=2)
    graph.nodes[-1].output.append("of_blue")
    rows = []
    for number, of_label in enumerate((scores, "of_blue")):
        best = graph("TopK", of_label, np.array([5]), axis=1)
        graph.nodes[-1].output.append(f"cells_{number}")
        cells = graph("Reshape", f"cells_{number}", np.array([5]))
        boxes = graph("Unsqueeze", graph("Gather", edges, cells, axis=0), np.array([0]))
        rows.append(graph("Concat", boxes, best, np.full((1, 5, 1), number, np.float32), axis=2))
    graph.save("end_to_end", graph("Concat", *rows, axis=1), [1, "found", 6])


def fails_at_black() -> None:
    """Divides by the picture's brightness."""
    graph = Graph()
    scores = graph.scores(RGB, 1)
    brightness = graph("Reshape", graph("ReduceMean", "images"), np.array([1, 1, 1]))
    scores = graph("Clip", graph("Div", scores, brightness), np.float32(0), np.float32(1))
    rows = graph("Concat", CENTRED[None], scores, axis=2)
    graph.save("fails_at_black", graph("Transpose", rows, perm=[0, 2, 1]), [1, 6, len(CELLS)])


def classifier() -> None:
    graph = Graph()
    graph.save("classifier", graph("ReduceMax", graph.scores(RGB, 1), np.array([1]), keepdims=0), [1, 2])


if __name__ == "__main__":
    in_strides = [(0.5, 0.5, 0, np.log(0.5))] * len(CELLS)
    yolox("yolox", np.array(in_strides, np.float32))
    yolox("yolox_decoded", CENTRED)
    yolov5()
    yolov8()
    yolov8("any_size", ("height", "width"))
    yolov8("logits", clipped=False)
    end_to_end()
    fails_at_black()
    classifier()
