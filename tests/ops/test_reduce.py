"""Reductions against plain Python over lists of elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.op import OpError
from gie_core.ir.types import Array, DType
from gie_core.ops.reduce import (
    Reduce,
    ReduceL1,
    ReduceL2,
    ReduceLogSum,
    ReduceLogSumExp,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    ReduceSumSquare,
)
from gie_core.testing.ops import check, check_rejected, draw

Fold = Callable[[list[float]], float]


def log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf if value == 0 else math.nan


FOLDS: dict[type[Reduce], Fold] = {
    ReduceSum: math.fsum,
    ReduceMean: lambda v: math.fsum(v) / len(v),
    ReduceMax: lambda v: max(v, default=-math.inf),
    ReduceMin: lambda v: min(v, default=math.inf),
    ReduceProd: math.prod,
    ReduceL1: lambda v: math.fsum(map(abs, v)),
    ReduceL2: lambda v: math.sqrt(math.fsum(x * x for x in v)),
    ReduceLogSum: lambda v: log(math.fsum(v)),
    ReduceLogSumExp: lambda v: log(math.fsum(map(math.exp, v))),
    ReduceSumSquare: lambda v: math.fsum(x * x for x in v),
}
families = pytest.mark.parametrize("family", FOLDS)


def slow_reduce(x: Array, axes: tuple[int, ...], keep_dims: bool, fold: Fold) -> Array:
    groups: dict[tuple[int, ...], list[float]] = {}
    kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    for at in np.ndindex(*kept):
        groups[at] = []
    for at in np.ndindex(*x.shape):
        groups[tuple(0 if a in axes else i for a, i in enumerate(at))].append(float(x[at]))
    y = np.array([fold(values) for values in groups.values()], float).reshape(kept)
    return y if keep_dims else np.squeeze(y, axes)


@families
@pytest.mark.parametrize("axes", [(), (0,), (2,), (0, 2), (1, 2, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("keep_dims", [False, True])
def test_reduce(family: type[Reduce], axes: tuple[int, ...], keep_dims: bool) -> None:
    x = draw(2, 3, 4, 2)
    if family is ReduceLogSum:
        x = np.abs(x)
    expected = slow_reduce(x, axes, keep_dims, FOLDS[family])
    check(family(axes=axes, keep_dims=keep_dims), x, expect=expected)


@families
@pytest.mark.parametrize("dtype", [DType.F64, DType.F16, DType.BF16])
def test_every_float_type_rounds_once(family: type[Reduce], dtype: DType) -> None:
    x = np.abs(draw(3, 20, dtype=dtype))
    half_ulp = {DType.F64: 1e-14, DType.F16: 2.0**-11, DType.BF16: 2.0**-8}[dtype]
    expected = slow_reduce(x, (1,), False, FOLDS[family])
    check(family(axes=(1,), keep_dims=False), x, expect=expected, rtol=half_ulp * 1.01, atol=1e-6)


@families
@pytest.mark.parametrize("dtype", [DType.I32, DType.I64, DType.U64])
def test_integers_are_cut_toward_zero(family: type[Reduce], dtype: DType) -> None:
    x = np.array([[1, 2, 4], [3, 9, 6], [5, 0, 2]], dtype.numpy)
    if dtype.is_signed and family is not ReduceLogSum:
        x[0] = -x[0]
    expected = np.trunc(slow_reduce(x, (1,), False, FOLDS[family]))
    check(family(axes=(1,), keep_dims=False), x, expect=expected)


def test_integers_wrap_in_their_width() -> None:
    x = np.array([100, 100, 1], np.int8)
    check(ReduceSum(axes=(0,)), x, expect=[-55])
    check(ReduceProd(axes=(0,)), x, expect=[16])
    check(ReduceMean(axes=(0,)), x, expect=[67])
    big = np.array([2**62, 2**62 + 1])
    check(ReduceSum(axes=(0,)), big, expect=[-(2**63) + 1])


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (ReduceSum, 0),
        (ReduceMean, math.nan),
        (ReduceMax, -math.inf),
        (ReduceMin, math.inf),
        (ReduceProd, 1),
        (ReduceL1, 0),
        (ReduceL2, 0),
        (ReduceLogSum, -math.inf),
        (ReduceLogSumExp, -math.inf),
        (ReduceSumSquare, 0),
    ],
)
def test_reducing_nothing(family: type[Reduce], expected: float) -> None:
    x = np.zeros((2, 0, 3), np.float32)
    check(family(axes=(1,)), x, expect=np.full((2, 1, 3), expected))


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [(DType.I8, -128, 127), (DType.U8, 0, 255), (DType.I64, -(2**63), 2**63 - 1)],
)
def test_extrema_of_no_integers(dtype: DType, low: int, high: int) -> None:
    x = np.zeros((0, 1), dtype.numpy)
    check(ReduceMax(axes=(0,)), x, expect=np.array([[low]], dtype.numpy))
    check(ReduceMin(axes=(0,)), x, expect=np.array([[high]], dtype.numpy))


def test_extrema_of_bools_and_nan() -> None:
    flags = np.array([[True, False], [False, False]])
    check(ReduceMax(axes=(1,)), flags, expect=[[True], [False]])
    check(ReduceMin(axes=(0,)), flags, expect=[[False, False]])
    check(ReduceMax(axes=(0,)), np.array([1, np.nan]), expect=[np.nan])
    check(ReduceMin(axes=(0,)), np.array([1, np.nan]), expect=[np.nan])


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([1000.0, 1000.0], 1000 + math.log(2)),
        ([-1000.0, -1000.0], -1000 + math.log(2)),
        ([-math.inf, -math.inf], -math.inf),
        ([math.inf, 1.0], math.inf),
        ([math.nan, 1.0], math.nan),
    ],
)
def test_log_sum_exp_does_not_overflow(x: list[float], expected: float) -> None:
    check(ReduceLogSumExp(axes=(0,)), np.array(x), expect=[expected])


def test_scalars() -> None:
    check(ReduceSum(axes=()), np.float32(3), expect=3.0)


@given(shape=st.lists(st.integers(0, 3), max_size=4), keep_dims=st.booleans(), data=st.data())
def test_shape_rule(shape: list[int], keep_dims: bool, data: st.DataObject) -> None:
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1)) if shape else st.just(set[int]()))
    op = ReduceSum(axes=tuple(axes), keep_dims=keep_dims)
    x = np.ones(shape, np.float32)
    check(op, x, expect=x.sum(axis=tuple(axes), keepdims=keep_dims))


def test_axes_are_sorted() -> None:
    assert ReduceSum(axes=(2, 0)) == ReduceSum(axes=(0, 2))
    with pytest.raises(OpError, match="axis twice"):
        ReduceSum(axes=(1, 1))


@pytest.mark.parametrize(
    ("family", "attributes", "operand", "message"),
    [
        (ReduceSum, {"axes": (2,)}, "f32[2, 3]", "axis 2 does not exist"),
        (ReduceSum, {"axes": (0,)}, "bool[2, 3]", "x must be of a number type"),
        (ReduceMax, {"axes": (0,)}, "str[2, 3]", "x must be of a number type"),
        (ReduceMax, {"axes": (0,)}, "c64[2, 3]", "no order"),
        (ReduceMean, {"axes": (0,)}, "f32[*]", "rank of .* is unknown"),
    ],
)
def test_what_does_not_fit(
    family: type[Reduce], attributes: dict[str, Any], operand: str, message: str
) -> None:
    check_rejected(family(**attributes), operand, match=message)
