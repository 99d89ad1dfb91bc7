"""Folding y·factor + shift, per channel, into the weights of the node that makes y."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gie_core.ir.graph import Node, Value
from gie_core.ir.op import Op
from gie_core.ir.rewrite import Refusal, Rewriter
from gie_core.ir.types import Array, DType
from gie_core.ops.conv import Conv, ConvTranspose
from gie_core.ops.linear import Gemm, Matmul
from gie_passes_fusion.values import is_read_once

__all__ = ["PRODUCERS", "Affine", "absorb", "channel_axis"]

PRODUCERS = (Conv, ConvTranspose, Gemm, Matmul)
"""Ops whose weights can take a factor for each channel of the result."""


@dataclass(frozen=True)
class Affine:
    """y·factor + shift; both are float64 vectors of one element or one per channel."""

    factor: Array
    shift: Array

    @property
    def scales(self) -> bool:
        """A factor is not 1."""
        return bool(np.any(self.factor != 1))

    @property
    def shifts(self) -> bool:
        """A shift is not 0."""
        return bool(np.any(self.shift != 0))


def channel_axis(producer: Node) -> int:
    """The axis of the result whose channels the weights tell apart."""
    is_product = isinstance(producer.op, Gemm | Matmul)
    return producer.result.tensor.rank - 1 if is_product else 1


def absorb(y: Value, affine: Affine, rewriter: Rewriter) -> Value | Refusal:
    """y·factor + shift as a node like the one that makes y, with other weights.

    The weights are computed in float64 and rounded once.

    Returns:
        The new value, or why it can't be made.
    """
    producer = y.node
    if producer is None or not isinstance(producer.op, PRODUCERS):
        return Refusal(f"%{y.name} is not made by a convolution or matrix product")
    x, weight, bias = (*producer.operands, None)[:3]
    assert weight is not None
    reason = _obstacle(producer, weight, bias, affine)
    if reason:
        return Refusal(reason)
    dtype = y.tensor.dtype
    new_weight, new_bias = weight, bias
    if affine.scales and weight.data is not None:
        scaled = _rounded(_scale(producer.op, weight.data, affine.factor), dtype)
        if scaled is None:
            return Refusal(f"the folded weights do not fit {dtype}")
        new_weight = rewriter.constant(scaled, weight.name)
    if bias is not None or affine.shifts:
        shifted = _rounded(_shift(producer, bias, affine), dtype)
        if shifted is None:
            return Refusal(f"the folded bias does not fit {dtype}")
        new_bias = rewriter.constant(shifted, bias.name if bias is not None else "bias")
    return rewriter.add(_op_with_bias(producer.op, new_bias), x, new_weight, new_bias)


def _obstacle(producer: Node, weight: Value, bias: Value | None, affine: Affine) -> str:
    y = producer.result
    if not is_read_once(y):
        return f"%{y.name} is read elsewhere too"
    if not y.tensor.dtype.is_float:
        return f"%{y.name} is not floating-point"
    if affine.scales and weight.data is None:
        return f"the weights %{weight.name} are not constant"
    if bias is not None and bias.data is None:
        return f"the bias %{bias.name} is not constant"
    if isinstance(producer.op, Matmul):
        ranks = [operand.tensor.rank for operand in producer.operands if operand is not None]
        if min(ranks) < 2 or (affine.shifts and ranks != [2, 2]):
            return "only a product of two matrices can take a bias"
    elif not isinstance(producer.op, Gemm) and not isinstance(y.tensor.dims[1], int):
        return "the number of channels is not known"
    return ""


def _scale(op: Op, weight: Array, factor: Array) -> Array:
    """The weights times the factor of the result's channel that they contribute to."""
    wide = weight.astype(np.float64)
    if isinstance(op, Matmul | Gemm):
        by_row = isinstance(op, Gemm) and op.transpose_b
        return wide * (factor.reshape(-1, 1) if by_row else factor)
    spatial = [1] * (weight.ndim - 2)
    if not isinstance(op, ConvTranspose):
        return wide * factor.reshape(-1, 1, *spatial)
    # [C, O/groups, *K]: rows of a group go to the channels of that group.
    columns = weight.shape[1]
    per_group = np.broadcast_to(factor, (op.groups * columns,)).reshape(
        op.groups, 1, columns, *spatial
    )
    return (wide.reshape(op.groups, -1, *weight.shape[1:]) * per_group).reshape(weight.shape)


def _shift(producer: Node, bias: Value | None, affine: Affine) -> Array:
    old: Array = np.zeros(1)
    if bias is not None and bias.data is not None:
        old = bias.data.astype(np.float64)
    if isinstance(producer.op, Gemm):
        old = old * producer.op.beta
    new: Array = old * affine.factor + affine.shift
    if isinstance(producer.op, Gemm | Matmul):
        return new
    channels = producer.result.tensor.dims[1]
    assert isinstance(channels, int)  # see _obstacle
    return np.broadcast_to(new, (channels,))


def _op_with_bias(op: Op, bias: Value | None) -> Op:
    if isinstance(op, Matmul) and bias is not None:
        return Gemm()
    return op.replace(beta=1.0) if isinstance(op, Gemm) else op


def _rounded(array: Array, dtype: DType) -> Array | None:
    """In the dtype; ``None`` where that gives infinities or NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        result = array.astype(dtype.numpy)
        return result if np.all(np.isfinite(result.astype(np.float64))) else None
