"""Depthwise convolution: one multiply-add per kernel position, over many channels at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from gie_core.builder.kernels import Kernel, Support
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array
from gie_core.ops.conv import Conv
from gie_core.ops.extents import as_ints
from gie_kernels_cpu.blocks import BLOCK, spans
from gie_kernels_cpu.kernel import (
    Constants,
    Epilogue,
    Method,
    float_support,
    is_native,
    padded,
    rounded,
    wide_dtype,
)
from gie_kernels_cpu.planes import Planes

__all__ = ["DepthwiseConvolution"]


class DepthwiseConvolution(Method):
    """As many groups as channels: [C·m, 1, *K] weights, m results a channel."""

    def supports(self, node: Node) -> Support:
        support = float_support(node)
        if not support.ok:
            return support
        weight, groups = node.operands[1], cast("Conv", node.op).groups
        if groups == 1 or weight is None or weight.tensor.dims[1] != 1:
            return Support.no("a group has more than one channel, or is all there is")
        return Support.yes()

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        return _DepthwiseKernel()


class _DepthwiseKernel:
    def __call__(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        return (self.run(op, operands, None),)

    def run(self, op: Op, operands: Sequence[Any], epilogue: Epilogue | None) -> Array:
        op = cast("Conv", op)
        x, weight, bias = padded(operands, 3)
        window = op.window(weight.shape)
        extents = as_ints(window.extents(x.shape[2:]))
        planes = Planes(window, x.shape[2:], extents)
        y = np.empty((x.shape[0], weight.shape[0], *extents), wide_dtype(x.dtype))
        factors = weight.reshape(op.groups, weight.shape[0] // op.groups, -1, 1)
        factors = np.ascontiguousarray(np.moveaxis(factors, 2, 0), y.dtype)  # [taps, C, m, 1]
        offsets = None if bias is None else bias.astype(y.dtype).reshape(op.groups, -1, 1)
        at_once = max(1, BLOCK // planes.length)
        for image, result in zip(x, y.reshape(len(y), *factors.shape[1:3], *extents), strict=True):
            for part in spans(op.groups, at_once):
                bias_part = None if offsets is None else offsets[part]
                sums = _sums(planes, image[part], factors[:, part], bias_part)
                channels, multiplier = sums.shape[:2]
                windows = planes.windows(sums.reshape(channels * multiplier, -1))
                result[part] = windows.reshape(channels, multiplier, *extents)
        y = y if is_native(x.dtype) else rounded(y, x.dtype)
        if epilogue is not None:
            epilogue(y, (slice(None),) * y.ndim)
        return y


def _sums(planes: Planes, x: Array, factors: Array, bias: Array | None) -> Array:
    """The convolution of some channels, [C, m, width]; factors are [taps, C, m, 1]."""
    phases = planes.phases(x, 0, factors.dtype)
    sums = np.empty((*factors.shape[1:3], planes.width), factors.dtype)
    product = np.empty_like(sums)
    for index, tap in enumerate(planes.taps(phases)):
        if index == 0:
            np.multiply(tap[:, None], factors[0], out=sums)
        else:
            np.multiply(tap[:, None], factors[index], out=product)
            np.add(sums, product, out=sums)
    if bias is not None:
        np.add(sums, bias, out=sums)
    return sums
