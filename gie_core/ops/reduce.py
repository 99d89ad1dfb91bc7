"""Reductions over axes. Pools over all of space are reductions as well."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gie_core.ir.conversion import integer_range
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.extents import check_axis
from gie_core.ops.operands import check_number
from gie_core.ops.precision import narrow, widen

__all__ = [
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
]


class Reduce(Op):
    """Base of the reductions: each says how many become one, in a wide dtype.

    The result has the dtype of x. Narrow floats are computed in f32 and rounded once;
    integers wrap, and what is not whole is cut toward zero.

    Args:
        axes: which to reduce, ascending; ``()`` makes every element a group of its own.
        keep_dims: reduced axes stay, with extent 1.
    """

    axes: tuple[int, ...] = ()
    keep_dims: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "axes", tuple(sorted(self.axes)))
        if len(set(self.axes)) < len(self.axes):
            raise OpError(f"{self.name} has an axis twice: {list(self.axes)}")

    def infer(self, x: TensorType) -> TensorType:
        self.check_dtype(x)
        for axis in self.axes:
            check_axis(axis, x.rank)
        kept = (
            1 if axis in self.axes else extent
            for axis, extent in enumerate(x.dims)
            if self.keep_dims or axis not in self.axes
        )
        return TensorType(x.dtype, tuple(kept))

    def compute(self, x: Array) -> Array:
        y = np.asarray(self.reduce(widen(x), axis=self.axes, keepdims=self.keep_dims))
        return narrow(y, DType.of(x.dtype))

    def check_dtype(self, x: TensorType) -> None:
        """Check that the reduction is defined for x."""
        check_number(x=x)

    def reduce(self, x: Array, **over: Any) -> Array:
        """The reduction; ``over`` are ``axis`` and ``keepdims`` as NumPy takes them."""
        raise NotImplementedError(f"{type(self).__name__} must define reduce()")


class ReduceSum(Reduce, name="reduce_sum"):
    """Σ x; 0 for none."""

    def reduce(self, x: Array, **over: Any) -> Array:
        return np.sum(x, dtype=x.dtype, **over)


class ReduceMean(Reduce, name="reduce_mean"):
    """Σ x / count; NaN for none."""

    def reduce(self, x: Array, **over: Any) -> Array:
        count = math.prod(x.shape[axis] for axis in self.axes)
        total = np.sum(x, **over)
        if x.dtype.kind not in "iu":
            return total / total.dtype.type(count)
        return np.sign(total) * (np.abs(total) // max(count, 1))


class ReduceProd(Reduce, name="reduce_prod"):
    """Π x; 1 for none."""

    def reduce(self, x: Array, **over: Any) -> Array:
        return np.prod(x, dtype=x.dtype, **over)


class ReduceMax(Reduce, name="reduce_max"):
    """The largest, or NaN if there is one; for none −∞ or the type's least. Also on bool."""

    def check_dtype(self, x: TensorType) -> None:
        _check_ordered(x)

    def reduce(self, x: Array, **over: Any) -> Array:
        return np.max(x, initial=_bound(DType.of(x.dtype), 0), **over)


class ReduceMin(Reduce, name="reduce_min"):
    """The smallest, or NaN if there is one; for none ∞ or the type's largest. Also on bool."""

    def check_dtype(self, x: TensorType) -> None:
        _check_ordered(x)

    def reduce(self, x: Array, **over: Any) -> Array:
        return np.min(x, initial=_bound(DType.of(x.dtype), 1), **over)


class ReduceL1(Reduce, name="reduce_l1"):
    """Σ |x|."""

    def reduce(self, x: Array, **over: Any) -> Array:
        return np.sum(np.abs(x), dtype=x.dtype, **over)


class ReduceL2(Reduce, name="reduce_l2"):
    """√(Σ x²)."""

    def reduce(self, x: Array, **over: Any) -> Array:
        x = _as_float(x)
        return np.sqrt(np.sum(x * x, **over))


class ReduceSumSquare(Reduce, name="reduce_sum_square"):
    """Σ x²."""

    def reduce(self, x: Array, **over: Any) -> Array:
        return np.sum(x * x, dtype=x.dtype, **over)


class ReduceLogSum(Reduce, name="reduce_log_sum"):
    """log Σ x; −∞ for none."""

    def reduce(self, x: Array, **over: Any) -> Array:
        return np.log(np.sum(_as_float(x), **over))


class ReduceLogSumExp(Reduce, name="reduce_log_sum_exp"):
    """log Σ exp(x), without overflow; −∞ for none."""

    def reduce(self, x: Array, **over: Any) -> Array:
        x = _as_float(x)
        highest = np.max(x, axis=self.axes, keepdims=True, initial=-np.inf)
        shift = np.where(np.isfinite(highest), highest, 0).astype(x.dtype)
        total = np.log(np.sum(np.exp(x - shift), axis=self.axes, keepdims=True)) + shift
        return total if over["keepdims"] else np.squeeze(total, axis=self.axes)


def _as_float(x: Array) -> Array:
    return x.astype(np.float64) if x.dtype.kind in "iu" else x


def _check_ordered(x: TensorType) -> None:
    if x.dtype is not DType.BOOL:
        check_number(x=x)
    if x.dtype.is_complex:
        raise OpError(f"complex numbers have no order: {x}")


def _bound(dtype: DType, side: int) -> Any:
    """The value that never wins: the least (side 0) or the greatest (side 1) of the type."""
    if dtype.is_float:
        return (-math.inf, math.inf)[side]
    return bool(side) if dtype is DType.BOOL else integer_range(dtype)[side]
