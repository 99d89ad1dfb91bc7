"""Conversions between element types, against exact fractions."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.conversion import (
    ROUNDINGS,
    compute_dtype,
    convert,
    integer_range,
    largest_finite,
    round_scalar,
)
from gie_core.ir.types import Array, DType
from gie_core.testing.scalar import FORMATS, convert_scalar

INTEGERS = tuple(dtype for dtype in DType if dtype.is_integer)
SMALL_FLOATS = tuple(dtype for dtype in FORMATS if dtype.bits < 32)
SATURATE = (False, True)


def identical(a: Array, b: Array) -> bool:
    """Equal, the sign of zero included; any NaN equals any other."""
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    signs = np.isnan(a) | (np.signbit(a) == np.signbit(b))
    return bool(np.array_equal(a, b, equal_nan=True) and signs.all())


def check(values: Array, source: DType, target: DType, rounding: str, saturate: bool) -> None:
    expected = [convert_scalar(v, source, target, rounding, saturate) for v in values.tolist()]
    actual = convert(values, source, target, rounding, saturate)
    assert actual.dtype == compute_dtype(target)
    wanted = np.array(expected, compute_dtype(target))
    wrong = [
        (value, got, want)
        for value, got, want in zip(values, actual, wanted, strict=True)
        if not identical(np.asarray(got), np.asarray(want))
    ]
    assert not wrong, f"{source} → {target} {rounding}: (value, got, expected) {wrong[:5]}"


def all_values(dtype: DType) -> Array:
    """Every value of a type of at most 16 bits, in its compute dtype."""
    if dtype.is_integer:
        low, high = integer_range(dtype)
        return np.arange(low, high + 1).astype(compute_dtype(dtype))
    unsigned = np.uint16 if dtype.numpy.itemsize == 2 else np.uint8
    bits = np.arange(1 << dtype.bits).astype(unsigned)
    return bits.view(dtype.numpy).astype(np.float32)


def ties(target: DType, source: DType) -> Array:
    """Values of ``target``, midpoints between them, and the neighbours of both in ``source``."""
    stored = source.numpy
    points = np.unique(all_values(target).astype(np.float64))
    points = points[np.isfinite(points)][:: 61 if target.bits == 16 else 1]
    middles = (points[1:] + points[:-1]) / 2
    near = np.concatenate([points, middles, [largest_finite(target) * 1.0625, 0.0]]).astype(stored)
    up, down = np.nextafter(near, stored.type(np.inf)), np.nextafter(near, stored.type(-np.inf))
    return np.concatenate([near, up, down, [-0.0, np.inf, -np.inf, np.nan]]).astype(stored)


@pytest.mark.parametrize("target", SMALL_FLOATS, ids=str)
@pytest.mark.parametrize("source", [DType.F32, DType.F64], ids=str)
@pytest.mark.parametrize(("rounding", "saturate"), [*product(ROUNDINGS, SATURATE)])
def test_float_to_small_float(source: DType, target: DType, rounding: str, saturate: bool) -> None:
    with np.errstate(all="ignore"):
        values = ties(target, source)
    check(values, source, target, rounding, saturate)


@pytest.mark.parametrize("target", [DType.F8E4M3, DType.F8E5M2, DType.F4E2M1, DType.I8], ids=str)
def test_every_f16(target: DType) -> None:
    with np.errstate(all="ignore"):
        values = all_values(DType.F16)[::3]
    check(values, DType.F16, target, "rne", saturate=True)


@pytest.mark.parametrize(("source", "target"), [*product((DType.I4, DType.U2, DType.I8), DType)])
def test_every_small_integer(source: DType, target: DType) -> None:
    if target in FORMATS or target.is_integer:
        for saturate in SATURATE:
            check(all_values(source), source, target, "rne", saturate)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("saturate", SATURATE)
@pytest.mark.parametrize("target", INTEGERS, ids=str)
@pytest.mark.parametrize("source", [DType.F32, DType.F64], ids=str)
def test_float_to_integer(source: DType, target: DType, saturate: bool, rounding: str) -> None:
    low, high = integer_range(target)
    edges = [edge + offset for edge in (low, high, 2**63, -(2**63)) for offset in (-0.5, 0, 0.5, 1)]
    special = [0.5, 1.5, -0.5, -1.5, 2.25, -0.0, 1e30, -1e30, np.inf, -np.inf, np.nan]
    check(np.array([*edges, *special], source.numpy), source, target, rounding, saturate)


@pytest.mark.parametrize("target", FORMATS, ids=str)
@pytest.mark.parametrize("source", [DType.I32, DType.I64, DType.U64], ids=str)
def test_integer_to_float(source: DType, target: DType) -> None:
    _, high = integer_range(source)
    near = [2**k + d for k in range(source.bits) for d in (-1, 0, 1, 2 ** max(k - 9, 0))]
    values = np.array([0, high, *(n for n in near if n <= high)], source.numpy)
    for saturate in SATURATE:
        check(values, source, target, "rne", saturate)
        check(np.invert(values), source, target, "rne", saturate)


@given(st.floats(), st.sampled_from(ROUNDINGS), st.booleans(), st.data())
def test_any_float(value: float, rounding: str, saturate: bool, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from([*FORMATS, *INTEGERS]))
    if target is not DType.F64:
        check(np.array([value]), DType.F64, target, rounding, saturate)


@given(st.integers(-(2**63), 2**64 - 1), st.booleans(), st.data())
def test_any_integer(value: int, saturate: bool, data: st.DataObject) -> None:
    source = DType.U64 if value >= 0 else DType.I64
    target = data.draw(st.sampled_from([*FORMATS, *INTEGERS]))
    if target is not source:
        check(np.array([value], source.numpy), source, target, "rne", saturate)


@pytest.mark.parametrize(
    ("value", "rounding", "expected"),
    [
        (1.0, "rne", 1.0),
        (3.0, "rne", 4.0),
        (2.9, "rne", 2.0),
        (2.1, "ceil", 4.0),
        (3.9, "floor", 2.0),
        (3.9, "rtz", 2.0),
        (0.0, "ceil", 2.0**-127),
        (0.0, "rne", math.nan),
        (-1.0, "rne", math.nan),
        (math.inf, "rne", math.nan),
    ],
)
def test_powers_of_two(value: float, rounding: str, expected: float) -> None:
    actual = convert(np.array([value], np.float32), DType.F32, DType.F8E8M0, rounding)
    assert identical(actual, np.array([expected], np.float32))


@pytest.mark.parametrize("dtype", SMALL_FLOATS, ids=str)
def test_every_value_of_a_type_rounds_to_itself(dtype: DType) -> None:
    values = all_values(dtype)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        exact = values.astype(np.float64)
    assert identical(convert(exact, DType.F64, dtype), values)


@pytest.mark.parametrize("dtype", FORMATS, ids=str)
def test_largest_finite(dtype: DType) -> None:
    assert largest_finite(dtype) == FORMATS[dtype].largest


def test_shapes_are_kept_and_scalars_taken() -> None:
    for shape in [(), (0,), (2, 0, 3), (2, 3)]:
        values = np.ones(shape, np.float64)
        for target in (DType.BF16, DType.F32, DType.I4, DType.U64, DType.BOOL):
            for saturate in SATURATE:
                assert convert(values, DType.F64, target, "rtz", saturate).shape == shape


def test_one_rounding_not_two() -> None:
    # Through float32, both would become a tie and round down to 1.
    assert round_scalar(1 + 2.0**-8 + 2.0**-40, DType.BF16) == 1 + 2.0**-7
    assert round_scalar(1 + 2.0**-4 + 2.0**-40, DType.F8E4M3) == 1.125
