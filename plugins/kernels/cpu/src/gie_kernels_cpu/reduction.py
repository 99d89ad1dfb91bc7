"""Sums and means over the last axes, as a matrix times a vector of ones.

BLAS adds up many short rows several times faster than NumPy's reduction does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from gie_core.builder.kernels import Kernel, Support
from gie_core.ir.dims import SymInt
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array
from gie_core.ops.reduce import Reduce, ReduceMean
from gie_kernels_cpu.kernel import Constants, Method, float_support, rounded, wide_dtype

__all__ = ["TrailingSum", "row_sums"]

LONGEST = 4096
"""Elements of a row from which on NumPy's pairwise sum is as fast, and more precise."""


class TrailingSum(Method):
    """``reduce_sum`` and ``reduce_mean`` over the last axes of a float tensor."""

    def supports(self, node: Node) -> Support:
        support = float_support(node)
        if not support.ok or node.operands[0] is None:
            return support
        dims, axes = node.operands[0].tensor.dims, cast("Reduce", node.op).axes
        if not axes or axes != tuple(range(axes[0], len(dims))):
            return Support.no(f"the axes {list(axes)} are not the last ones")
        reduced = [dims[axis] for axis in axes]
        if any(isinstance(n, SymInt) for n in reduced):
            return Support.no("how many elements become one is not known")
        if not 0 < math.prod(n for n in reduced if isinstance(n, int)) <= LONGEST:
            return Support.no(f"a row has not 1 to {LONGEST} elements")
        return Support.yes()

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        return _trailing_sum


def _trailing_sum(op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
    (x,) = operands
    op = cast("Reduce", op)
    kept, reduced = x.shape[: op.axes[0]], x.shape[op.axes[0] :]
    rows = x.astype(wide_dtype(x.dtype), copy=False).reshape(math.prod(kept), math.prod(reduced))
    y = row_sums(rows)
    if isinstance(op, ReduceMean):
        y /= rows.shape[1]
    shape = (*kept, *[1] * len(reduced)) if op.keep_dims else kept
    return (rounded(y.reshape(shape), x.dtype),)


def row_sums(rows: Array) -> Array:
    """Sums of the rows of a matrix: [M, K] → [M]."""
    return rows @ np.ones(rows.shape[1], rows.dtype)
