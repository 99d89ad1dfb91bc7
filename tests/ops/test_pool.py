"""Pools against explicit loops in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType
from gie_core.ops.extents import as_ints
from gie_core.ops.pool import AveragePool, LpPool, MaxPool, MaxPoolWithIndices, Pool
from gie_core.testing.ops import check, check_rejected, draw


def slow_pool(x: Array, op: Pool, over: Callable[[Array, int], float]) -> Array:
    """``over(elements inside of x, positions in the padded input)`` for every window."""
    window, spatial = op.window(), x.shape[2:]
    extents = as_ints(window.extents(spatial, op.ceil_mode))
    begins, pads = as_ints(window.pads_begin), as_ints(window.pads_end)
    y = np.zeros((*x.shape[:2], *extents))
    rank = len(spatial)
    for n, c, *p in np.ndindex(*y.shape):
        inside: list[float] = []
        padded = 0
        for k in np.ndindex(*op.kernel):
            q = tuple(
                p[a] * window.strides[a] + k[a] * window.dilations[a] - begins[a]
                for a in range(rank)
            )
            padded += all(i < s + e for i, s, e in zip(q, spatial, pads, strict=True))
            if all(0 <= i < s for i, s in zip(q, spatial, strict=True)):
                inside.append(float(x[(n, c, *q)]))
        y[(n, c, *p)] = over(np.array(inside), padded)
    return y


CASES: list[tuple[tuple[int, ...], dict[str, Any], tuple[int, ...]]] = [
    # x, attributes, spatial extents of y
    ((1, 1, 6), {"kernel": (2,)}, (5,)),
    ((2, 3, 6), {"kernel": (3,), "strides": (2,), "pads": (1, 1)}, (3,)),
    ((1, 2, 5, 6), {"kernel": (2, 3), "strides": (2, 2)}, (2, 2)),
    ((1, 2, 5, 6), {"kernel": (2, 3), "strides": (2, 2), "ceil_mode": True}, (3, 3)),
    ((1, 2, 5, 5), {"kernel": (3, 3), "strides": (2, 2), "pads": (1,) * 4}, (3, 3)),
    (
        (1, 2, 6, 6),
        {"kernel": (3, 3), "strides": (2, 2), "pads": (1,) * 4, "ceil_mode": True},
        (4, 4),
    ),
    (
        (1, 1, 4, 4),
        {"kernel": (2, 2), "strides": (3, 3), "pads": (0, 0, 1, 1), "ceil_mode": True},
        (2, 2),
    ),
    (
        (1, 1, 3, 3),
        {"kernel": (1, 1), "strides": (3, 3), "pads": (0, 0, 1, 1), "ceil_mode": True},
        (1, 1),
    ),
    ((1, 2, 7, 7), {"kernel": (2, 3), "dilations": (3, 2)}, (4, 3)),
    ((1, 2, 5, 4), {"kernel": (3, 2), "pads": (2, 0, 1, 1), "strides": (1, 2)}, (6, 2)),
    (
        (2, 1, 3, 4, 3),
        {"kernel": (2, 2, 2), "strides": (1, 2, 1), "pads": (0, 0, 1, 0, 0, 0)},
        (2, 2, 3),
    ),
    ((0, 2, 4, 4), {"kernel": (2, 2)}, (3, 3)),
]
table = pytest.mark.parametrize(("shape", "attributes", "extents"), CASES)


@table
def test_max_pool(
    shape: tuple[int, ...], attributes: dict[str, Any], extents: tuple[int, ...]
) -> None:
    op, x = MaxPool(**attributes), draw(*shape)
    (y,) = check(op, x, expect=slow_pool(x, op, lambda inside, _: inside.max()))
    assert y.shape[2:] == extents


@table
@pytest.mark.parametrize("storage_order", [0, 1])
def test_max_pool_with_indices(
    shape: tuple[int, ...], attributes: dict[str, Any], extents: tuple[int, ...], storage_order: int
) -> None:
    op, x = MaxPoolWithIndices(**attributes, storage_order=storage_order), draw(*shape)
    y, indices = check(op, x)
    np.testing.assert_array_equal(y, MaxPool(**attributes).compute(x))
    order = "F" if storage_order else "C"
    flat = np.stack([c.ravel(order) for c in x.reshape(-1, *shape[2:])]) if x.size else x
    np.testing.assert_array_equal(flat.ravel()[indices.ravel()], y.ravel())
    assert y.shape[2:] == extents


def test_the_first_of_equal_maxima_is_meant() -> None:
    x = np.zeros((1, 2, 3, 3), np.float32)
    _, indices = check(MaxPoolWithIndices(kernel=(2, 2), pads=(1, 1, 0, 0)), x)
    np.testing.assert_array_equal(indices[0, 0], [[0, 0, 1], [0, 0, 1], [3, 3, 4]])
    np.testing.assert_array_equal(indices[0, 1], indices[0, 0] + 9)


def test_padding_never_wins_and_nan_always_does() -> None:
    x = np.array([[[-np.inf, -np.inf, np.nan, 1.0]]], np.float32)
    op: dict[str, Any] = {"kernel": (2,), "pads": (1, 0)}
    expected = np.array([[[-np.inf, -np.inf, np.nan, np.nan]]])
    check(MaxPool(**op), x, expect=expected)
    check(MaxPoolWithIndices(**op), x, expect=(expected, [[[0, 0, 2, 2]]]))


@pytest.mark.parametrize("dtype", [DType.I8, DType.U8, DType.I64, DType.F16, DType.BF16, DType.F64])
def test_max_pool_is_exact_in_every_type(dtype: DType) -> None:
    attributes: dict[str, Any] = {"kernel": (3, 3), "strides": (2, 2), "pads": (1,) * 4}
    x, op = draw(1, 2, 6, 6, dtype=dtype), MaxPool(**attributes)
    expected = slow_pool(x, op, lambda inside, _: inside.max())
    (y,) = check(op, x, expect=expected, rtol=0, atol=0)
    maxima, _ = check(MaxPoolWithIndices(**attributes), x)
    np.testing.assert_array_equal(maxima, y)


@table
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_average_pool(
    shape: tuple[int, ...],
    attributes: dict[str, Any],
    extents: tuple[int, ...],
    count_include_pad: bool,
) -> None:
    op, x = AveragePool(**attributes, count_include_pad=count_include_pad), draw(*shape)

    def average(inside: Array, padded: int) -> float:
        return float(inside.sum()) / (padded if count_include_pad else len(inside))

    (y,) = check(op, x, expect=slow_pool(x, op, average))
    assert y.shape[2:] == extents


@table
@pytest.mark.parametrize("p", [1, 2, 3])
def test_lp_pool(
    shape: tuple[int, ...], attributes: dict[str, Any], extents: tuple[int, ...], p: int
) -> None:
    op, x = LpPool(**attributes, p=p), draw(*shape)
    expected = slow_pool(x, op, lambda inside, _: float((np.abs(inside) ** p).sum() ** (1 / p)))
    (y,) = check(op, x, expect=expected)
    assert y.shape[2:] == extents


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16])
def test_average_pool_rounds_once(dtype: DType) -> None:
    x = np.full((1, 1, 64, 64), 1.25).astype(dtype.numpy)  # 4096 of them overflow f16's precision
    check(AveragePool(kernel=(64, 64)), x, expect=[[[[1.25]]]], rtol=0, atol=0)


@given(
    n=st.integers(1, 10),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    begin=st.integers(0, 3),
    end=st.integers(0, 3),
    ceil_mode=st.booleans(),
)
def test_shape_rule_equals_the_computed_shape(
    n: int, kernel: int, stride: int, dilation: int, begin: int, end: int, ceil_mode: bool
) -> None:
    assume(begin + n + end >= (kernel - 1) * dilation + 1)
    attributes: dict[str, Any] = {
        "kernel": (kernel, 1),
        "strides": (stride, 1),
        "dilations": (dilation, 1),
        "pads": (begin, 0, end, 0),
        "ceil_mode": ceil_mode,
    }
    x = draw(1, 1, n, 2)
    for family in (MaxPool, MaxPoolWithIndices, AveragePool, LpPool):
        check(family(**attributes), x)


@pytest.mark.parametrize(
    ("op", "operand", "message"),
    [
        (MaxPool(kernel=(2, 2)), "f32[1, 2, 5]", "x must have rank 4"),
        (MaxPool(kernel=(2, 2)), "bool[1, 2, 5, 5]", "x must be of a number type"),
        (MaxPool(kernel=(2, 2)), "f32[*]", "rank of .* is unknown"),
        (AveragePool(kernel=(2, 2)), "i32[1, 2, 5, 5]", "floating-point"),
        (LpPool(kernel=(2, 2)), "i32[1, 2, 5, 5]", "floating-point"),
        (MaxPool(kernel=(6, 2)), "f32[1, 2, 5, 5]", r"window of \[6, 2\] does not fit"),
        (MaxPool(kernel=(2, 2), pads=(1, 1)), "f32[1, 2, 5, 5]", "pads must have 4 entries"),
    ],
)
def test_what_does_not_fit(op: Op, operand: str, message: str) -> None:
    check_rejected(op, operand, match=message)


@pytest.mark.parametrize(
    ("attributes", "message"), [({"kernel": ()}, "kernel ≥ 1"), ({"kernel": (2, 0)}, "kernel ≥ 1")]
)
def test_bad_attributes(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(OpError, match=message):
        MaxPool(**attributes)


def test_p_must_be_positive() -> None:
    with pytest.raises(OpError, match="p ≥ 1"):
        LpPool(kernel=(2,), p=0)
