"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from gie_core.builder.kernels import Kernel, Support
from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array
from gie_core.ops.linear import Gemm
from gie_kernels_cpu.kernel import (
    Constants,
    Epilogue,
    Method,
    float_support,
    padded,
    rounded,
    wide_dtype,
)

__all__ = ["GemmProduct", "MatmulProduct"]


class MatmulProduct(Method):
    """``matmul`` of float matrices, or of stacks of them."""

    def supports(self, node: Node) -> Support:
        return float_support(node)

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        return _MatmulKernel(constants(node.operands[1]))


class GemmProduct(Method):
    """``gemm`` of float matrices; factors are folded into constant operands."""

    def supports(self, node: Node) -> Support:
        return float_support(node)

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        _, b, c = padded(node.operands, 3)
        return _GemmKernel(cast("Gemm", node.op), constants(b), constants(c))


class _MatmulKernel:
    def __init__(self, b: Array | None) -> None:
        self._b = None if b is None else _packed(b)

    def __call__(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        return (self.run(op, operands, None),)

    def run(self, op: Op, operands: Sequence[Any], epilogue: Epilogue | None) -> Array:
        a, b = operands
        wide = wide_dtype(a.dtype)
        b = b.astype(wide, copy=False) if self._b is None else self._b
        y = rounded(np.asarray(np.matmul(a.astype(wide, copy=False), b)), a.dtype)
        return _finished(y, epilogue)


class _GemmKernel:
    def __init__(self, op: Gemm, b: Array | None, c: Array | None) -> None:
        self._b = None if b is None else _scaled(_packed(b.T if op.transpose_b else b), op.alpha)
        self._c = None if c is None else _scaled(c.astype(wide_dtype(c.dtype)), op.beta)

    def __call__(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        return (self.run(op, operands, None),)

    def run(self, op: Op, operands: Sequence[Any], epilogue: Epilogue | None) -> Array:
        op = cast("Gemm", op)
        a, b, c = padded(operands, 3)
        wide = wide_dtype(a.dtype)
        y = self._product(op, a.astype(wide, copy=False), b)
        if c is not None:
            y += _scaled(c.astype(wide, copy=False), op.beta) if self._c is None else self._c
        return _finished(rounded(y, a.dtype), epilogue)

    def _product(self, op: Gemm, a: Array, b: Array) -> Array:
        a = a.T if op.transpose_a else a
        if self._b is not None:
            return np.matmul(a, self._b)
        b = b.astype(a.dtype, copy=False)
        y = np.matmul(a, b.T if op.transpose_b else b)
        return y if op.alpha == 1 else np.multiply(y, y.dtype.type(op.alpha), out=y)


def _packed(b: Array) -> Array:
    """A constant right side [*B, K, N] that lies in memory as [*B, N, K].

    One row times the matrix is then a dot product per column, the fastest that BLAS has;
    with many rows the order does not matter.
    """
    wide = wide_dtype(b.dtype)
    if b.ndim < 2:
        return np.ascontiguousarray(b, wide)
    return np.ascontiguousarray(b.swapaxes(-1, -2), wide).swapaxes(-1, -2)


def _scaled(array: Array, factor: float) -> Array:
    return array if factor == 1 else array * array.dtype.type(factor)


def _finished(y: Array, epilogue: Epilogue | None) -> Array:
    if epilogue is not None:
        epilogue(y, (slice(None),) * y.ndim)
    return y
