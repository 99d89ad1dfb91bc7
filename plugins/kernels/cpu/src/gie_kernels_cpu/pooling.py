"""Max and average pooling, one axis after the other.

A window's maximum is the maximum over its rows' maxima, and its sum the sum of its rows' sums, so
k positions an axis are combined rather than k². Padding is never stored: each kernel position
contributes to those windows for which it lies inside of the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np

from gie_core.builder.kernels import Kernel, Support
from gie_core.ir.conversion import integer_range
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.extents import as_ints
from gie_core.ops.pool import AveragePool, MaxPool
from gie_core.ops.window import Window
from gie_kernels_cpu.blocks import BLOCK, spans
from gie_kernels_cpu.kernel import Constants, Method, float_support, rounded, wide_dtype

__all__ = ["AveragePooling", "MaxPooling"]

Tap = tuple[slice, slice]
"""A kernel position along an axis: the windows that see the input there, and what they see."""


class MaxPooling(Method):
    """Any geometry, any type that NumPy compares or that is widened to f32."""

    def supports(self, node: Node) -> Support:
        (x,) = node.operands
        if x is not None and isinstance(x.type, TensorType):
            dtype = x.type.dtype
            if dtype.is_integer and dtype.bits >= 8:
                return Support.yes()
        return float_support(node)

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        return _max_pool


class AveragePooling(Method):
    """Any geometry."""

    def supports(self, node: Node) -> Support:
        return float_support(node)

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        return _average_pool


def _max_pool(op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
    (x,) = operands
    dtype = DType.of(x.dtype)
    lowest = -math.inf if dtype.is_float else integer_range(dtype)[0]
    return (rounded(_pool(cast("MaxPool", op), x, np.maximum, lowest), x.dtype),)


def _average_pool(op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
    (x,) = operands
    op = cast("AveragePool", op)
    y = _pool(op, x, np.add, 0)
    counts = op.window().counts(x.shape[2:], y.shape[2:], op.count_include_pad)
    np.divide(y, counts.astype(y.dtype), out=y)
    return (rounded(y, x.dtype),)


def _pool(op: MaxPool | AveragePool, x: Array, combine: Callable[..., Any], fill: float) -> Array:
    """Every window combined, [N, C, *P] in the dtype that is computed in."""
    spatial = x.shape[2:]
    extents, taps = _geometry(op, spatial)
    channels = x.shape[0] * x.shape[1]
    planes = x.reshape(channels, *spatial)
    y = np.empty((channels, *extents), wide_dtype(x.dtype))
    for part in spans(channels, max(1, BLOCK // max(1, math.prod(spatial)))):
        some = planes[part].astype(y.dtype, copy=False)
        for axis, extent in enumerate(extents):
            last = axis == len(extents) - 1
            shape = (*some.shape[: axis + 1], extent, *some.shape[axis + 2 :])
            out = y[part] if last else np.empty(shape, y.dtype)
            _pool_axis(some, axis, taps[axis], combine, fill, out)
            some = out
    return y.reshape(*x.shape[:2], *extents)


def _pool_axis(
    x: Array,
    axis: int,
    taps: Sequence[Tap],
    combine: Callable[..., Any],
    fill: float,
    out: Array,
) -> None:
    """Combine along one spatial axis of [planes, *S]."""
    outer = (slice(None),) * (axis + 1)
    for number, (windows, positions) in enumerate(taps):
        source, target = x[(*outer, positions)], out[(*outer, windows)]
        if number:
            combine(target, source, out=target)
            continue
        target[...] = source
        out[(*outer, slice(0, windows.start))] = fill
        out[(*outer, slice(windows.stop, None))] = fill
    if not taps:
        out[...] = fill


@lru_cache(maxsize=1024)
def _geometry(
    op: MaxPool | AveragePool, spatial: tuple[int, ...]
) -> tuple[tuple[int, ...], list[list[Tap]]]:
    """The number of windows along each axis, and the taps of each."""
    window = op.window()
    extents = as_ints(window.extents(spatial, op.ceil_mode))
    taps = [
        _taps(window, axis, n, extent)
        for axis, (n, extent) in enumerate(zip(spatial, extents, strict=True))
    ]
    return extents, taps


def _taps(window: Window, axis: int, n: int, extent: int) -> list[Tap]:
    """The taps along one axis; the one that the most windows see comes first."""
    (kernel, begin) = as_ints((window.kernel[axis], window.pads_begin[axis]))
    stride, found = window.strides[axis], list[Tap]()
    for k in range(kernel):
        shift = k * window.dilations[axis] - begin
        low = max(0, -(shift // stride))
        high = min(extent, (n - 1 - shift) // stride + 1)
        if low < high:
            first = low * stride + shift
            positions = slice(first, first + (high - low - 1) * stride + 1, stride)
            found.append((slice(low, high), positions))
    return sorted(found, key=lambda tap: tap[0].start - tap[0].stop)
