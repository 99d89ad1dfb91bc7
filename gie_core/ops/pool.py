"""Pools: one number per channel and window. Pools over everything are ``reduce_*`` ops."""

from __future__ import annotations

import math

import numpy as np

from gie_core.ir.conversion import integer_range
from gie_core.ir.op import OpError
from gie_core.ir.types import Array, DType, Shape, TensorType
from gie_core.ops.extents import as_ints
from gie_core.ops.operands import bracketed, check_float, check_number, check_rank
from gie_core.ops.precision import narrow, widen
from gie_core.ops.window import Window, Windowed

__all__ = ["AveragePool", "LpPool", "MaxPool", "MaxPoolWithIndices"]


class Pool(Windowed):
    """Base of the pools: x is [N, C, *S], y is [N, C, *P].

    Args:
        kernel: extents of the window, per spatial axis.
        ceil_mode: let the last window run over the end, unless it would start in the end padding.
    """

    kernel: tuple[int, ...]
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kernel or min(self.kernel) < 1:
            raise OpError(f"{self.name} needs a kernel ≥ 1, got {bracketed(self.kernel)}")

    def window(self) -> Window:
        """The geometry with all defaults filled in."""
        return self.window_over(self.kernel)

    def result_type(self, x: TensorType, dtype: DType | None = None) -> TensorType:
        """Type of one number per window."""
        check_rank("x", x, len(self.kernel) + 2)
        extents: Shape = self.window().extents(x.dims[2:], self.ceil_mode)
        return TensorType(dtype or x.dtype, (*x.dims[:2], *extents))

    def taps(self, x: Array, fill: float | int) -> list[Array]:
        """Views [N, C, *P], one per position of the window; ``fill`` in the padding."""
        window = self.window()
        extents = as_ints(window.extents(x.shape[2:], self.ceil_mode))
        return list(window.taps(window.padded(x, extents, fill), extents))


class MaxPool(Pool, name="max_pool"):
    """The largest element of each window; padding never wins, and NaN always does."""

    def infer(self, x: TensorType) -> TensorType:
        check_number(x=x)
        return self.result_type(x)

    def compute(self, x: Array) -> Array:
        dtype = DType.of(x.dtype)
        first, *others = self.taps(widen(x), _lowest(dtype))
        y = first.copy()
        for tap in others:
            np.maximum(y, tap, out=y)
        return narrow(y, dtype)


class MaxPoolWithIndices(Pool, name="max_pool_with_indices", results=("y", "indices")):
    """``max_pool``, and where each maximum stands; the first of equal ones.

    ``indices`` (i64, y's shape) count elements of the whole of x: (n·C + c)·|S| plus the
    position within the channel.

    Args:
        storage_order: how positions within a channel are counted: 0 last axis fastest,
            1 first spatial axis fastest.
    """

    storage_order: int = 0

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        check_number(x=x)
        return self.result_type(x), self.result_type(x, DType.I64)

    def compute(self, x: Array) -> tuple[Array, Array]:
        dtype, spatial = DType.of(x.dtype), x.shape[2:]
        count = math.prod(spatial)
        order = "F" if self.storage_order else "C"
        positions = np.arange(count, dtype=np.int64).reshape(1, 1, *spatial, order=order)
        (first, *others) = self.taps(widen(x), _lowest(dtype))
        (first_at, *others_at) = self.taps(positions, -1)  # -1 marks the padding
        y, at = first.copy(), np.broadcast_to(first_at, first.shape).copy()
        for tap, tap_at in zip(others, others_at, strict=True):
            better = (tap > y) | (at < 0) | (np.isnan(tap) & ~np.isnan(y))
            take = better & (tap_at >= 0)
            np.copyto(y, tap, where=take)
            np.copyto(at, tap_at, where=take)
        channels = np.arange(math.prod(x.shape[:2])).reshape(*x.shape[:2], *[1] * len(spatial))
        return narrow(y, dtype), at + channels * count


class AveragePool(Pool, name="average_pool"):
    """The mean of each window.

    Args:
        count_include_pad: divide by the positions in the padded input rather than by those
            in the input itself. Positions behind the end padding never count.
    """

    count_include_pad: bool = False

    def infer(self, x: TensorType) -> TensorType:
        check_float(x=x)
        return self.result_type(x)

    def compute(self, x: Array) -> Array:
        total = sum(self.taps(widen(x), 0))
        assert isinstance(total, np.ndarray)
        extents = total.shape[2:]
        counts = self.window().counts(x.shape[2:], extents, self.count_include_pad)
        return narrow(total / counts.astype(total.dtype), DType.of(x.dtype))


class LpPool(Pool, name="lp_pool"):
    """(Σ |x|^p)^(1/p) over each window.

    Args:
        p: order of the norm, ≥ 1.
    """

    p: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.p < 1:
            raise OpError(f"{self.name} needs p ≥ 1, got {self.p}")

    def infer(self, x: TensorType) -> TensorType:
        check_float(x=x)
        return self.result_type(x)

    def compute(self, x: Array) -> Array:
        powers = np.abs(widen(x)) ** self.p
        total = sum(self.taps(powers, 0))
        assert isinstance(total, np.ndarray)
        return narrow(total ** (1 / self.p), DType.of(x.dtype))


def _lowest(dtype: DType) -> float | int:
    return -math.inf if dtype.is_float else integer_range(dtype)[0]
