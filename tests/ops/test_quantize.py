"""Quantization against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.conversion import integer_range
from gie_core.ir.expr import Param
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType
from gie_core.ops.precision import widen
from gie_core.ops.quantize import Dequantize, Quantize
from gie_core.testing.ops import check, check_rejected, draw

INTEGERS = tuple(DType(name) for name in ["u8", "i8", "u16", "i16", "u4", "i4", "u2", "i2"])
FLOATS = tuple(DType(name) for name in ["f8e4m3", "f8e5m2", "f8e4m3uz", "f8e5m2uz", "f4e2m1"])


def scales(*shape: int) -> Array:
    """Powers of two, so that the division is exact and ties occur."""
    return 2.0 ** np.random.default_rng(0).integers(-2, 3, shape).astype(np.float32)


def points(to: DType, *shape: int) -> Array:
    low, high = integer_range(to)
    return np.random.default_rng(1).integers(low, high, shape, endpoint=True).astype(to.numpy)


def scale_index(at: tuple[int, ...], axis: int | None, block: int) -> tuple[int, ...]:
    """Where the scale of an element stands."""
    if axis is None:
        return ()
    if not block:
        return (at[axis],)
    return (*at[:axis], at[axis] // block, *at[axis + 1 :])


LAYOUTS: list[tuple[int | None, int, tuple[int, ...]]] = [
    # axis, block, shape of the scale for x [3, 5, 4]
    (None, 0, ()),
    (0, 0, (3,)),
    (1, 0, (5,)),
    (2, 0, (4,)),
    (1, 2, (3, 3, 4)),
    (1, 5, (3, 1, 4)),
    (2, 1, (3, 5, 4)),
]


@pytest.mark.parametrize("to", INTEGERS, ids=str)
@pytest.mark.parametrize(("axis", "block", "shape"), LAYOUTS)
def test_quantize(axis: int | None, block: int, shape: tuple[int, ...], to: DType) -> None:
    x = np.round(draw(3, 5, 4) * 2.0 ** (to.bits - 2), 1)
    x = np.round(x * 8) / 8  # some of them ties
    scale, point = scales(*shape), points(to, *shape)
    low, high = integer_range(to)
    y = np.empty(x.shape, np.int64)
    for at in np.ndindex(*x.shape):
        where = scale_index(at, axis, block)
        quotient = Fraction(float(x[at])) / Fraction(float(scale[where]))
        y[at] = min(max(round(quotient) + int(point[where]), low), high)  # halves go to even
    op = Quantize(to=to, axis=axis, block=block)
    check(op, x, scale, point, expect=y.astype(to.numpy), symbolic=False)


@pytest.mark.parametrize("source", [*INTEGERS, DType.I32], ids=str)
@pytest.mark.parametrize(("axis", "block", "shape"), LAYOUTS)
def test_dequantize(axis: int | None, block: int, shape: tuple[int, ...], source: DType) -> None:
    x, scale, point = draw(3, 5, 4, dtype=source), scales(*shape), points(source, *shape)
    if source is DType.I32:
        point = np.zeros_like(point)  # as ONNX demands
    y = np.empty(x.shape)
    for at in np.ndindex(*x.shape):
        where = scale_index(at, axis, block)
        y[at] = (int(x[at]) - int(point[where])) * float(scale[where])
    op = Dequantize(axis=axis, block=block)
    check(op, x, scale, point, expect=y, rtol=0, atol=0, symbolic=False)


@pytest.mark.parametrize("to", FLOATS, ids=str)
def test_quantize_to_small_floats(to: DType) -> None:
    x = draw(40) * 100
    nearest = np.unique(widen(np.arange(1 << to.bits, dtype=np.uint8).view(to.numpy)))
    nearest = nearest[np.isfinite(nearest)].astype(np.float64)
    (y,) = check(Quantize(to=to, axis=None), x, np.float32(2))
    errors = np.abs(widen(y).astype(np.float64)[:, None] - x[:, None] / 2)
    assert (errors[:, 0] <= np.abs(nearest - x[:, None] / 2).min(axis=1)).all()
    (restored,) = check(Dequantize(axis=None), y, np.float32(2))
    assert (restored == widen(y) * 2).all()
    zero_point = np.ones((), to.numpy)
    (shifted,) = check(Dequantize(axis=None), y, np.float32(2), zero_point)
    assert (shifted == (widen(y) - 1) * 2).all()


SATURATION: list[tuple[Op, list[float], list[float]]] = [
    (Quantize(), [1e9, -1e9, np.inf, -np.inf, np.nan], [255, 0, 255, 0, 0]),
    (Quantize(to=DType.I4), [1e9, -1e9], [7, -8]),
    (Quantize(to=DType.U2), [1e9, -1e9], [3, 0]),
    (Quantize(to=DType.F8E4M3), [1e9, -1e9, np.nan], [448, -448, np.nan]),
    (Quantize(to=DType.F8E4M3, saturate=False), [1e9], [np.nan]),
    (Quantize(to=DType.F8E5M2, saturate=False), [1e9, -1e9], [np.inf, -np.inf]),
]


@pytest.mark.parametrize(("op", "x", "expected"), SATURATION)
def test_saturation(op: Op, x: list[float], expected: list[float]) -> None:
    check(op, np.array(x, np.float32), np.float32(1), expect=expected, rtol=0, atol=0)


@given(
    x=st.integers(-40, 40), half=st.sampled_from([DType.F16, DType.BF16]), point=st.integers(0, 255)
)
def test_f16_scales_divide_in_their_own_type(x: int, half: DType, point: int) -> None:
    scale = np.array(0.3).astype(half.numpy)
    value = np.array([x / 4], half.numpy)
    quotient = float((widen(value) / widen(scale)).astype(half.numpy)[0])
    wanted = min(max(round(quotient) + point, 0), 255)
    check(Quantize(), value, scale, np.uint8(point), expect=[wanted])


MIXED: list[tuple[str, str, str]] = [
    # x, scale, to
    ("i8", "f16", "f16"),
    ("i8", "f32", "f16"),
    ("u16", "f16", "f32"),
    ("u16", "bf16", "bf16"),
    ("i8", "f64", "f64"),
]


@pytest.mark.parametrize(("source", "scale", "to"), MIXED)
def test_dequantize_rounds_once(source: str, scale: str, to: str) -> None:
    x, s = draw(30, dtype=DType(source)), np.array(0.37).astype(DType(scale).numpy)
    exact = x.astype(np.float64) * float(s)
    wide = exact if to == "f64" else exact.astype(np.float32)
    check(Dequantize(to=DType(to)), x, s, expect=wide.astype(DType(to).numpy), rtol=0, atol=0)


def test_one_scale_has_any_rank() -> None:
    x = np.array([[1.0, 5.0]], np.float32)
    check(Quantize(), x, np.array([2], np.float32), np.array([3], np.uint8), expect=[[3, 5]])
    check(Quantize(axis=7), x, np.float32(2), expect=[[0, 2]])
    check(Dequantize(axis=0), np.array([7], np.uint8), np.array([2], np.float32), expect=[14])


def test_quantize_without_a_zero_point() -> None:
    check(Quantize(to=DType.I8), np.array([-3, 2.5], np.float32), np.float32(1), expect=[-3, 2])


def test_integers_are_quantized() -> None:
    check(Quantize(), np.array([10, 300], np.int32), np.float32(2), expect=[5, 150])


def test_expression_only_where_operands_broadcast() -> None:
    x, scale = Param("x", DType.F32), Param("s", DType.F32)
    assert str(Quantize(axis=None).expression(x, scale)) == "u8(round(x / s), sat)"
    assert Quantize(axis=1).expression(x, scale) is None
    q, zero = Param("q", DType.U8), Param("z", DType.U8)
    text = str(Dequantize(axis=None).expression(q, scale, zero))
    assert text == "f32(i32(q) - i32(z)) * s"


REJECTED: list[tuple[Op, tuple[str, ...], str]] = [
    (Quantize(), ("f32[2, 3]", "f32[4]"), r"scale must have shape \[3\], got f32\[4\]"),
    (Quantize(axis=2), ("f32[2, 3]", "f32[3]"), "axis 2 does not exist"),
    (Quantize(axis=None), ("f32[2, 3]", "f32[3]"), "the scale must have one element"),
    (Quantize(axis=None), ("f32[]", "f32[1]"), "has more dimensions than"),
    (Quantize(block=2), ("f32[2, 5]", "f32[2, 2]"), r"scale must have shape \[2, 3\]"),
    (Quantize(), ("f32[2, 3]", "f32[]", "i8[]"), "zero_point must be of type u8"),
    (Quantize(), ("f32[2, 3]", "f32[3]", "u8[2]"), r"zero_point must have shape \[3\]"),
    (Quantize(), ("f32[2]", "i32[]"), "scale must be of a floating-point type"),
    (Quantize(to=DType.STR), ("f32[2]", "f32[]"), r"cannot quantize f32\[2\] to str"),
    (Dequantize(), ("bool[2]", "f32[]"), "cannot dequantize bool"),
    (Dequantize(to=DType.I8), ("u8[2]", "f32[]"), "to i8"),
]


@pytest.mark.parametrize(("op", "types", "message"), REJECTED)
def test_rejects(op: Op, types: tuple[str, ...], message: str) -> None:
    check_rejected(op, *types, match=message)


@pytest.mark.parametrize(("axis", "block"), [(1, -1), (None, 2)])
def test_rejects_blocks(axis: int | None, block: int) -> None:
    with pytest.raises(OpError, match=f"a block of {block} along axis {axis} does not exist"):
        Quantize(axis=axis, block=block)
