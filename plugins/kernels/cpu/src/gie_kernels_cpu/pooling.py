"""Max and average pooling."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np

from gie_core.ir.conversion import integer_range
from gie_core.ir.graph import Node
from gie_core.ir.types import Array, TensorType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.extents import as_ints
from gie_core.ops.pool import AveragePool, MaxPool
from gie_kernels_cpu.formats import is_channels_last, narrowed, ordered, variants
from gie_kernels_cpu.kernel import (
    Constants,
    Epilogue,
    Method,
    float_support,
    static_support,
    wide_dtype,
    workspace_size,
)
from gie_kernels_cpu.launches import Call, in_order
from gie_kernels_cpu.reduction import LONGEST, RowSums
from gie_kernels_cpu.sliding import BLOCK, DirectPool, FlatPool, Geometry, SlidingPool

__all__ = ["AveragePooling", "MaxPooling"]


class _Pooling(Method):
    """Pools of any geometry."""

    @abstractmethod
    def geometry(self, op: MaxPool | AveragePool, x: TensorType) -> Geometry:
        """The node's windows, and what becomes of them."""

    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        x, y = _input(node), node.result.tensor
        geometry = self._of(node)
        found: list[Candidate] = []
        for name, storage in variants(x.rank, x.dtype):
            stored = narrowed(x.dtype, storage)
            found.append(
                Candidate(
                    name,
                    (ordered(name, x, stored),),
                    (ordered(name, y, stored),),
                    workspace=self._workspace(name, geometry, x, stored.numpy),
                    work=_work(name, geometry, x, stored.numpy.itemsize),
                )
            )
        return found

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        (x,), (y,) = memory.operands, memory.results
        return [in_order(self._calls(candidate, self._of(node), x, y, memory.workspace))]

    def _of(self, node: Node) -> Geometry:
        return self.geometry(cast("MaxPool | AveragePool", node.op), _input(node))

    def _workspace(
        self, candidate: str, geometry: Geometry, x: TensorType, stored: np.dtype[Any]
    ) -> int:
        shape = as_ints(x.dims)
        if _is_sum(geometry):
            return _sums(shape, stored).workspace
        ways: list[SlidingPool] = []
        if is_channels_last(candidate):
            ways.append(_channels_last(geometry, shape, stored))
        else:
            ways.append(_planes(geometry, shape[1], stored))
            if FlatPool.fits(geometry):
                ways.append(_flat(geometry, shape[1], stored))
        return max(workspace_size(*way.pieces) for way in ways)

    def _calls(
        self, candidate: str, geometry: Geometry, x: Array, y: Array, workspace: Array
    ) -> Iterator[Call]:
        if _is_sum(geometry):
            yield from _sums(x.shape, x.dtype).bind(x, y, workspace)
        elif is_channels_last(candidate):
            pool = _channels_last(geometry, x.shape, x.dtype)
            yield from pool.bind(np.moveaxis(x, 1, -1), np.moveaxis(y, 1, -1), workspace)
        else:
            for image in range(len(x)):
                flat = FlatPool.fits(geometry) and x[image].flags.c_contiguous
                way = _flat if flat else _planes
                yield from way(geometry, x.shape[1], x.dtype).bind(x[image], y[image], workspace)


class MaxPooling(_Pooling):
    """``max_pool`` of any type that NumPy compares or that is widened to f32."""

    def supports(self, node: Node) -> Support:
        support = static_support(node)
        dtype = _input(node).dtype
        if not support.ok or (dtype.is_integer and dtype.bits >= 8):
            return support
        return float_support(node)

    def geometry(self, op: MaxPool | AveragePool, x: TensorType) -> Geometry:
        lowest = -math.inf if x.dtype.is_float else integer_range(x.dtype)[0]
        spatial = as_ints(x.dims[2:])
        extents = as_ints(op.window().extents(spatial, op.ceil_mode))
        dtype = wide_dtype(x.dtype.numpy)
        return Geometry(op.window(), spatial, extents, np.maximum, lowest, None, dtype)


class AveragePooling(_Pooling):
    """``average_pool``; one window over everything is a sum of rows."""

    def supports(self, node: Node) -> Support:
        support = static_support(node)
        return float_support(node) if support.ok else support

    def geometry(self, op: MaxPool | AveragePool, x: TensorType) -> Geometry:
        op = cast("AveragePool", op)
        spatial = as_ints(x.dims[2:])
        extents = as_ints(op.window().extents(spatial, op.ceil_mode))
        dtype = wide_dtype(x.dtype.numpy)
        counts = op.window().counts(spatial, extents, op.count_include_pad).astype(dtype)
        return Geometry(op.window(), spatial, extents, np.add, 0, counts, dtype)


def _is_sum(geometry: Geometry) -> bool:
    """Whether there is one window, which has all elements."""
    size = math.prod(geometry.spatial)
    whole = geometry.window.kernel == geometry.spatial and not any(geometry.window.pads_begin)
    is_one = math.prod(geometry.extents) == 1 and set(geometry.window.dilations) == {1}
    return whole and is_one and geometry.counts is not None and size <= LONGEST


def _sums(shape: tuple[int, ...], stored: np.dtype[Any]) -> RowSums:
    return RowSums(shape, 2, stored, math.prod(shape[2:]))


def _channels_last(geometry: Geometry, shape: tuple[int, ...], stored: np.dtype[Any]) -> DirectPool:
    return DirectPool(geometry, shape[0], (shape[1],), stored != geometry.dtype)


def _planes(geometry: Geometry, channels: int, stored: np.dtype[Any]) -> DirectPool:
    return DirectPool(geometry, channels, (), stored != geometry.dtype)


def _flat(geometry: Geometry, channels: int, stored: np.dtype[Any]) -> FlatPool:
    return FlatPool(geometry, channels, stored != geometry.dtype)


def _work(candidate: str, geometry: Geometry, x: TensorType, itemsize: int) -> Work:
    """Axis by axis; what is computed for nothing in dense planes counts too."""
    images, channels = as_ints(x.dims[:2])
    size = images * channels * math.prod(geometry.spatial)
    results = images * channels * math.prod(geometry.extents)
    kernel, strides = as_ints(geometry.window.kernel), geometry.window.strides
    steps, left, calls = 0.0, float(size), 0
    for taps, stride in zip(kernel, strides, strict=True):
        if is_channels_last(candidate):
            left /= stride
        steps, calls = steps + left * max(1, taps - 1), calls + taps
    blocks = -(-size // BLOCK)
    return Work(steps=steps + results, bytes=(size + results) * itemsize, calls=calls * blocks)


def _input(node: Node) -> TensorType:
    (x,) = node.operands
    assert x is not None  # a pool's only operand
    return x.tensor
