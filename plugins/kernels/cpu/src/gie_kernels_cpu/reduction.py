"""Sums and means over the last axes, as a matrix times a vector of ones.

BLAS adds up many short rows several times faster than NumPy's reduction does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.types import Array, TensorType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Strides, row_major
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.extents import as_ints
from gie_core.ops.reduce import Reduce, ReduceMean
from gie_kernels_cpu.formats import narrowed, ordered, variants
from gie_kernels_cpu.kernel import (
    Constants,
    Epilogue,
    Method,
    Piece,
    carve,
    float_support,
    static_support,
    wide_dtype,
    workspace_size,
)
from gie_kernels_cpu.launches import Call, in_order

__all__ = ["LONGEST", "RowSums", "TrailingSum"]

LONGEST = 4096
"""Elements of a row from which on NumPy's pairwise sum is as fast, and more precise."""


class TrailingSum(Method):
    """``reduce_sum`` and ``reduce_mean`` over the last axes of a float tensor."""

    def supports(self, node: Node) -> Support:
        for support in (static_support(node), float_support(node)):
            if not support.ok:
                return support
        dims, axes = _extents(node), cast("Reduce", node.op).axes
        if not axes or axes != tuple(range(axes[0], len(dims))):
            return Support.no(f"the axes {list(axes)} are not the last ones")
        if not 0 < math.prod(dims[axes[0] :]) <= LONGEST:
            return Support.no(f"a row has not 1 to {LONGEST} elements")
        return Support.yes()

    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        x, y = _input(node), node.result.tensor
        is_spatial = x.rank == 4 and cast("Reduce", node.op).axes == (2, 3)
        found: list[Candidate] = []
        for name, storage in variants(4 if is_spatial else 0, x.dtype):
            stored = narrowed(x.dtype, storage)
            source = ordered(name, x, stored)
            target = ordered(name, y, stored)
            sums = self._sums(node, stored.numpy)
            size = math.prod(_extents(node))
            work = Work(steps=size / 4, bytes=size * stored.numpy.itemsize, calls=2)
            found.append(Candidate(name, (source,), (target,), sums.workspace, work))
        if not is_spatial:  # any order does
            first = found[0]
            found[0] = Candidate(
                first.name, (row_major(x, Strides.ANY),), first.results, first.workspace, first.work
            )
        return found

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        (x,), (y,) = memory.operands, memory.results
        sums = self._sums(node, x.dtype)
        return [in_order(sums.bind(x, y, memory.workspace))]

    def _sums(self, node: Node, stored: np.dtype[Any]) -> RowSums:
        shape, kept = _extents(node), cast("Reduce", node.op).axes[0]
        divisor = math.prod(shape[kept:]) if isinstance(node.op, ReduceMean) else 1
        return RowSums(shape, kept, stored, divisor)


@dataclass(frozen=True)
class RowSums:
    """Adds up all but the first axes of a tensor.

    Args:
        shape: of the operand.
        kept: number of axes that stay.
        stored: dtype of the operand and the result.
        divisor: what the sums are divided by.
    """

    shape: tuple[int, ...]
    kept: int
    stored: np.dtype[Any]
    divisor: int

    @property
    def workspace(self) -> int:
        """Bytes of scratch memory."""
        return workspace_size(*self._pieces)

    @property
    def _pieces(self) -> list[Piece]:
        dtype = wide_dtype(self.stored)
        return [] if dtype == self.stored else [(self.shape[: self.kept], dtype)]

    def bind(self, x: Array, y: Array, workspace: Array) -> Iterator[Call]:
        """Calls that write the sums of x into y, which may have more axes, of extent 1."""
        y = y[(..., *[0] * (y.ndim - self.kept))]
        if not self._pieces:
            yield from self._sums(x, y)
            if self.divisor != 1:
                yield partial(np.divide, y, y.dtype.type(self.divisor), out=y)
            return
        (wide,) = carve(workspace, *self._pieces)
        axes = tuple(range(self.kept, x.ndim))
        yield partial(np.sum, x, axis=axes, dtype=wide.dtype, out=wide)
        yield partial(np.divide, wide, wide.dtype.type(self.divisor), out=y, casting="unsafe")

    def _sums(self, x: Array, y: Array) -> Iterator[Call]:
        if not y.size:
            return
        rows, sums = x.reshape(y.size, -1), y.reshape(-1)
        if np.may_share_memory(rows, x) and np.may_share_memory(sums, y):
            yield partial(np.matmul, rows, np.ones(rows.shape[1], x.dtype), out=sums)
        elif y.ndim > 1:
            for position in range(len(y)):
                yield from self._sums(x[position], y[position])
        else:
            yield partial(np.sum, x, axis=tuple(range(y.ndim, x.ndim)), out=y)


def _input(node: Node) -> TensorType:
    (x,) = node.operands
    assert x is not None  # a reduction's only operand
    return x.tensor


def _extents(node: Node) -> tuple[int, ...]:
    return as_ints(_input(node).dims)
