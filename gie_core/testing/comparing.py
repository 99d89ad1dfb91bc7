"""Comparing answers with right ones: shapes, special values, and the error in one number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gie_core.ir.types import Array, DType

__all__ = ["TOLERANCES", "Tolerance", "compare", "relative_error", "tolerance_of"]

TOLERANCES = {
    DType.F64: 1e-13,
    DType.C128: 1e-13,
    DType.F32: 1e-6,
    DType.C64: 1e-6,
    DType.F16: 2e-3,
    DType.BF16: 1e-2,
}
"""Relative error in the Frobenius norm that a result of a type may have."""

Tolerance = float | Mapping[DType, float] | None
"""One for all types, or for some of them; the others have that of ``TOLERANCES``."""

_OF_NARROW_FLOATS = 0.25


def tolerance_of(dtype: DType, tolerance: Tolerance = None) -> float:
    """The relative error that a result of a type may have; 0 for whatever is computed exactly."""
    if isinstance(tolerance, float | int):
        return tolerance
    if tolerance is not None and dtype in tolerance:
        return tolerance[dtype]
    return TOLERANCES.get(dtype, _OF_NARROW_FLOATS if dtype.is_float else 0.0)


def relative_error(answer: Array, right: Array) -> float:
    """‖answer − right‖ / ‖right‖ over the finite elements of ``right``, in double precision."""
    wide = _wide(right)
    finite = np.isfinite(wide)
    error = np.linalg.norm(_wide(answer)[finite] - wide[finite])
    norm = np.linalg.norm(wide[finite])
    return float(error / norm if norm else error)


def compare(
    name: str, answer: Array, right: Array, tolerance: Tolerance = None, exact: bool = False
) -> None:
    """Compare an answer with the right one.

    Args:
        name: what it is, for the message.
        answer: of any type.
        right: of a type as wide or wider.
        tolerance: relative error, one for all or by type; by default that of the answer's type.
            Integers, booleans, infinities and NaN must be equal.
        exact: the same bits (any NaN equals any other); both are of one type.

    Raises:
        AssertionError: they differ.
    """
    assert answer.shape == right.shape, f"{name} has shape {answer.shape}, not {right.shape}"
    dtype = DType.of(answer.dtype)
    if exact or not (dtype.is_float or dtype.is_complex):
        _assert_same(name, answer, right, _bits(answer) == _bits(right))
        return
    wide, given = _wide(right), _wide(answer)
    finite = np.isfinite(wide)
    same = finite | (wide == given) | (np.isnan(wide) & np.isnan(given))
    _assert_same(name, given, wide, same)
    error = relative_error(answer, right)
    allowed = tolerance_of(dtype, tolerance)
    assert error <= allowed, f"{name} has relative error {error:.2g}, more than {allowed:.2g}"


def _assert_same(name: str, answer: Array, right: Array, same: Array) -> None:
    if same.all():
        return
    first = tuple(int(i) for i in np.argwhere(~same)[0])
    raise AssertionError(
        f"{name} differs in {int((~same).sum())} of {same.size} elements, first at "
        f"{list(first)}: {answer[first]} where {right[first]} is right"
    )


def _wide(array: Array) -> Array:
    """Real numbers in double precision; a complex one as two."""
    if np.iscomplexobj(array):
        return np.stack([np.real(array), np.imag(array)], -1).astype(np.float64)
    return array.astype(np.float64)


def _bits(array: Array) -> Array:
    """Elements that compare equal only if they have the same bits; all NaN are one."""
    if array.dtype.kind == "c":
        parts = np.stack([np.real(array), np.imag(array)], -1)
        return _bits(parts)
    if array.dtype == object or array.dtype.kind in "iu":
        return array
    if array.dtype.kind != "b" and DType.of(array.dtype).is_float:
        array = np.where(np.isnan(array), np.asarray(np.nan, array.dtype), array)
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}").reshape(array.shape)
