"""Normalizations. References compute in f32 or f64 and round once, whatever the type of x."""

from __future__ import annotations

import math

import numpy as np

from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.extents import check_axis
from gie_core.ops.operands import check_broadcasts_to, check_float, check_rank, check_shape
from gie_core.ops.precision import narrow, widen

__all__ = [
    "BatchNorm",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "LogSoftmax",
    "LpNormalize",
    "Lrn",
    "RmsNorm",
    "Softmax",
]


class BatchNorm(Op, name="batch_norm"):
    """scale · (x − mean) / √(variance + epsilon) + bias, per channel, with given statistics.

    x is [N, C, …], the others [C]; a 1-D x has one channel. Ioffe and Szegedy 2015.
    """

    epsilon: float = 1e-5

    def infer(
        self,
        x: TensorType,
        scale: TensorType,
        bias: TensorType,
        mean: TensorType,
        variance: TensorType,
    ) -> TensorType:
        check_rank("x", x, 1, or_more=True)
        channels = x.dims[1] if x.rank > 1 else 1
        check_float(x=x, scale=scale, bias=bias, mean=mean, variance=variance)
        for name, operand in _named(scale=scale, bias=bias, mean=mean, variance=variance):
            check_shape(name, operand, (channels,))
        return x

    def compute(self, x: Array, scale: Array, bias: Array, mean: Array, variance: Array) -> Array:
        scale, bias, mean, variance = (_per_channel(p, x) for p in (scale, bias, mean, variance))
        y = scale * (widen(x) - mean) / np.sqrt(variance + self.epsilon) + bias
        return narrow(y, DType.of(x.dtype))


class InstanceNorm(Op, name="instance_norm"):
    """scale · (x − mean) / √(variance + epsilon) + bias, with statistics over the spatial axes.

    x is [N, C, *S], scale and bias [C]. Ulyanov, Vedaldi and Lempitsky 2016.
    """

    epsilon: float = 1e-5

    def infer(self, x: TensorType, scale: TensorType, bias: TensorType) -> TensorType:
        check_rank("x", x, 3, or_more=True)
        check_float(x=x, scale=scale, bias=bias)
        for name, operand in _named(scale=scale, bias=bias):
            check_shape(name, operand, (x.dims[1],))
        return x

    def compute(self, x: Array, scale: Array, bias: Array) -> Array:
        y = _standardized(widen(x), tuple(range(2, x.ndim)), self.epsilon)
        return narrow(y * _per_channel(scale, x) + _per_channel(bias, x), DType.of(x.dtype))


class LayerNorm(Op, name="layer_norm"):
    """scale · (x − mean) / √(variance + epsilon) + bias, with statistics over axis … last.

    scale and bias broadcast to x. Ba, Kiros and Hinton 2016.
    """

    axis: int
    epsilon: float = 1e-5

    def infer(self, x: TensorType, scale: TensorType, bias: TensorType | None = None) -> TensorType:
        check_axis(self.axis, x.rank)
        check_float(x=x, scale=scale, bias=bias)
        check_broadcasts_to("scale", scale, x.dims)
        if bias is not None:
            check_broadcasts_to("bias", bias, x.dims)
        return x

    def compute(self, x: Array, scale: Array, bias: Array | None = None) -> Array:
        y = _standardized(widen(x), tuple(range(self.axis, x.ndim)), self.epsilon) * widen(scale)
        return narrow(y if bias is None else y + widen(bias), DType.of(x.dtype))


