"""Transposed convolution: one matrix product, then col2im."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from gie_core.builder.kernels import Kernel, Support
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array
from gie_core.ops.conv import ConvTranspose
from gie_core.ops.extents import as_ints
from gie_core.ops.window import Window
from gie_kernels_cpu.blocks import WORKSPACE, spans
from gie_kernels_cpu.kernel import Constants, Method, float_support, padded, rounded, wide_dtype

__all__ = ["TransposedConvolution"]


class TransposedConvolution(Method):
    """Any geometry."""

    def supports(self, node: Node) -> Support:
        return float_support(node)

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        return _TransposedKernel(cast("ConvTranspose", node.op), constants(node.operands[1]))


class _TransposedKernel:
    def __init__(self, op: ConvTranspose, weight: Array | None) -> None:
        self._packed = None if weight is None else _pack(op, weight)

    def __call__(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        op = cast("ConvTranspose", op)
        x, weight, bias = padded(operands, 3)
        packed = _pack(op, weight) if self._packed is None else self._packed
        window, spatial = op.window(weight.shape), x.shape[2:]
        extents = as_ints(window.transposed_extents(spatial, op.output_pads))
        y = np.zeros((x.shape[0], op.groups, weight.shape[1], *extents), packed.dtype)
        if bias is not None:
            y += bias.astype(y.dtype).reshape(1, *y.shape[1:3], *[1] * len(extents))
        columns = x.astype(y.dtype, copy=False).reshape(
            x.shape[0], op.groups, x.shape[1] // op.groups, math.prod(spatial)
        )
        taps, channels = packed.shape[1:3]
        at_once = max(1, WORKSPACE // max(1, taps * columns.shape[-1] * y.itemsize))
        for image, result in zip(columns, y, strict=True):
            for group in range(op.groups):
                for part in spans(channels, at_once):
                    parts = np.matmul(packed[group, :, part], image[group])
                    _col2im(parts.reshape(*parts.shape[:2], *spatial), window, result[group, part])
        channels *= op.groups
        return (rounded(y.reshape(x.shape[0], channels, *extents), x.dtype),)


def _pack(op: ConvTranspose, weight: Array) -> Array:
    """The weight [C, O/groups, *K] as [groups, taps, O/groups, C/groups]."""
    shape = (op.groups, weight.shape[0] // op.groups, weight.shape[1], math.prod(weight.shape[2:]))
    matrix = weight.reshape(shape).transpose(0, 3, 2, 1)
    return np.ascontiguousarray(matrix, wide_dtype(weight.dtype))


def _col2im(parts: Array, window: Window, y: Array) -> None:
    """Add parts [taps, O, *S] to y [O, *P], each where its kernel position puts it."""
    begins = as_ints(window.pads_begin)
    for part, position in zip(parts, np.ndindex(*as_ints(window.kernel)), strict=True):
        source: list[slice] = [slice(None)]
        target: list[slice] = [slice(None)]
        for axis, (n, extent) in enumerate(zip(part.shape[1:], y.shape[1:], strict=True)):
            stride = window.strides[axis]
            shift = position[axis] * window.dilations[axis] - begins[axis]
            low = max(0, -(shift // stride))
            high = max(low, min(n, (extent - 1 - shift) // stride + 1))
            source.append(slice(low, high))
            first = low * stride + shift
            target.append(slice(first, first + max(0, (high - low - 1) * stride + 1), stride))
        if part[tuple(source)].size:
            y[tuple(target)] += part[tuple(source)]
