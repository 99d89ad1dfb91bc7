"""Matrix products and einsum against sums of products in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType
from gie_core.ops.linear import Einsum, Gemm, Matmul, MatmulInteger
from gie_core.testing.ops import check, check_rejected, draw

PRODUCTS = [
    ((3, 4), (4, 5), (3, 5)),
    ((4,), (4,), ()),
    ((4,), (4, 5), (5,)),
    ((3, 4), (4,), (3,)),
    ((2, 3, 4), (4, 5), (2, 3, 5)),
    ((2, 3, 4), (2, 4, 5), (2, 3, 5)),
    ((7, 1, 3, 4), (2, 4, 5), (7, 2, 3, 5)),
    ((4,), (2, 4, 5), (2, 5)),
    ((2, 3, 4), (4,), (2, 3)),
    ((3, 0), (0, 5), (3, 5)),
]


def slow_product(a: Array, b: Array) -> Array:
    """Sum of products over the inner axis, without ``matmul``; operands of rank ≥ 2."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(axis=-2)


@pytest.mark.parametrize(("a_shape", "b_shape", "y_shape"), PRODUCTS)
@pytest.mark.parametrize("dtype", [DType.F32, DType.F64, DType.I32])
def test_matmul(
    a_shape: tuple[int, ...], b_shape: tuple[int, ...], y_shape: tuple[int, ...], dtype: DType
) -> None:
    a, b = draw(*a_shape, dtype=dtype), draw(*b_shape, dtype=dtype, seed=1)
    row = a.astype(float)[None, :] if a.ndim == 1 else a.astype(float)
    column = b.astype(float)[:, None] if b.ndim == 1 else b.astype(float)
    check(Matmul(), a, b, expect=slow_product(row, column).reshape(y_shape))


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16])
def test_matmul_rounds_once(dtype: DType) -> None:
    a, b = draw(3, 400, dtype=dtype), draw(400, 2, dtype=dtype, seed=1)
    exact = slow_product(a.astype(float), b.astype(float))
    half_ulp = {DType.F16: 2.0**-11, DType.BF16: 2.0**-8}[dtype]
    check(Matmul(), a, b, expect=exact, rtol=1.01 * half_ulp, atol=1e-5)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("c_shape", [None, (), (5,), (1, 5), (3, 1), (3, 5)])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, -2.0)])
def test_gemm(
    transpose_a: bool,
    transpose_b: bool,
    c_shape: tuple[int, ...] | None,
    alpha: float,
    beta: float,
) -> None:
    a, b = draw(3, 4), draw(4, 5)
    c = None if c_shape is None else draw(*c_shape)
    op = Gemm(alpha=alpha, beta=beta, transpose_a=transpose_a, transpose_b=transpose_b)
    expected = alpha * slow_product(a.astype(float), b.astype(float))
    if c is not None:
        expected = expected + beta * c.astype(float)
    check(op, a.T if transpose_a else a, b.T if transpose_b else b, c, expect=expected)


def test_gemm_of_integers_is_exact() -> None:
    a, b = np.array([[2**62, 3]]), np.array([[1], [2**53 + 1]])
    check(Gemm(alpha=2.0), a, b, np.array([7]), expect=[[2**63 - 2**64 + 3 * 2**54 + 6 + 7]])


