"""How far one value is from another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from gie_core.ir.types import Array

__all__ = ["comparable", "is_numeric", "largest_difference", "outputs_error", "relative_error"]


def comparable(actual: Any, expected: Any) -> bool:
    """Whether both are arrays of numbers and of one shape."""
    return all(map(is_numeric, (actual, expected))) and actual.shape == expected.shape


def relative_error(actual: Any, expected: Any) -> float:
    """‖actual − expected‖ / ‖expected‖, of all elements in float64.

    Infinities and NaN must stand in the same places, and count no further; infinity if they do
    not, and where anything differs from a value that is all zeros.
    """
    found = _finite(actual, expected)
    if found is None:
        return math.inf
    distance, size = (float(np.linalg.norm(each)) for each in (found[0] - found[1], found[1]))
    if not distance:
        return 0.0
    return distance / size if size else math.inf


def outputs_error(actual: Mapping[str, Any], expected: Mapping[str, Any]) -> float | None:
    """The largest relative error of outputs that both have; ``None`` if there are none."""
    errors = [
        relative_error(array, expected[name])
        for name, array in actual.items()
        if is_numeric(array) and is_numeric(expected.get(name))
    ]
    return max(errors, default=None)


def largest_difference(actual: Any, expected: Any) -> float:
    """The largest |actual − expected|, as ``relative_error`` counts them."""
    found = _finite(actual, expected)
    return math.inf if found is None else float(np.abs(found[0] - found[1]).max(initial=0))


def _finite(actual: Any, expected: Any) -> tuple[Array, Array] | None:
    """The finite elements of both; ``None`` if the others differ, or the shapes."""
    if not comparable(actual, expected):
        return None
    a, b = (_wide(each) for each in (actual, expected))
    finite = np.isfinite(a) & np.isfinite(b)
    if finite.all():
        return a.ravel(), b.ravel()
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return None
    return a[finite], b[finite]


def _wide(array: Array) -> Array:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def is_numeric(value: Any) -> bool:
    """Whether it is an array of numbers or Booleans."""
    if not isinstance(value, np.ndarray):
        return False
    array = cast("Array", value)
    return array.dtype != object and array.dtype.kind not in "USmM"
