"""The numbers of a convolution, and views of its arrays as matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gie_core.ir.graph import Node
from gie_core.ir.types import Array, DType, Shape, TensorType
from gie_core.ops.conv import Conv, ConvTranspose
from gie_core.ops.extents import as_ints
from gie_core.ops.window import Window
from gie_kernels_cpu.kernel import wide_dtype
from gie_kernels_cpu.launches import Call

__all__ = ["NOT_DEPTHWISE", "Geometry", "arranged", "grouped", "merged", "product"]


NOT_DEPTHWISE = "a group has more than one channel, or is all there is"


@dataclass(frozen=True)
class Geometry:
    """A convolution of x [images, channels, *spatial] into [images, results, *extents].

    Args:
        window: with numbers only.
        dtype: of x, the weight, the bias and the result.
    """

    images: int
    channels: int
    results: int
    groups: int
    window: Window
    spatial: tuple[int, ...]
    extents: tuple[int, ...]
    dtype: DType

    @staticmethod
    def of(node: Node) -> Geometry:
        """The geometry of a static ``conv`` or ``conv_transpose``."""
        x, weight = (value.tensor.dims for value in node.operands[:2] if value)
        op = cast("Conv | ConvTranspose", node.op)
        return _geometry(op, x, weight, node.result.tensor)

    @cached_property
    def wide(self) -> np.dtype[Any]:
        """The dtype that is computed in."""
        return wide_dtype(self.dtype.numpy)

    @cached_property
    def kernel(self) -> tuple[int, ...]:
        """Extents of the kernel."""
        return as_ints(self.window.kernel)

    @cached_property
    def depth(self) -> int:
        """Products that are summed up for one element of the result of a ``conv``."""
        return self.channels // self.groups * math.prod(self.kernel)

    @cached_property
    def pixels(self) -> int:
        """Positions of one image of the result."""
        return math.prod(self.extents)

    @cached_property
    def is_plain(self) -> bool:
        """Whether the window moves one position at a time and has no gaps."""
        return max((*self.window.strides, *self.window.dilations)) == 1

    @cached_property
    def is_depthwise(self) -> bool:
        """Whether each of several channels is a group of its own."""
        return self.groups == self.channels > 1

    @cached_property
    def pads(self) -> bool:
        """Whether windows see positions around the input."""
        return any(as_ints((*self.window.pads_begin, *self.window.pads_end)))


@lru_cache(1024)  # each method of a provider asks for it, and for all its variants
def _geometry(op: Conv | ConvTranspose, x: Shape, weight: Shape, result: TensorType) -> Geometry:
    x, y = as_ints(x), as_ints(result.dims)
    return Geometry(
        images=x[0],
        channels=x[1],
        results=y[1],
        groups=op.groups,
        window=op.window(as_ints(weight)),
        spatial=x[2:],
        extents=y[2:],
        dtype=result.dtype,
    )


def arranged(memory: Array, shape: Sequence[int], channels_last: bool) -> Array:
    """An array [N, C, *S] at the begin of flat memory, dense in one of the two orders."""
    if not channels_last:
        return memory[: math.prod(shape)].reshape(tuple(shape))
    lying = (shape[0], *shape[2:], shape[1])
    return np.moveaxis(memory[: math.prod(shape)].reshape(lying), -1, 1)


def grouped(array: Array, groups: int) -> Array:
    """[N, C, *S] as a view [N, groups, C/groups, *S]."""
    return array.reshape(array.shape[0], groups, array.shape[1] // groups, *array.shape[2:])


def merged(array: Array, first: int) -> Array | None:
    """A view with the axes from ``first`` on as one; ``None`` where memory doesn't allow it."""
    axes = list(zip(array.shape[first:], array.strides[first:], strict=True))
    moving = [(extent, stride) for extent, stride in axes if extent != 1]
    step = moving[-1][1] if moving else array.itemsize
    expected = step
    for extent, stride in reversed(moving):
        if stride != expected:
            return None
        expected = stride * extent
    shape = (*array.shape[:first], math.prod(array.shape[first:]))
    return as_strided(array, shape, (*array.strides[:first], step))


def product(weight: Array, x: Array, y: Array) -> Call:
    """Write weight [G, O, D] times x [N, G, D, *P] into y [N, G, O, *P], views of any layout.

    NumPy hands a product to BLAS as it lies in memory, with ``out`` too, if each matrix has
    neighbours along one of its axes (measured: pitched and transposed results cost nothing), so
    everything here is a matter of views.
    """
    flat = [merged(np.moveaxis(array, 0, 2), 2) for array in (x, y)]  # [G, D or O, N·P]
    if flat[0] is not None and flat[1] is not None:
        return partial(np.matmul, weight, flat[0], flat[1])
    flat = [merged(array, 3) for array in (x, y)]
    if flat[0] is not None and flat[1] is not None:
        return partial(np.matmul, weight, flat[0], flat[1])
    rows = [np.moveaxis(array, (1, 2), (-3, -2)) for array in (x, y)]
    return partial(np.matmul, weight, rows[0], rows[1])