class GroupNorm(Op, name="group_norm"):
    """scale · (x − mean) / √(variance + epsilon) + bias, with statistics over groups of channels.

    x is [N, C, *S], scale and bias [C]. Wu and He 2018.

    Args:
        groups: divides the number of channels.
    """

    groups: int
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups < 1:
            raise OpError(f"{self.name} needs groups ≥ 1, got {self.groups}")

    def infer(self, x: TensorType, scale: TensorType, bias: TensorType) -> TensorType:
        check_rank("x", x, 2, or_more=True)
        channels = x.dims[1]
        if isinstance(channels, int) and channels % self.groups:
            raise OpError(f"{self.groups} groups do not divide the channels of x, {x}")
        check_float(x=x, scale=scale, bias=bias)
        for name, operand in _named(scale=scale, bias=bias):
            check_shape(name, operand, (channels,))
        return x

    def compute(self, x: Array, scale: Array, bias: Array) -> Array:
        grouped = x.reshape(x.shape[0], self.groups, math.prod(x.shape[1:]) // self.groups)
        y = _standardized(widen(grouped), (2,), self.epsilon).reshape(x.shape)
        return narrow(y * _per_channel(scale, x) + _per_channel(bias, x), DType.of(x.dtype))


class RmsNorm(Op, name="rms_norm"):
    """scale · x / √(mean(x²) + epsilon), with the mean over axis … last; scale broadcasts to x.

    Zhang and Sennrich 2019.
    """

    axis: int
    epsilon: float = 1e-5

    def infer(self, x: TensorType, scale: TensorType) -> TensorType:
        check_axis(self.axis, x.rank)
        check_float(x=x, scale=scale)
        check_broadcasts_to("scale", scale, x.dims)
        return x

    def compute(self, x: Array, scale: Array) -> Array:
        wide = widen(x)
        mean = np.mean(wide * wide, axis=tuple(range(self.axis, x.ndim)), keepdims=True)
        return narrow(wide / np.sqrt(mean + self.epsilon) * widen(scale), DType.of(x.dtype))


class Lrn(Op, name="lrn"):
    """x / (bias + alpha / size · Σ x²)^beta, the sum over ``size`` neighbouring channels.

    x is [N, C, …]. Channel c sums over c − ⌊(size − 1) / 2⌋ … c + ⌈(size − 1) / 2⌉, as far as
    they exist. Krizhevsky, Sutskever and Hinton 2012, section 3.3.
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 1:
            raise OpError(f"{self.name} needs size ≥ 1, got {self.size}")

    def infer(self, x: TensorType) -> TensorType:
        check_rank("x", x, 2, or_more=True)
        check_float(x=x)
        return x

    def compute(self, x: Array) -> Array:
        wide, channels = widen(x), x.shape[1]
        before = (self.size - 1) // 2
        widths = [(0, 0), (before, self.size - 1 - before), *[(0, 0)] * (x.ndim - 2)]
        squares = np.pad(wide * wide, widths)
        total = np.zeros_like(wide)
        for offset in range(self.size):
            total += squares[:, offset : offset + channels]
        return narrow(
            wide / (self.bias + self.alpha / self.size * total) ** self.beta, DType.of(x.dtype)
        )


class _AlongAxis(Op):
    """Base of ops that relate each element of a float tensor to all others along ``axis``."""

    axis: int

    def infer(self, x: TensorType) -> TensorType:
        check_axis(self.axis, x.rank)
        check_float(x=x)
        return x


class Softmax(_AlongAxis, name="softmax"):
    """exp(x) / Σ exp(x), the sum along ``axis``."""

    def compute(self, x: Array) -> Array:
        powers = np.exp(_below_zero(widen(x), self.axis))
        return narrow(powers / powers.sum(axis=self.axis, keepdims=True), DType.of(x.dtype))


class LogSoftmax(_AlongAxis, name="log_softmax"):
    """x − log Σ exp(x), the sum along ``axis``."""

    def compute(self, x: Array) -> Array:
        shifted = _below_zero(widen(x), self.axis)
        total = np.exp(shifted).sum(axis=self.axis, keepdims=True)
        return narrow(shifted - np.log(total), DType.of(x.dtype))


class LpNormalize(_AlongAxis, name="lp_normalize"):
    """x / (Σ |x|^p)^(1/p), the sum along ``axis``; 0 where the norm is 0.

    Args:
        p: order of the norm, ≥ 1.
    """

    p: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.p < 1:
            raise OpError(f"{self.name} needs p ≥ 1, got {self.p}")

    def compute(self, x: Array) -> Array:
        wide = widen(x)
        norm = np.sum(np.abs(wide) ** self.p, axis=self.axis, keepdims=True) ** (1 / self.p)
        y = np.divide(wide, norm, where=norm != 0, out=np.zeros_like(wide))
        return narrow(y, DType.of(x.dtype))


def _named(**operands: TensorType) -> list[tuple[str, TensorType]]:
    return list(operands.items())


def _per_channel(parameter: Array, x: Array) -> Array:
    """A [C] parameter, widened, in a shape that lines up with axis 1 of ``x``."""
    return widen(parameter).reshape(-1, *[1] * (x.ndim - 2))


def _standardized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """(x − mean) / √(variance + epsilon) over the axes; the variance in a second sweep."""
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = np.mean(centred * centred, axis=axes, keepdims=True)
    return centred / np.sqrt(variance + epsilon)


def _below_zero(x: Array, axis: int) -> Array:
    """x minus its maximum along the axis, so that no exponential overflows."""
    return x - x.max(axis=axis, keepdims=True, initial=-np.inf)
