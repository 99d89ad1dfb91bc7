"""The pointwise op: its shape rule and its errors; the language is tested in tests/ir."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.expr_text import parse_program
from gie_core.ops.pointwise import Pointwise
from gie_core.testing.ops import check, check_rejected, draw, tensor_type

SCALE = parse_program("(x[n,c,h]: f32, s[c]: f32) -> x * s")
BOTH = parse_program("(a[i]: f32, b[j]: f32) -> (a + b, a < b)")
OUTER = parse_program("(a[i]: f32, b[j]: f32) over [j,i] -> a * b")
FLAT = parse_program("(x[n,1]: f32, y[1,n]: f32) -> x - y")


@given(n=st.integers(0, 3), c=st.integers(0, 3), h=st.integers(0, 3))
def test_broadcast_by_name(n: int, c: int, h: int) -> None:
    x, s = draw(n, c, h), draw(c, seed=1)
    wanted = np.empty((n, c, h), np.float32)
    for at in np.ndindex(n, c, h):
        wanted[at] = x[at] * s[at[1]]
    check(Pointwise(program=SCALE), x, s, expect=wanted)


def test_several_results() -> None:
    a, b = draw(2), draw(3, seed=1)
    sums = [[p + q for q in b] for p in a]
    check(Pointwise(program=BOTH), a, b, expect=(sums, [[p < q for q in b] for p in a]))


def test_order_of_axes() -> None:
    a, b = draw(2), draw(3, seed=1)
    check(Pointwise(program=OUTER), a, b, expect=[[p * q for p in a] for q in b])


def test_dimensions_of_extent_1() -> None:
    x, y = draw(4, 1), draw(1, 4, seed=1)
    wanted = [p - q for p, q in zip(x.flat, y.flat, strict=True)]
    check(Pointwise(program=FLAT), x, y, expect=wanted)


@pytest.mark.parametrize(
    ("x", "s", "expected"),
    [
        ("f32[b, 3, h]", "f32[3]", "f32[b, 3, h]"),
        ("f32[b, c, h]", "f32[3]", "f32[b, 3, h]"),
        ("f32[2*b, c, h]", "f32[c]", "f32[2*b, c, h]"),
    ],
)
def test_symbolic_shapes(x: str, s: str, expected: str) -> None:
    (y,) = Pointwise(program=SCALE).infer(tensor_type(x), tensor_type(s))
    assert str(y) == expected


@pytest.mark.parametrize(
    ("operands", "message"),
    [
        (("f32[2, 3, 4]",), "the program has 2 parameters, but got 1 operands"),
        (("f32[2, 3, 4]", "f32[4]"), "the extents of axis c must be equal, not 3 and 4"),
        (("f32[2, 3, 4]", "f32[1]"), "the extents of axis c must be equal, not 3 and 1"),
        (("f32[2, 3]", "f32[3]"), r"parameter x\[n,c,h\]: f32 cannot take a f32\[2, 3\]"),
        (("f32[2, 3, 4]", "f16[3]"), r"parameter s\[c\]: f32 cannot take a f16\[3\]"),
    ],
)
def test_rejects(operands: tuple[str, ...], message: str) -> None:
    check_rejected(Pointwise(program=SCALE), *operands, match=message)


def test_rejects_an_extent_where_1_is_written() -> None:
    check_rejected(
        Pointwise(program=FLAT), "f32[4, 2]", "f32[1, 4]", match="must be equal, not 1 and 2"
    )
