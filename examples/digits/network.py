"""A small trainable convolutional network in NumPy, and its ONNX form.

Each layer knows four things: how it computes (``forward``), how its gradient flows
back (``backward``, from the last ``forward``), which arrays are trained
(``parameters``), and which ONNX nodes it is (``export``). Images are N×C×H×W float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Floats = NDArray[np.floating]

BATCH_NORM_EPSILON = 1e-5


@dataclass
class Parameter:
    """A trained array and the gradient of the loss with respect to it."""

    value: Floats
    gradient: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.gradient = np.zeros_like(self.value)


@dataclass
class OnnxWriter:
    """Collects nodes and initializers; names follow the path of the layer in the network."""

    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    initializers: list[onnx.TensorProto] = field(default_factory=list[onnx.TensorProto])

    def constant(self, name: str, value: Floats) -> str:
        """Add an initializer; returns its name."""
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op_type: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node with one output that bears the node's name; returns that name."""
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name


class Layer(Protocol):
    """What every layer below offers."""

    def forward(self, x: Floats, training: bool) -> Floats: ...
    def backward(self, dy: Floats) -> Floats: ...
    def parameters(self) -> Iterator[Parameter]: ...
    def export(self, writer: OnnxWriter, x: str, path: str) -> str: ...


class Parameterless:
    """A layer with nothing to train."""

    def parameters(self) -> Iterator[Parameter]:
        """Yield nothing."""
        return iter(())


class Scale(Parameterless):
    """Multiplies by a constant: brings pixels to 0…1."""

    def __init__(self, factor: float) -> None:
        self.factor = np.float32(factor)

    def forward(self, x: Floats, training: bool) -> Floats:
        return x * self.factor

    def backward(self, dy: Floats) -> Floats:
        return dy * self.factor

    def export(self, writer: OnnxWriter, x: str, path: str) -> str:
        factor = writer.constant(f"{path}.factor", np.array(self.factor))
        return writer.node("Mul", [x, factor], path)


def unfold(x: Floats, size: int) -> Floats:
    """Every size×size neighbourhood of the zero-padded x as a row: (N·H·W)×(C·size·size)."""
    pad = size // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1] * size * size)


def fold_channels(rows: Floats, like: Floats) -> Floats:
    """Rows of one pixel each, (N·H·W)×C, as N×C×H×W with the N, H, W of ``like``."""
    n, _, h, w = like.shape
    return rows.reshape(n, h, w, -1).transpose(0, 3, 1, 2)