@pytest.mark.parametrize("a_type", [DType.U8, DType.I8])
@pytest.mark.parametrize("b_type", [DType.U8, DType.I8])
@pytest.mark.parametrize(
    ("a_shape", "b_shape", "a_point", "b_point"),
    [
        ((3, 4), (4, 5), None, None),
        ((3, 4), (4, 5), (), ()),
        ((3, 4), (4, 5), (1,), (1,)),
        ((3, 4), (4, 5), (3,), (5,)),
        ((2, 3, 4), (2, 4, 5), (2, 3, 1), (2, 1, 5)),
        ((2, 3, 4), (4, 5), (3,), None),
        ((4,), (4, 5), (), (5,)),
    ],
)
def test_matmul_integer(
    a_type: DType, b_type: DType, a_shape: Any, b_shape: Any, a_point: Any, b_point: Any
) -> None:
    a, b = draw(*a_shape, dtype=a_type), draw(*b_shape, dtype=b_type, seed=1)
    points = [
        None if shape is None else draw(*shape, dtype=dtype, seed=2)
        for shape, dtype in ((a_point, a_type), (b_point, b_type))
    ]
    wide_a, wide_b = a.astype(float), b.astype(float)
    if points[0] is not None:
        rows = points[0][:, None] if len(a_point) == 1 else points[0]
        wide_a = wide_a - rows.astype(float)
    if points[1] is not None:
        wide_b = wide_b - points[1].astype(float)
    expected = slow_product(wide_a if a.ndim > 1 else wide_a[None], wide_b)
    check(MatmulInteger(), a, b, *points, expect=expected if a.ndim > 1 else expected[0])


def test_matmul_integer_does_not_overflow_in_between() -> None:
    """2**17 products of 255·255 exceed 32 bits and wrap."""
    a = np.full((1, 2**17), 255, np.uint8)
    check(MatmulInteger(), a, a.T, expect=[[(255 * 255 * 2**17 + 2**31) % 2**32 - 2**31]])


def slow_einsum(equation: str, *xs: Array) -> Array:
    """Loops over every label; explicit equations without ellipsis only."""
    left, result = equation.split("->")
    terms = left.split(",")
    extents: dict[str, int] = {}
    for term, x in zip(terms, xs, strict=True):
        extents.update(zip(term, x.shape, strict=True))
    y = np.zeros([extents[c] for c in result])
    for at in np.ndindex(*extents.values()):
        of = dict(zip(extents, at, strict=True))
        factors = (x[tuple(of[c] for c in t)] for t, x in zip(terms, xs, strict=True))
        y[tuple(of[c] for c in result)] += np.prod([float(f) for f in factors])
    return y


@pytest.mark.parametrize(
    ("equation", "explicit", "shapes"),
    [
        # as given, the same spelled out, operands
        ("ij,jk->ik", "ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij, jk -> ik", "ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij,jk", "ij,jk->ik", [(2, 3), (3, 4)]),
        ("ba", "ba->ab", [(2, 3)]),
        ("bA", "bA->Ab", [(2, 3)]),
        ("ij->", "ij->", [(2, 3)]),
        ("ii->i", "ii->i", [(3, 3)]),
        ("ii", "ii->", [(3, 3)]),
        ("i,j->ij", "i,j->ij", [(2,), (3,)]),
        ("...ij,...jk->...ik", "bij,bjk->bik", [(5, 2, 3), (5, 3, 4)]),
        ("i...j->j...", "iabj->jab", [(2, 3, 4, 5)]),
        ("...ij,jk", "bij,jk->bik", [(5, 2, 3), (3, 4)]),
        ("bhwc,hkc->bhwk", "bhwc,hkc->bhwk", [(2, 3, 2, 4), (3, 2, 4)]),
        ("ab,bc,cd->ad", "ab,bc,cd->ad", [(2, 3), (3, 2), (2, 4)]),
    ],
)
def test_einsum(equation: str, explicit: str, shapes: list[tuple[int, ...]]) -> None:
    xs = [draw(*shape, seed=index) for index, shape in enumerate(shapes)]
    check(Einsum(equation=equation), *xs, expect=slow_einsum(explicit, *xs))


def test_einsum_broadcasts_under_the_ellipsis() -> None:
    a, b = draw(5, 1, 2, 3), draw(4, 3, 2)
    expected = slow_einsum("xyij,xyjk->xyik", np.tile(a, (1, 4, 1, 1)), np.tile(b, (5, 1, 1, 1)))
    check(Einsum(equation="...ij,...jk->...ik"), a, b, expect=expected)


