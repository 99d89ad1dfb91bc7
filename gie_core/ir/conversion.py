"""Conversion between element types: every conversion rounds the exact value once.

Types that NumPy does not compute in by itself are held in a wider *compute dtype*
(``compute_dtype``): f16, bf16 and the 8- and 4-bit floats in float32, the 4- and 2-bit
integers in int8 or uint8. The functions here take and return arrays of that dtype, whose
elements are exactly representable in the element type they stand for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from gie_core.ir.types import Array, DType

__all__ = [
    "ROUNDINGS",
    "compute_dtype",
    "convert",
    "integer_range",
    "largest_finite",
    "round_float",
    "round_scalar",
    "wrap",
]

# How a float becomes an integer; the keys are the rounding modes of the language.
_TO_WHOLE: dict[str, Callable[..., Any]] = {
    "rne": np.rint,
    "rtz": np.trunc,
    "floor": np.floor,
    "ceil": np.ceil,
}
ROUNDINGS = tuple(_TO_WHOLE)


def compute_dtype(dtype: DType) -> np.dtype[Any]:
    """The NumPy dtype in which values of ``dtype`` are computed."""
    if dtype.is_float and dtype.bits < 32:
        return np.dtype(np.float32)
    if dtype.is_integer and dtype.bits < 8:
        return np.dtype(np.int8 if dtype.is_signed else np.uint8)
    return dtype.numpy


def integer_range(dtype: DType) -> tuple[int, int]:
    """The smallest and the largest value of an integer type."""
    if dtype.is_signed:
        return -(1 << (dtype.bits - 1)), (1 << (dtype.bits - 1)) - 1
    return 0, (1 << dtype.bits) - 1


@lru_cache
def largest_finite(dtype: DType) -> float:
    """The largest finite value of a floating-point type."""
    return float(_finite_values(dtype)[-1]) if dtype.bits < 32 else float(np.finfo(dtype.numpy).max)


def convert(
    values: Array, source: DType, target: DType, rounding: str = "rne", saturate: bool = False
) -> Array:
    """Convert between element types; the semantics of ``Cast`` in the pointwise language.

    Args:
        values: any shape, in ``compute_dtype(source)``.
        rounding: one of ``ROUNDINGS``. ``floor`` and ``ceil`` go toward −∞ and +∞ whatever
            the target; from an integer to a float only ``rne`` exists.
        saturate: clamp to the target's finite range instead of wrapping or overflowing.

    Returns:
        The same shape, in ``compute_dtype(target)``; ``values`` itself where that is right
        already, as from f16 to f32.
    """
    if source is target:
        return values
    with np.errstate(all="ignore"):
        if target is DType.BOOL:
            return np.not_equal(values, 0)
        if target.is_float:
            return _to_float(values, source, target, rounding, saturate)
        if source.is_float:
            return _float_to_integer(values, target, rounding, saturate)
        return _integer_to_integer(values, source, target, saturate)


def round_float(values: Array, dtype: DType) -> Array:
    """Round float32 or float64 once (nearest, ties to even); the result is in the compute dtype."""
    if dtype.bits >= 32:
        return values.astype(dtype.numpy, copy=False)
    if dtype is DType.F4E2M1:  # it has no NaN: as in an integer, 0 stands for it
        values = np.where(np.isnan(values), values.dtype.type(0), values)
    single = values if values.dtype == np.float32 else _round_to_odd(values)
    return single.astype(dtype.numpy).astype(np.float32)


def round_scalar(value: float, dtype: DType) -> float:
    """The value of the floating-point type nearest to a Python float (ties to even)."""
    with np.errstate(all="ignore"):
        return float(round_float(np.asarray(value, np.float64), dtype))


def wrap(values: Array, dtype: DType) -> Array:
    """Keep the low bits of a compute array, so that 4- and 2-bit integers wrap in their width."""
    unused = 8 - dtype.bits
    if unused <= 0:
        return values
    amount = values.dtype.type(unused)
    return np.right_shift(np.left_shift(values, amount), amount)


# ── To floats ───────────────────────────────────────────────────────────────────────


def _to_float(values: Array, source: DType, target: DType, rounding: str, saturate: bool) -> Array:
    if saturate:
        values = _clamp_float(values, source, target)
    if not source.is_float or rounding == "rne":
        exact = values if source.is_float else _integer_to_float(values, target)
        return round_float(exact, target)
    if target.bits >= 32:
        return _step_down_or_up(values, target, rounding)
    return _directed(values, target, rounding)


def _clamp_float(values: Array, source: DType, target: DType) -> Array:
    """Clamp to ±(largest finite) of the target; NaN stays.

    Clamping before rounding equals clamping after it: rounding is monotonic and keeps the bound.
    """
    bound = largest_finite(target)
    if source.is_float:
        if bound > float(np.finfo(values.dtype).max):
            values = values.astype(target.numpy)
        return np.clip(values, -bound, bound)
    if source is DType.BOOL or bound >= float(1 << 64):
        return values
    low, high = integer_range(source)
    return np.clip(values, max(low, -int(bound)), min(high, int(bound)))


def _integer_to_float(values: Array, target: DType) -> Array:
    """Integers (or bool) as floats that round to ``target`` as the exact integers would."""
    if target.bits >= 32:
        return values.astype(target.numpy)
    if values.dtype.itemsize < 8:
        return values.astype(np.float64)
    # Beyond 2**53, fold the 11 low bits into a sticky bit: 53 bits remain, exact in float64,
    # and the bit is odd wherever something was dropped, so the next rounding still sees it.
    large = (values >= 1 << 53) | (values <= -(1 << 53) if values.dtype.kind == "i" else False)
    sticky = ((values >> 11) | ((values & 0x7FF) != 0)) << 11
    return np.where(large, sticky, values).astype(np.float64)


def _round_to_odd(values: Array) -> Array:
    """float64 to float32 so that a second rounding, to 22 bits or fewer, is still right.

    Rounding to odd: truncate, then set the last bit if anything was cut off
    (S. Boldo, G. Melquiond, "When double rounding is odd", 2005).
    """
    single = np.asarray(values, np.float32)
    exact = (single == values) | np.isnan(values)
    bits = np.asarray(single.view(np.uint32))
    truncated = bits - (np.abs(single).astype(np.float64) > np.abs(values))
    odd = np.where(exact, bits, truncated | 1).astype(np.uint32)
    return odd.view(np.float32)


def _step_down_or_up(values: Array, target: DType, rounding: str) -> Array:
    """Directed rounding to float32 or float64: round to nearest, then correct by one step."""
    nearest = np.asarray(values.astype(target.numpy))
    down = np.where(nearest > values, np.nextafter(nearest, target.numpy.type(-np.inf)), nearest)
    up = np.where(nearest < values, np.nextafter(nearest, target.numpy.type(np.inf)), nearest)
    return _choose_direction(values, down, up, rounding)


def _directed(values: Array, target: DType, rounding: str) -> Array:
    """Directed rounding to a float of at most 16 bits: look up the neighbours in a table."""
    table = np.concatenate(([-np.inf], _finite_values(target), [np.inf]))
    last = len(table) - 1
    down = table[np.clip(np.searchsorted(table, values, "right") - 1, 0, last)]
    up = table[np.clip(np.searchsorted(table, values, "left"), 0, last)]
    chosen = _choose_direction(values, down, up, rounding)
    signed = np.where(chosen == 0, np.copysign(0.0, values), chosen)
    rounded = np.where(np.isnan(values), values, signed)
    return round_float(rounded, target)


def _choose_direction(values: Array, down: Array, up: Array, rounding: str) -> Array:
    if rounding == "rtz":
        return np.where(values < 0, up, down)
    return down if rounding == "floor" else up


@lru_cache
def _finite_values(dtype: DType) -> Array:
    """All finite values of a float of at most 16 bits, ascending, as float64."""
    unsigned = np.uint16 if dtype.numpy.itemsize == 2 else np.uint8
    patterns = np.arange(1 << dtype.bits).astype(unsigned).view(dtype.numpy)
    values = patterns.astype(np.float32).astype(np.float64)
    return np.unique(values[np.isfinite(values)])


# ── To integers ─────────────────────────────────────────────────────────────────────


def _float_to_integer(values: Array, target: DType, rounding: str, saturate: bool) -> Array:
    """NaN gives 0; what exceeds the bounds saturates; without ``saturate`` the low bits remain."""
    whole = np.asarray(_TO_WHOLE[rounding](values))
    if saturate and target.bits <= 16:
        # The common case, quantization: both bounds are exact in float32.
        if np.isnan(np.min(whole, initial=0)):
            np.copyto(whole, 0, where=np.isnan(whole))
        return np.clip(whole, *integer_range(target), out=whole).astype(compute_dtype(target))
    wide = DType.U64 if target is DType.U64 else DType.I64
    low, high = integer_range(target if saturate else wide)
    if target is DType.U64 and not saturate:
        low, _ = integer_range(DType.I64)
    return wrap(_clamped_to_wide(whole, wide, low, high).astype(compute_dtype(target)), target)


def _clamped_to_wide(whole: Array, wide: DType, low: int, high: int) -> Array:
    """Whole floats to i64 or u64, clamped to [low, high]; NaN gives 0, negative u64 wrap.

    ``high + 1`` is a power of two, exact in every float, where ``high`` itself may not be.
    """
    inside = np.where((whole >= low) & (whole < float(high + 1)), whole, 0)
    integers = inside.astype(wide.numpy)
    if wide is DType.U64:
        integers = np.where(inside < 0, inside.astype(np.int64).astype(np.uint64), integers)
    lowest = np.asarray(low % (1 << 64), np.uint64).astype(wide.numpy)
    integers = np.where(whole < low, lowest, integers)
    return np.where(whole >= float(high + 1), wide.numpy.type(high), integers)


def _integer_to_integer(values: Array, source: DType, target: DType, saturate: bool) -> Array:
    if saturate and source is not DType.BOOL:
        (low, high), (source_low, source_high) = integer_range(target), integer_range(source)
        values = np.clip(values, max(low, source_low), min(high, source_high))
    return wrap(values.astype(compute_dtype(target)), target)
