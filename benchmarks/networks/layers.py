"""The layers that the networks are made of, as ONNX nodes with seeded random weights.

A randomly initialized network is a fair benchmark only while its numbers look like a trained
network's: activations that grow from layer to layer end in infinities, those that fade in denormal
numbers. So every layer knows roughly the mean square of what it reads and draws its weights to
match, such that what it writes has a mean square of about 1 (He et al. 2015, section 2.2, with the
mean square carried along in place of the constant 1/2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Layers", "Tensor"]

OPSET, IR_VERSION = 17, 8
SPREAD = 0.1
"""Standard deviation of biases and of the means and shifts of batch normalizations."""


@dataclass(frozen=True)
class Tensor:
    """What one layer writes and others read.

    Args:
        name: in the model.
        features: channels of an image; extent of the second axis.
        power: the mean square of its elements, roughly.
    """

    name: str
    features: int
    power: float


class Layers:
    """Writes a network, layer by layer. A layer's name is that of its node and its result.

    Args:
        name: of the network.
        size: height and width of the input, which is float32 [batch, 3, size, size].
        batch: number of images.
        seed: of the weights.
    """

    def __init__(self, name: str, size: int, *, batch: int, seed: int) -> None:
        self._name = name
        self._rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._shape = [batch, 3, size, size]
        self.input = Tensor("image", 3, 1.0)

    # ── Layers with weights ─────────────────────────────────────────────────────────

    def conv(
        self,
        name: str,
        x: Tensor,
        features: int,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        groups: int = 1,
        bias: bool = True,
    ) -> Tensor:
        """A convolution with a square kernel; ``pad`` on all four sides."""
        shape = (features, x.features // groups, kernel, kernel)
        weights = [self._random(f"{name}/weight", shape, x.power)]
        if bias:
            weights.append(self._normal(f"{name}/bias", features))
        window = _window(kernel, stride, pad)
        self._add("Conv", name, [x.name, *weights], group=groups, **window)
        return Tensor(name, features, 1.0)

    def linear(self, name: str, x: Tensor, features: int) -> Tensor:
        """A fully connected layer with bias, of [batch, x.features]."""
        weight = self._random(f"{name}/weight", (features, x.features), x.power)
        bias = self._normal(f"{name}/bias", features)
        self._add("Gemm", name, [x.name, weight, bias], transB=1)
        return Tensor(name, features, 1.0)

    def batch_norm(self, x: Tensor, *, power: float = 1.0) -> Tensor:
        """Batch normalization with statistics near 0 and 1; ``power`` is that of its result."""
        name, features = f"{x.name}/bn", x.features
        weights = [
            self._uniform(f"{name}/scale", features, np.sqrt(power)),
            self._normal(f"{name}/shift", features),
            self._normal(f"{name}/mean", features),
            self._uniform(f"{name}/variance", features, x.power),
        ]
        self._add("BatchNormalization", name, [x.name, *weights])
        return Tensor(name, features, power)

    # ── Layers without ──────────────────────────────────────────────────────────────

    def relu(self, x: Tensor, *, kept: float = 0.5) -> Tensor:
        """A rectifier; ``kept`` of the power remains: half, if what it reads is centred on 0."""
        return self._like("Relu", "relu", x, power=x.power * kept)

    def relu6(self, x: Tensor) -> Tensor:
        """A rectifier that ends at 6."""
        limits = [self._constant(f"relu6/{name}", value) for name, value in (("0", 0), ("6", 6))]
        return self._like("Clip", "relu6", x, *limits, power=x.power / 2)

    def lrn(self, x: Tensor, *, size: int, alpha: float, beta: float, k: float) -> Tensor:
        """Local response normalization across channels; ``alpha`` is divided by ``size``."""
        power = x.power / k ** (2 * beta)
        options = {"size": size, "alpha": alpha, "beta": beta, "bias": float(k)}
        return self._like("LRN", "lrn", x, power=power, **options)

    def max_pool(
        self, x: Tensor, kernel: int, stride: int, *, pad: int = 0, ceil: bool = False
    ) -> Tensor:
        """The greatest of each window; ``ceil``: a last window may stand out over the edge."""
        window = _window(kernel, stride, pad)
        return self._like("MaxPool", "pool", x, power=2 * x.power, ceil_mode=int(ceil), **window)

    def global_average(self, x: Tensor) -> Tensor:
        """The mean of each channel, as [batch, channels]."""
        pooled = self._like("GlobalAveragePool", "mean", x, power=x.power / 2)
        return self._like("Flatten", "flat", pooled, power=pooled.power)

    def flatten(self, x: Tensor, positions: int) -> Tensor:
        """[batch, channels × positions] of an image with that many positions."""
        flat = self._like("Flatten", "flat", x, power=x.power)
        return replace(flat, features=x.features * positions)

    def softmax(self, x: Tensor) -> Tensor:
        """Probabilities of classes."""
        return self._like("Softmax", "softmax", x, power=x.features**-2)

    def add(self, name: str, x: Tensor, y: Tensor) -> Tensor:
        """The sum of two tensors of one shape."""
        self._add("Add", name, [x.name, y.name])
        return Tensor(name, x.features, x.power + y.power)

    def concat(self, name: str, tensors: Sequence[Tensor]) -> Tensor:
        """Images one behind the other along the channels."""
        self._add("Concat", name, [each.name for each in tensors], axis=1)
        features = sum(each.features for each in tensors)
        power = sum(each.power * each.features for each in tensors) / features
        return Tensor(name, features, power)

    # ── The model ───────────────────────────────────────────────────────────────────

    def model(self, output: Tensor) -> onnx.ModelProto:
        """The network that ends in probabilities of shape [batch, output.features]."""
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (
                (self.input.name, self._shape),
                (output.name, [self._shape[0], output.features]),
            )
        ]
        graph = helper.make_graph(self._nodes, self._name, ends[:1], ends[1:], self._weights)
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="gie benchmarks"
        )

    def _like(
        self, op: str, suffix: str, x: Tensor, *more: str, power: float, **attributes: Any
    ) -> Tensor:
        """A layer with one operand and its number of features, named for the operand."""
        name = f"{x.name}/{suffix}"
        self._add(op, name, [x.name, *more], **attributes)
        return Tensor(name, x.features, power)

    def _add(self, op: str, name: str, operands: Sequence[str], **attributes: Any) -> None:
        self._nodes.append(helper.make_node(op, operands, [name], name=name, **attributes))

    def _random(self, name: str, shape: tuple[int, ...], power: float) -> str:
        """Weights whose sums over inputs of this mean square have a mean square of 1."""
        weights = self._rng.standard_normal(shape, dtype=np.float32)
        weights *= np.float32((np.prod(shape[1:]) * power) ** -0.5)
        return self._store(name, weights)

    def _normal(self, name: str, count: int) -> str:
        return self._store(name, SPREAD * self._rng.standard_normal(count, dtype=np.float32))

    def _uniform(self, name: str, count: int, middle: float) -> str:
        return self._store(name, middle * self._rng.uniform(0.8, 1.2, count))

    def _constant(self, name: str, value: float) -> str:
        if all(each.name != name for each in self._weights):
            self._store(name, np.array(value))
        return name

    def _store(self, name: str, array: NDArray[Any]) -> str:
        self._weights.append(numpy_helper.from_array(array.astype(np.float32, copy=False), name))
        return name


def _window(kernel: int, stride: int, pad: int) -> dict[str, list[int]]:
    return {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
