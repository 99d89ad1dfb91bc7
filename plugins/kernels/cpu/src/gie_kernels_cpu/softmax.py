"""Softmax."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.types import Array, TensorType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.extents import as_ints
from gie_core.ops.norm import Softmax
from gie_kernels_cpu.blocks import regions
from gie_kernels_cpu.formats import narrowed, ordered, variants
from gie_kernels_cpu.halves import widening
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
from gie_kernels_cpu.reduction import LONGEST

__all__ = ["RowSoftmax"]

BLOCK = 1 << 16
"""Elements that are handled at once."""


MANY = 8
"""Rows from which on BLAS adds them up faster than NumPy, which wakes no threads."""


class RowSoftmax(Method):
    """``softmax``, several rows at once."""

    def supports(self, node: Node) -> Support:
        support = static_support(node)
        return float_support(node) if support.ok else support

    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        x = _input(node)
        size = math.prod(as_ints(x.dims))
        found: list[Candidate] = []
        for name, storage in variants(x.rank, x.dtype):
            stored = narrowed(x.dtype, storage)
            format_ = ordered(name, x, stored)
            work = Work(steps=8 * size, bytes=2 * size * stored.numpy.itemsize, calls=5)
            scratch = workspace_size(*_pieces(node, stored.numpy))
            found.append(Candidate(name, (format_,), (format_,), scratch, work, in_place=((0, 0),)))
        return found

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        axis = cast("Softmax", node.op).axis
        x, y = (np.moveaxis(a, axis, -1) for a in (*memory.operands, *memory.results))
        scratch = carve(memory.workspace, *_pieces(node, x.dtype))
        calls: list[Call] = []
        for region in regions(x.shape[:-1], _rows(x.shape[-1])):
            calls += _rows_calls(x[(*region, ...)], y[(*region, ...)], scratch)
        return [in_order(calls)]


def _rows_calls(x: Array, y: Array, scratch: Sequence[Array]) -> Iterator[Call]:
    """Calls for some rows, which lie along the last axis."""
    peaks = scratch[0][: math.prod(x.shape[:-1])].reshape((*x.shape[:-1], 1))
    wide = y if len(scratch) == 1 else scratch[1][: x.size].reshape(x.shape)
    if wide is not y:
        yield from widening(x, wide)
        x = wide
    yield partial(np.max, x, axis=-1, keepdims=True, out=peaks, initial=-np.inf)
    yield partial(np.subtract, x, peaks, out=wide)
    yield partial(np.exp, wide, out=wide)
    length = x.size // max(1, peaks.size)
    if wide.strides[-1] == wide.itemsize and peaks.size >= MANY and length <= LONGEST:
        ones = np.ones(length, wide.dtype)
        yield partial(np.matmul, wide, ones, out=peaks[..., 0])
    else:
        yield partial(np.sum, wide, axis=-1, keepdims=True, out=peaks)
    yield partial(np.divide, wide, peaks, out=y, casting="unsafe")


def _rows(length: int) -> int:
    """How many rows are handled at once."""
    return max(1, BLOCK // max(1, length))


def _pieces(node: Node, stored: np.dtype[Any]) -> list[Piece]:
    """The rows' maxima, later their sums; and the rows as they are computed with."""
    shape, axis = as_ints(_input(node).dims), cast("Softmax", node.op).axis
    length, wide = shape[axis], wide_dtype(stored)
    rows = min(math.prod(shape[:axis] + shape[axis + 1 :]), _rows(length))
    found: list[Piece] = [((rows,), wide)]
    if wide != stored:
        found.append(((rows * length,), wide))
    return found


def _input(node: Node) -> TensorType:
    (x,) = node.operands
    assert x is not None  # the only operand
    return x.tensor
