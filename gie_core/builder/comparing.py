"""How far an answer is from the right one, and how far it may be.

One number decides: the *miss*, the tolerance that an answer would need. It takes in the norm of
the error and the worst single element, so that no wrong corner hides among a million right ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gie_core.ir.types import Array, DType

__all__ = ["Comparison", "compare", "tolerance_of"]

_TOLERANCES = {
    DType.F64: 1e-12,
    DType.C128: 1e-12,
    DType.F32: 2e-5,
    DType.C64: 2e-5,
    DType.F16: 5e-3,
    DType.BF16: 4e-2,
}
_TOLERANCE_OF_BYTES = 0.3

ELEMENT = 8.0
"""How many times the tolerance a single element may be off, so that no corner hides in a norm."""

_SMALLEST = 1e-300

OFF_BY_ONE = 1e-3
"""The share of integers computed from floats that may have been rounded to the neighbour."""


@dataclass(frozen=True)
class Comparison:
    """How far an answer is off.

    Args:
        error: ‖answer − right‖ / ‖right‖, or the share of elements that differ.
        miss: the tolerance that the answer would need.
        where: the worst element, in words.
    """

    error: float
    miss: float
    where: str = ""


def tolerance_of(dtypes: Iterable[DType]) -> float:
    """How far a result may be off, by the coarsest type that operands and results are stored in.

    Returns:
        A bound of ‖answer − right‖ / ‖right‖; single elements may be off ``ELEMENT`` times that,
        relative to their own size plus the root mean square of the result.
    """
    return max(
        (
            _TOLERANCES.get(dtype, _TOLERANCE_OF_BYTES)
            for dtype in dtypes
            if dtype.is_float or dtype.is_complex
        ),
        default=0.0,
    )


def compare(answer: Array, right: Array) -> Comparison:
    """How far an answer is off, over all elements.

    Infinities and NaN must be where they are in ``right``.

    Args:
        answer: in the type it is stored in.
        right: as ``Oracle.answers`` gives it.
    """
    if not right.size:
        return Comparison(0.0, 0.0)
    if right.dtype.kind in "fc":
        return _compare_floats(answer.astype(right.dtype), right)
    return _compare_integers(answer, right)


def _compare_floats(answer: Array, right: Array) -> Comparison:
    with np.errstate(all="ignore"):
        distance = np.abs(answer - right)
        special = ~np.isfinite(right)
        if special.any():
            same = (answer == right) | (np.isnan(answer) & np.isnan(right))
            distance = np.where(special, np.where(same, 0, np.inf), distance)
        size = np.abs(np.where(special, 0, right)) if special.any() else np.abs(right)
        distance = np.where(np.isnan(distance), np.inf, distance)
        root_mean_square = _root_mean_square(size)
        relative = distance / (size + (root_mean_square or 1.0))
        worst = int(np.argmax(relative))
        error = _root_mean_square(distance) / (root_mean_square or 1.0)
    miss = max(error, float(relative.flat[worst]) / ELEMENT)
    return Comparison(error, miss, _element(answer, right, worst))


def _compare_integers(answer: Array, right: Array) -> Comparison:
    if right.dtype == np.bool_:  # whatever byte was left there, only 0 and 1 are booleans
        answer, right = answer.view(np.uint8), right.view(np.uint8)
    different = np.not_equal(answer, right)
    share = int(np.count_nonzero(different)) / right.size
    if not share:
        return Comparison(0.0, 0.0)
    distance = np.abs(answer.astype(np.float64) - right.astype(np.float64))
    worst = int(np.argmax(np.where(different, distance, -1.0)))
    is_rounding = share <= OFF_BY_ONE and float(distance.flat[worst]) <= 1
    # A rounding needs some tolerance, which is 0 only where no float is involved.
    miss = _SMALLEST if is_rounding else math.inf
    return Comparison(share, miss, _element(answer, right, worst))


def _element(answer: Array, right: Array, index: int) -> str:
    place = ", ".join(str(int(i)) for i in np.unravel_index(index, right.shape))
    found, wanted = answer.flat[index].item(), right.flat[index].item()
    return f"[{place}] is {found:.6g} instead of {wanted:.6g}"


def _root_mean_square(values: Array) -> float:
    wide = values.astype(np.float64)
    return math.sqrt(float(np.mean(wide * wide)))
