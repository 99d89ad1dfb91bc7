"""Normalizations in place, block by block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from gie_core.builder.kernels import Kernel, Support
from gie_core.ir.expr import Param, call
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array, DType
from gie_core.ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, Lrn, Softmax
from gie_kernels_cpu.blocks import BLOCK, spans
from gie_kernels_cpu.kernel import Constants, Method, float_support, padded, rounded, wide_dtype
from gie_kernels_cpu.program import CompiledProgram
from gie_kernels_cpu.reduction import row_sums

__all__ = [
    "BatchNormalization",
    "ChannelNormalization",
    "LayerNormalization",
    "LocalResponse",
    "RowSoftmax",
]


class _Simple(Method):
    """Supported for every float type; nothing to prepare."""

    def supports(self, node: Node) -> Support:
        return float_support(node)

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        return self.run

    def run(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        """The kernel."""
        raise NotImplementedError


class RowSoftmax(_Simple):
    """``softmax``."""

    def run(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        (x,), axis = operands, cast("Softmax", op).axis
        wide = x.astype(wide_dtype(x.dtype), copy=False)
        y = np.subtract(wide, wide.max(axis=axis, keepdims=True, initial=-np.inf))
        np.exp(y, out=y)
        y /= y.sum(axis=axis, keepdims=True)
        return (rounded(y, x.dtype),)


class BatchNormalization(Method):
    """``batch_norm`` as one multiply-add per element; factors are computed per channel first."""

    def supports(self, node: Node) -> Support:
        return float_support(node)

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        return _batch_norm


def _batch_norm(op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
    x = operands[0]
    wide = wide_dtype(x.dtype)
    # Two roundings more than in the reference, so the factors are computed in double precision.
    scale, bias, mean, variance = (p.astype(np.float64) for p in operands[1:])
    factor = scale / np.sqrt(variance + cast("BatchNorm", op).epsilon)
    offset = bias - mean * factor
    column = (-1, *[1] * (x.ndim - 2))
    program = _affine(DType.of(wide))
    factors = [p.astype(wide).reshape(column) for p in (factor, offset)]
    rank = [p[(None,) * (x.ndim - p.ndim)] for p in factors]
    (y,) = program([x.astype(wide, copy=False), *rank])
    return (rounded(y, x.dtype),)


class LayerNormalization(_Simple):
    """``layer_norm``: rows of the last axes, several at once."""

    def run(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        op = cast("LayerNorm", op)
        x, scale, bias = padded(operands, 3)
        y = _standardized(x, math.prod(x.shape[: op.axis]), op.epsilon)
        y *= scale.astype(y.dtype, copy=False)
        if bias is not None:
            y += bias.astype(y.dtype, copy=False)
        return (rounded(y, x.dtype),)


class ChannelNormalization(_Simple):
    """``instance_norm`` and ``group_norm``: rows are channels, or groups of them."""

    def run(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        x, scale, bias = operands
        op = cast("GroupNorm | InstanceNorm", op)
        groups = op.groups if isinstance(op, GroupNorm) else x.shape[1]
        y = _standardized(x, x.shape[0] * groups, op.epsilon)
        column = (-1, *[1] * (x.ndim - 2))
        y *= scale.astype(y.dtype, copy=False).reshape(column)
        y += bias.astype(y.dtype, copy=False).reshape(column)
        return (rounded(y, x.dtype),)


class LocalResponse(_Simple):
    """``lrn`` with a running sum over the channels' squares."""

    def run(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        (x,), op = operands, cast("Lrn", op)
        wide = x.astype(wide_dtype(x.dtype), copy=False)
        channels, before = x.shape[1], (op.size - 1) // 2
        squares = np.multiply(wide, wide)
        total = squares.copy()
        for shift in range(-before, op.size - before):
            if 0 < abs(shift) < channels:
                source = slice(max(0, shift), channels + min(0, shift))
                target = slice(max(0, -shift), channels + min(0, -shift))
                total[:, target] += squares[:, source]
        total *= total.dtype.type(op.alpha / op.size)
        total += total.dtype.type(op.bias)
        np.divide(wide, _power(total, op.beta, squares), out=total)
        return (rounded(total, x.dtype),)


def _power(x: Array, exponent: float, scratch: Array) -> Array:
    """x ** exponent; square roots where they do, they are ten times as fast."""
    if exponent == 0.5:
        return np.sqrt(x, out=scratch)
    if exponent == 0.75:
        root = np.sqrt(x, out=scratch)
        return np.multiply(root, np.sqrt(root), out=scratch)
    return np.power(x, x.dtype.type(exponent), out=scratch)


def _standardized(x: Array, rows: int, epsilon: float) -> Array:
    """(x − mean) / √(variance + epsilon) of each row: a new array of x's shape, widened."""
    y = np.empty(x.shape, wide_dtype(x.dtype))
    length = math.prod(x.shape) // max(1, rows)
    matrix, source = y.reshape(rows, length), x.reshape(rows, length)
    for part in spans(rows, max(1, BLOCK // max(1, length))):
        block = matrix[part]
        np.copyto(block, source[part])
        block -= (row_sums(block) / length)[:, None]
        variance = row_sums(block * block) / length
        block *= (1 / np.sqrt(variance + block.dtype.type(epsilon)))[:, None]
    return y


def _affine(dtype: DType) -> CompiledProgram:
    x, a, b = (Param(name, dtype) for name in "xab")
    return CompiledProgram([x, a, b], [call("+", call("*", x, a), b)])