class Conv:
    """Convolution with stride 1, zero padding that keeps H×W, and no bias."""

    def __init__(self, rng: np.random.Generator, inputs: int, outputs: int, size: int) -> None:
        deviation = (2 / (inputs * size * size)) ** 0.5
        shape = (outputs, inputs, size, size)
        self.weight = Parameter((rng.standard_normal(shape) * deviation).astype(np.float32))

    def forward(self, x: Floats, training: bool) -> Floats:
        weight = self.weight.value
        self._rows = unfold(x, weight.shape[2])
        return fold_channels(self._rows @ weight.reshape(len(weight), -1).T, like=x)

    def backward(self, dy: Floats) -> Floats:
        weight = self.weight.value
        dy_rows = dy.transpose(0, 2, 3, 1).reshape(-1, len(weight))
        self.weight.gradient = (dy_rows.T @ self._rows).reshape(weight.shape)
        mirrored = weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
        flat = mirrored.reshape(len(mirrored), -1)
        return fold_channels(unfold(dy, weight.shape[2]) @ flat.T, like=dy)

    def parameters(self) -> Iterator[Parameter]:
        yield self.weight

    def export(self, writer: OnnxWriter, x: str, path: str) -> str:
        size = self.weight.value.shape[2]
        weight = writer.constant(f"{path}.weight", self.weight.value)
        pads = [size // 2] * 4
        return writer.node("Conv", [x, weight], path, kernel_shape=[size, size], pads=pads)


class BatchNorm:
    """Batch normalization over N, H, W (Ioffe & Szegedy 2015) with running statistics."""

    MOMENTUM = np.float32(0.9)

    def __init__(self, channels: int) -> None:
        self.scale = Parameter(np.ones(channels, np.float32))
        self.bias = Parameter(np.zeros(channels, np.float32))
        self.mean = np.zeros(channels, np.float32)
        self.variance = np.ones(channels, np.float32)

    def forward(self, x: Floats, training: bool) -> Floats:
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
            self.mean = self.MOMENTUM * self.mean + (1 - self.MOMENTUM) * mean
            self.variance = self.MOMENTUM * self.variance + (1 - self.MOMENTUM) * variance
        self._inverse = 1 / np.sqrt(variance + np.float32(BATCH_NORM_EPSILON))
        self._normal = (x - mean[:, None, None]) * self._inverse[:, None, None]
        return self._normal * self.scale.value[:, None, None] + self.bias.value[:, None, None]

    def backward(self, dy: Floats) -> Floats:
        self.scale.gradient = (dy * self._normal).sum((0, 2, 3))
        self.bias.gradient = dy.sum((0, 2, 3))
        count = np.float32(dy.size // dy.shape[1])
        along = self._normal * (self.scale.gradient / count)[:, None, None]
        centred = dy - (self.bias.gradient / count)[:, None, None] - along
        return centred * (self.scale.value * self._inverse)[:, None, None]

    def parameters(self) -> Iterator[Parameter]:
        yield from (self.scale, self.bias)

    def export(self, writer: OnnxWriter, x: str, path: str) -> str:
        operands = [
            writer.constant(f"{path}.scale", self.scale.value),
            writer.constant(f"{path}.bias", self.bias.value),
            writer.constant(f"{path}.mean", self.mean),
            writer.constant(f"{path}.variance", self.variance),
        ]
        return writer.node("BatchNormalization", [x, *operands], path, epsilon=BATCH_NORM_EPSILON)


class Relu(Parameterless):
    """The larger of x and 0."""

    def forward(self, x: Floats, training: bool) -> Floats:
        self._positive = x > 0
        return x * self._positive

    def backward(self, dy: Floats) -> Floats:
        return dy * self._positive

    def export(self, writer: OnnxWriter, x: str, path: str) -> str:
        return writer.node("Relu", [x], path)


class MaxPool(Parameterless):
    """The largest of each 2×2 block; H and W are even."""

    def forward(self, x: Floats, training: bool) -> Floats:
        n, c, h, w = x.shape
        blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
        y = blocks.max((3, 5), keepdims=True)
        winners = blocks == y
        self._share = (winners / winners.sum((3, 5), keepdims=True)).astype(np.float32)
        return y[:, :, :, 0, :, 0]

    def backward(self, dy: Floats) -> Floats:
        n, c, h, w = dy.shape
        return (self._share * dy[:, :, :, None, :, None]).reshape(n, c, 2 * h, 2 * w)

    def export(self, writer: OnnxWriter, x: str, path: str) -> str:
        return writer.node("MaxPool", [x], path, kernel_shape=[2, 2], strides=[2, 2])


class Dropout(Parameterless):
    """Zeroes a part of the activations while training (Srivastava et al. 2014)."""

    def __init__(self, rng: np.random.Generator, ratio: float) -> None:
        self.rng = rng
        self.ratio = np.float32(ratio)

    def forward(self, x: Floats, training: bool) -> Floats:
        kept = self.rng.random(x.shape) >= (self.ratio if training else 0)
        self._factor = kept / (1 - self.ratio if training else np.float32(1))
        return x * self._factor.astype(np.float32)

    def backward(self, dy: Floats) -> Floats:
        return dy * self._factor.astype(np.float32)

    def export(self, writer: OnnxWriter, x: str, path: str) -> str:
        ratio = writer.constant(f"{path}.ratio", np.array(self.ratio))
        return writer.node("Dropout", [x, ratio], path)


class Linear:
    """Flattens to N×inputs, then y = x·weightᵀ + bias."""

    def __init__(self, rng: np.random.Generator, inputs: int, outputs: int) -> None:
        weight = rng.standard_normal((outputs, inputs)) * inputs**-0.5
        self.weight = Parameter(weight.astype(np.float32))
        self.bias = Parameter(np.zeros(outputs, np.float32))

    def forward(self, x: Floats, training: bool) -> Floats:
        self._shape = x.shape
        self._flat = x.reshape(len(x), -1)
        return self._flat @ self.weight.value.T + self.bias.value

    def backward(self, dy: Floats) -> Floats:
        self.weight.gradient = dy.T @ self._flat
        self.bias.gradient = dy.sum(0)
        return (dy @ self.weight.value).reshape(self._shape)

    def parameters(self) -> Iterator[Parameter]:
        yield from (self.weight, self.bias)

    def export(self, writer: OnnxWriter, x: str, path: str) -> str:
        flat = writer.node("Flatten", [x], f"{path}.flatten", axis=1)
        weight = writer.constant(f"{path}.weight", self.weight.value)
        bias = writer.constant(f"{path}.bias", self.bias.value)
        return writer.node("Gemm", [flat, weight, bias], path, transB=1)


class Chain:
    """Named layers, one after the other."""

    def __init__(self, **layers: Layer) -> None:
        self.layers = layers

    def forward(self, x: Floats, training: bool) -> Floats:
        for layer in self.layers.values():
            x = layer.forward(x, training)
        return x

    def backward(self, dy: Floats) -> Floats:
        for layer in reversed(self.layers.values()):
            dy = layer.backward(dy)
        return dy

    def parameters(self) -> Iterator[Parameter]:
        for layer in self.layers.values():
            yield from layer.parameters()

    def export(self, writer: OnnxWriter, x: str, path: str) -> str:
        for name, layer in self.layers.items():
            x = layer.export(writer, x, f"{path}.{name}".lstrip("."))
        return x


class Residual:
    """x + body(x) (He et al. 2016)."""

    def __init__(self, body: Layer) -> None:
        self.body = body

    def forward(self, x: Floats, training: bool) -> Floats:
        return x + self.body.forward(x, training)

    def backward(self, dy: Floats) -> Floats:
        return dy + self.body.backward(dy)

    def parameters(self) -> Iterator[Parameter]:
        return self.body.parameters()

    def export(self, writer: OnnxWriter, x: str, path: str) -> str:
        return writer.node("Add", [self.body.export(writer, x, path), x], f"{path}.add")


class Branches:
    """Two layers on the same input, their channels joined (an inception module)."""

    def __init__(self, left: Layer, right: Layer) -> None:
        self.left, self.right = left, right

    def forward(self, x: Floats, training: bool) -> Floats:
        left, right = self.left.forward(x, training), self.right.forward(x, training)
        self._seam = left.shape[1]
        return np.concatenate([left, right], axis=1)

    def backward(self, dy: Floats) -> Floats:
        left, right = dy[:, : self._seam], dy[:, self._seam :]
        return self.left.backward(left) + self.right.backward(right)

    def parameters(self) -> Iterator[Parameter]:
        yield from self.left.parameters()
        yield from self.right.parameters()

    def export(self, writer: OnnxWriter, x: str, path: str) -> str:
        left = self.left.export(writer, x, f"{path}.left")
        right = self.right.export(writer, x, f"{path}.right")
        return writer.node("Concat", [left, right], f"{path}.concat", axis=1)