@pytest.mark.parametrize("dtype", [DType.I8, DType.I64, DType.F64, DType.F16])
def test_einsum_keeps_the_type(dtype: DType) -> None:
    a, b = draw(2, 3, dtype=dtype), draw(3, 4, dtype=dtype)
    (y,) = check(Einsum(equation="ij,jk->ik"), a, b)
    (expected,) = check(Matmul(), a, b)
    np.testing.assert_array_equal(y, expected)


@given(
    batch_a=st.lists(st.integers(1, 3), max_size=2),
    batch_b=st.lists(st.integers(1, 3), max_size=2),
    m=st.integers(0, 3),
    k=st.integers(0, 3),
    n=st.integers(0, 3),
)
def test_shape_rule_equals_numpys(
    batch_a: list[int], batch_b: list[int], m: int, k: int, n: int
) -> None:
    a, b = np.ones((*batch_a, m, k), np.float32), np.ones((*batch_b, k, n), np.float32)
    try:
        expected = np.matmul(a, b)
    except ValueError:
        with pytest.raises(OpError, match="do not broadcast"):
            check(Matmul(), a, b)
        return
    check(Matmul(), a, b, expect=expected)


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (Matmul(), ["f32[2, 3]", "f32[4, 5]"], "a and b must be equal, not 3 and 4"),
        (Matmul(), ["f32[2, 3]", "f64[3, 5]"], "b must be of type f32"),
        (Matmul(), ["bool[2, 3]", "bool[3, 5]"], "a must be of a number type"),
        (Matmul(), ["f32[]", "f32[3, 5]"], "a must have rank 1 or more"),
        (Matmul(), ["f32[2, 1, 3]", "f32[3, 3, 5]"], "do not broadcast"),
        (Gemm(), ["f32[2, 3]", "f32[4, 5]"], "inner extents"),
        (Gemm(transpose_a=True), ["f32[2, 3]", "f32[3, 5]"], "inner extents"),
        (Gemm(), ["f32[2, 3]", "f32[3, 5]", "f32[3, 5]"], r"c must broadcast to \[2, 5\]"),
        (Gemm(), ["f32[1, 3]", "f32[3, 5]", "f32[2, 5]"], r"c must broadcast to \[1, 5\]"),
        (Gemm(), ["f32[1, 2, 3]", "f32[3, 5]"], "a must have rank 2"),
        (Gemm(alpha=0.5), ["i32[2, 3]", "i32[3, 5]"], "whole numbers"),
        (MatmulInteger(), ["i16[2, 3]", "u8[3, 5]"], "a must be of type i8 or u8"),
        (
            MatmulInteger(),
            ["u8[2, 3]", "u8[3, 5]", "u8[3]"],
            "a_zero_point must broadcast",
        ),
        (MatmulInteger(), ["u8[2, 3]", "u8[3, 5]", None, "u8[2]"], "b_zero_point must broadcast"),
        (Einsum(equation="ij,jk->ik"), ["f32[2, 3]"], "2 terms, but got 1"),
        (Einsum(equation="ij,jk->ik"), ["f32[2, 3]", "f32[4, 5]"], "label 'j'"),
        (Einsum(equation="ij->i"), ["f32[2, 3, 4]"], "'ij' of .* does not fit"),
        (Einsum(equation="ij->k"), ["f32[2, 3]"], "must name the terms' labels"),
        (Einsum(equation="ij->ii"), ["f32[2, 3]"], "each once"),
        (Einsum(equation="...ij->ij"), ["f32[4, 2, 3]"], "must have '...'"),
    ],
)
def test_what_does_not_fit(op: Op, operands: list[str | None], message: str) -> None:
    check_rejected(op, *operands, match=message)


@pytest.mark.parametrize("equation", ["i1->i", "ij->k->l", "i....j", "->i->", "i,j;k"])
def test_bad_equations(equation: str) -> None:
    with pytest.raises(OpError, match="is not an einsum equation"):
        Einsum(equation=equation)
