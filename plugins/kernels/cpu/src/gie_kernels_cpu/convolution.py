"""Convolution as a matrix product: 1×1 directly, everything else by im2col."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np

from gie_core.builder.kernels import Kernel, Support
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array
from gie_core.ops.conv import Conv
from gie_core.ops.extents import as_ints
from gie_kernels_cpu.blocks import WORKSPACE, spans
from gie_kernels_cpu.im2col import Patches
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

__all__ = ["Im2colConvolution", "PointwiseConvolution"]

LONG_RUN = 48
"""Kernel width × channels from which on a patch is copied faster with its channels last."""


class PointwiseConvolution(Method):
    """1×1 kernels without padding: the weight times every image as it lies in memory."""

    def supports(self, node: Node) -> Support:
        weight = node.operands[1]
        support = float_support(node)
        if not support.ok:
            return support
        if weight is None or any(n != 1 for n in weight.tensor.dims[2:]):
            return Support.no("the kernel is not known to be 1×1")
        return Support.no("it pads") if cast("Conv", node.op).pads else Support.yes()

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        return _PointwiseKernel(cast("Conv", node.op), constants(node.operands[1]))


class Im2colConvolution(Method):
    """Any geometry: patches are gathered into a matrix, block by block, and multiplied."""

    def supports(self, node: Node) -> Support:
        return float_support(node)

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        return _Im2colKernel(cast("Conv", node.op), constants(node.operands[1]))


class _GemmKernel:
    """What both kernels share: packed weights, the bias, and rounding at the end."""

    def __init__(self, op: Conv, weight: Array | None) -> None:
        self._packed = None if weight is None else self.pack(op, weight)

    def __call__(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        return (self.run(op, operands, None),)

    def run(self, op: Op, operands: Sequence[Any], epilogue: Epilogue | None) -> Array:
        """The convolution; ``epilogue`` follows on each part of the rounded result."""
        op = cast("Conv", op)
        x, weight, bias = padded(operands, 3)
        packed = self.pack(op, weight) if self._packed is None else self._packed
        patches = _patches(op, x.shape[2:], weight.shape)
        y = np.empty((x.shape[0], weight.shape[0], *patches.extents), wide_dtype(x.dtype))
        if bias is not None:
            bias = bias.astype(y.dtype, copy=False).reshape(-1, *[1] * (y.ndim - 2))
        native = is_native(x.dtype)
        for images, rows in self.multiply(op, x, patches, packed, y):
            part = y[images, :, rows]
            if bias is not None:
                part += bias
            if epilogue is not None and native:
                epilogue(part, (images, slice(None), rows, *(slice(None),) * (y.ndim - 3)))
        if native:
            return y
        y = rounded(y, x.dtype)
        if epilogue is not None:
            epilogue(y, (slice(None),) * y.ndim)
        return y

    def pack(self, op: Conv, weight: Array) -> Array:
        """The weight as [groups, O/groups, depth], in the dtype that is computed in."""
        raise NotImplementedError

    def multiply(
        self, op: Conv, x: Array, patches: Patches, packed: Array, y: Array
    ) -> Iterator[tuple[slice, slice]]:
        """Write the products into ``y``; yields (images, rows) as soon as they are done."""
        raise NotImplementedError


class _PointwiseKernel(_GemmKernel):
    def pack(self, op: Conv, weight: Array) -> Array:
        matrix = weight.reshape(op.groups, weight.shape[0] // op.groups, weight.shape[1])
        return np.ascontiguousarray(matrix, wide_dtype(weight.dtype))

    def multiply(
        self, op: Conv, x: Array, patches: Patches, packed: Array, y: Array
    ) -> Iterator[tuple[slice, slice]]:
        if op.strides:
            x = x[(..., *(slice(None, None, s) for s in op.strides))]
        images, groups, pixels = x.shape[0], op.groups, math.prod(y.shape[2:])
        for part in spans(images, max(1, WORKSPACE // max(1, y[:1].nbytes))):
            some = x[part].astype(y.dtype, copy=False)
            matrices = some.reshape(len(some), groups, x.shape[1] // groups, pixels)
            out = y[part].reshape(len(some), groups, y.shape[1] // groups, pixels)
            np.matmul(packed, matrices, out=out)
            yield part, slice(0, y.shape[2])


class _Im2colKernel(_GemmKernel):
    def pack(self, op: Conv, weight: Array) -> Array:
        matrix = weight.reshape(op.groups, weight.shape[0] // op.groups, *weight.shape[1:])
        if _channels_last(op, weight.shape):
            matrix = np.moveaxis(matrix, 2, -1)
        packed = np.ascontiguousarray(matrix, wide_dtype(weight.dtype))
        return packed.reshape(*packed.shape[:2], math.prod(packed.shape[2:]))

    def multiply(
        self, op: Conv, x: Array, patches: Patches, packed: Array, y: Array
    ) -> Iterator[tuple[slice, slice]]:
        groups, depth, extents = op.groups, packed.shape[2], y.shape[2:]
        products = y.reshape(len(y), groups, y.shape[1] // groups, math.prod(extents))
        row = math.prod(extents[1:]) * depth * groups * y.itemsize
        rows = max(1, WORKSPACE // max(1, row))
        at_once = min(len(x), max(1, rows // extents[0]))
        buffer = np.empty(min(rows, extents[0]) * at_once * row // y.itemsize, y.dtype)
        for images in spans(len(x), max(1, at_once)):
            padded = patches.padded(x[images], y.dtype)
            for part in spans(extents[0], rows):
                view = patches.view(padded, part)
                columns = buffer[: view.size].reshape(view.shape)
                np.copyto(columns, view)
                pixels = _pixels(part, extents)
                count = pixels.stop - pixels.start
                if patches.channels_last:
                    matrix = columns.reshape(len(padded), groups, count, depth).swapaxes(2, 3)
                else:
                    matrix = columns.reshape(len(padded), groups, depth, count)
                np.matmul(packed, matrix, out=products[images, :, :, pixels])
                yield images, part


def _channels_last(op: Conv, weight: tuple[int, ...]) -> bool:
    consecutive = weight[-1] if not op.dilations or op.dilations[-1] == 1 else 1
    return weight[1] * consecutive >= LONG_RUN


def _pixels(rows: slice, extents: Sequence[int]) -> slice:
    """Rows of windows as a range of flat positions."""
    width = math.prod(extents[1:])
    return slice(rows.start * width, rows.stop * width)


@lru_cache(maxsize=1024)
def _patches(op: Conv, spatial: tuple[int, ...], weight: tuple[int, ...]) -> Patches:
    window = op.window(weight)
    extents = as_ints(window.extents(spatial))
    return Patches(window, op.groups, spatial, extents, _channels_last(op, weight))
