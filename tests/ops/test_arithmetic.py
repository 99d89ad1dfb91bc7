"""Arithmetic against Python's own numbers, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.conversion import compute_dtype
from gie_core.ir.dims import symbol
from gie_core.ir.op import Op, OpError, Trait
from gie_core.ir.types import Array, DType
from gie_core.ops import arithmetic as arithmetic_ops
from gie_core.ops import ops_of
from gie_core.ops.arithmetic import (
    Abs,
    Acos,
    Acosh,
    Add,
    And,
    Asin,
    Asinh,
    Atan,
    Atanh,
    BitwiseAnd,
    BitwiseNot,
    BitwiseOr,
    BitwiseXor,
    Cast,
    Ceil,
    Clip,
    Cos,
    Cosh,
    Div,
    Equal,
    Erf,
    Exp,
    Floor,
    Greater,
    GreaterEqual,
    IsInf,
    IsNan,
    Less,
    LessEqual,
    Log,
    Max,
    Min,
    Mod,
    Mul,
    Neg,
    Not,
    Or,
    Pow,
    Reciprocal,
    Round,
    ShiftLeft,
    ShiftRight,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Sub,
    Tan,
    Where,
    Xor,
)
from gie_core.ops.elementwise import Elementwise, broadcast_dims, broadcast_shapes
from gie_core.ops.precision import widen
from gie_core.testing.ops import check, check_rejected, draw

INF, NAN = math.inf, math.nan
Oracle1 = Callable[[Any], Any]
Oracle2 = Callable[[Any, Any], Any]
FLOATS = (DType.F16, DType.BF16, DType.F32, DType.F64)
INTEGERS = tuple(dtype for dtype in DType if dtype.is_integer)


def by_element(function: Callable[..., Any], *arrays: Array) -> Array:
    """``function`` of Python numbers, applied without NumPy."""
    broadcast = np.broadcast_arrays(*arrays)
    columns = (widen(array).ravel().tolist() for array in broadcast)
    flat = [function(*values) for values in zip(*columns, strict=True)]
    return np.array(flat, object).reshape(broadcast[0].shape)


def named(value: Any) -> str:
    return getattr(value, "name", "")


FUNCTIONS: list[tuple[Op, Oracle1, tuple[float, float]]] = [
    # op, oracle, range of x
    (Neg(), lambda x: -x, (-9, 9)),
    (Abs(), abs, (-9, 9)),
    (Floor(), math.floor, (-9, 9)),
    (Ceil(), math.ceil, (-9, 9)),
    (Round(), round, (-9, 9)),
    (Sign(), lambda x: math.copysign(1, x), (-9, 9)),
    (Reciprocal(), lambda x: 1 / x, (0.1, 9)),
    (Sqrt(), math.sqrt, (0, 9)),
    (Exp(), math.exp, (-9, 9)),
    (Log(), math.log, (0.1, 9)),
    (Erf(), math.erf, (-3, 3)),
    (Sin(), math.sin, (-9, 9)),
    (Cos(), math.cos, (-9, 9)),
    (Tan(), math.tan, (-1.5, 1.5)),
    (Asin(), math.asin, (-1, 1)),
    (Acos(), math.acos, (-1, 1)),
    (Atan(), math.atan, (-9, 9)),
    (Sinh(), math.sinh, (-5, 5)),
    (Cosh(), math.cosh, (-5, 5)),
    (Asinh(), math.asinh, (-9, 9)),
    (Acosh(), math.acosh, (1, 9)),
    (Atanh(), math.atanh, (-0.9, 0.9)),
]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("op", "oracle", "bounds"), FUNCTIONS, ids=named)
def test_functions_of_floats(
    op: Op, oracle: Oracle1, bounds: tuple[float, float], dtype: DType
) -> None:
    x = np.linspace(*bounds, 32).astype(np.float32).astype(dtype.numpy).reshape(4, 8)
    x = np.clip(x.astype(np.float64), *bounds).astype(dtype.numpy)
    check(op, x, expect=by_element(oracle, x).astype(np.float64))


BINARY: list[tuple[Op, Oracle2]] = [
    (Add(), lambda a, b: a + b),
    (Sub(), lambda a, b: a - b),
    (Mul(), lambda a, b: a * b),
    (Min(), min),
    (Max(), max),
    (Mod(), lambda a, b: a % b),
    (Mod(fmod=True), math.fmod),
    (Equal(), lambda a, b: a == b),
    (Less(), lambda a, b: a < b),
    (LessEqual(), lambda a, b: a <= b),
    (Greater(), lambda a, b: a > b),
    (GreaterEqual(), lambda a, b: a >= b),
]


FLOAT_BINARY: list[tuple[Op, Oracle2]] = [*BINARY, (Div(), lambda a, b: a / b)]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("op", "oracle"), FLOAT_BINARY)
def test_binary_of_floats(op: Op, oracle: Oracle2, dtype: DType) -> None:
    a, b = draw(3, 1, 8, dtype=dtype), draw(4, 1, dtype=dtype, seed=1)
    wanted = by_element(oracle, a, b)
    check(op, a, b, expect=wanted.astype(bool if isinstance(wanted.flat[0], bool) else np.float64))


def wrapped(value: int, dtype: DType) -> int:
    """The low bits of an exact integer."""
    value &= (1 << dtype.bits) - 1
    return value - (1 << dtype.bits) if dtype.is_signed and value >> (dtype.bits - 1) else value


def low_bits(values: Array, dtype: DType) -> Array:
    numbers = [wrapped(int(value), dtype) for value in values.ravel().tolist()]
    return np.array(numbers, compute_dtype(dtype)).astype(dtype.numpy).reshape(values.shape)


def shifted(a: int, b: int, dtype: DType) -> int:
    """a moved up by b > 0 or down by -b, with any distance."""
    distance = min(abs(b), 64)
    return wrapped(a << distance if b > 0 else a >> distance, dtype)


def quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


INTEGER_BINARY: list[tuple[Op, Oracle2]] = [
    (Div(), quotient),
    (BitwiseAnd(), lambda a, b: a & b),
    (BitwiseOr(), lambda a, b: a | b),
    (BitwiseXor(), lambda a, b: a ^ b),
]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize(("op", "oracle"), [*BINARY, *INTEGER_BINARY])
def test_binary_of_integers(op: Op, oracle: Oracle2, dtype: DType) -> None:
    a, b = draw(64, dtype=dtype), draw(64, dtype=dtype, seed=1)
    if isinstance(op, Div | Mod):
        b = np.where(b == 0, np.ones_like(b), b).astype(b.dtype)
    wanted = by_element(oracle, a, b)
    if isinstance(wanted.flat[0], bool):
        check(op, a, b, expect=wanted.astype(bool))
    else:
        check(op, a, b, expect=low_bits(wanted, dtype))


INTEGER_UNARY: list[tuple[Op, Oracle1]] = [
    (Neg(), lambda x: -x),
    (Abs(), abs),
    (Sign(), lambda x: (x > 0) - (x < 0)),
    (BitwiseNot(), lambda x: ~x),
]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize(("op", "oracle"), INTEGER_UNARY)
def test_unary_of_integers(op: Op, oracle: Oracle1, dtype: DType) -> None:
    x = draw(32, dtype=dtype)
    check(op, x, expect=low_bits(by_element(oracle, x), dtype))


@pytest.mark.parametrize("dtype", [d for d in INTEGERS if d.bits >= 8], ids=str)
def test_shifts_by_any_distance(dtype: DType) -> None:
    b = np.array([0, 1, 2, 7, 8, 31, 63, 64, 100]).astype(dtype.numpy)
    if dtype.is_signed:
        b = np.concatenate((b, np.array([-1, -100], dtype.numpy)))
    a = draw(16, 1, dtype=dtype)

    def oracle(up: int) -> Oracle2:
        # A negative distance moves everything out, as one that is too large does.
        return lambda x, y: shifted(x, up * (y if y >= 0 else 64), dtype)

    check(ShiftLeft(), a, b, expect=by_element(oracle(1), a, b).astype(dtype.numpy))
    check(ShiftRight(), a, b, expect=by_element(oracle(-1), a, b).astype(dtype.numpy))


SPECIAL: list[tuple[Op, tuple[Any, ...], Any]] = [
    # op, operands (f32 unless they are arrays), expected
    (Round(), ([0.5, 1.5, 2.5, -0.5, -2.5, INF, NAN],), [0, 2, 2, -0.0, -2, INF, NAN]),
    (Sign(), ([0.0, -0.0, NAN, -INF],), [0, 0, NAN, -1]),
    (Sqrt(), ([-1.0, -0.0],), [NAN, -0.0]),
    (Log(), ([0.0, -1.0],), [-INF, NAN]),
    (Div(), ([1.0, -1.0, 0.0], [0.0]), [INF, -INF, NAN]),
    (Min(), ([NAN, 1.0, 0.0], [1.0, NAN, -0.0]), [NAN, NAN, -0.0]),
    (Max(), ([NAN, 1.0, -0.0], [1.0, NAN, 0.0]), [NAN, NAN, 0.0]),
    (Mod(), ([5.5, -5.5, 5.5, -5.5], [2.0, 2.0, -2.0, -2.0]), [1.5, 0.5, -0.5, -1.5]),
    (Mod(fmod=True), ([5.5, -5.5, 5.5, -5.5], [2.0, 2.0, -2.0, -2.0]), [1.5, -1.5, 1.5, -1.5]),
    (Mod(), ([INF, 1.0, 1.0, -1.0], [1.0, 0.0, INF, INF]), [NAN, NAN, 1, INF]),
    (Mod(fmod=True), ([INF, 1.0, -1.0], [1.0, 0.0, INF]), [NAN, NAN, -1]),
    (IsNan(), ([NAN, INF, 0.0],), [True, False, False]),
    (IsInf(), ([NAN, INF, -INF],), [False, True, True]),
    (IsInf(negative=False), ([NAN, INF, -INF],), [False, True, False]),
    (IsInf(positive=False), ([NAN, INF, -INF],), [False, False, True]),
    (IsInf(positive=False, negative=False), ([NAN, INF, -INF],), [False, False, False]),
    (Equal(), ([NAN, 0.0], [NAN, -0.0]), [False, True]),
    (Pow(), ([2.0, 4.0, -8.0, 0.0], [3.0, 0.5, 3.0, 0.0]), [8, 2, -512, 1]),
    (Clip(), ([-2.0, 0.5, 2.0, NAN], -1.0, 1.0), [-1, 0.5, 1, NAN]),
    (Clip(), ([-2.0, 0.5, 2.0], None, 1.0), [-2, 0.5, 1]),
    (Clip(), ([-2.0, 0.5, 2.0], -1.0), [-1, 0.5, 2]),
    (Clip(), ([-2.0, 0.5, 2.0],), [-2, 0.5, 2]),
    (Clip(), ([-2.0, 0.5, 2.0], 1.0, -1.0), [-1, -1, -1]),  # low > high gives high
]


@pytest.mark.parametrize(("op", "operands", "expected"), SPECIAL, ids=named)
def test_special_values(op: Op, operands: tuple[Any, ...], expected: Any) -> None:
    arrays = [None if o is None else np.array(o, np.float32) for o in operands]
    (y,) = check(op, *arrays, expect=expected, rtol=1e-6, atol=0)
    zeros = np.asarray(expected, np.float64) == 0
    if y.dtype != bool:
        assert (np.signbit(y) == np.signbit(expected))[zeros].all(), "the sign of a zero"


POWERS = [
    # dtype of a, dtype of b, a, b, expected
    ("i32", "f32", [2, 3, -2], [0.5, -1, 3], [1, 0, -8]),
    ("i32", "i64", [2, -1, 3, 7], [-1, -3, 4, 0], [0, -1, 81, 1]),
    ("i64", "u8", [2, -3], [40, 3], [2**40, -27]),
    ("i8", "i8", [2, 3, -1, 1], [7, 5, -1, -5], [-128, -13, -1, 1]),  # 128 and 243 wrap
    ("f32", "i32", [2, 0.5, -1.5], [3, -2, 2], [8, 4, 2.25]),
    ("f16", "f32", [2, 9], [0.5, 0.5], [1.4142, 3]),
    ("f32", "f64", [2, 9], [0.5, 0.5], [1.4142136, 3]),
]


@pytest.mark.parametrize(("base", "exponent", "a", "b", "expected"), POWERS)
def test_pow_of_mixed_types(base: str, exponent: str, a: Any, b: Any, expected: Any) -> None:
    x = np.array(a, DType(base).numpy)
    (y,) = check(Pow(), x, np.array(b, DType(exponent).numpy), expect=expected)
    assert y.dtype == x.dtype


@pytest.mark.parametrize(
    ("op", "table"), [(And(), "FFFT"), (Or(), "FTTT"), (Xor(), "FTTF"), (Equal(), "TFFT")]
)
def test_logic(op: Op, table: str) -> None:
    a, b = np.array([False, False, True, True]), np.array([False, True, False, True])
    check(op, a, b, expect=[letter == "T" for letter in table])


def test_not() -> None:
    check(Not(), np.array([True, False]), expect=[False, True])


@pytest.mark.parametrize("dtype", [DType.F32, DType.BF16, DType.I4, DType.BOOL, DType.U64], ids=str)
def test_where(dtype: DType) -> None:
    condition, a, b = draw(3, 1, dtype=DType.BOOL), draw(3, 4, dtype=dtype), draw(4, dtype=dtype)
    wanted = [a[row] if chosen else b for row, (chosen,) in enumerate(condition)]
    check(Where(), condition, a, b, expect=np.array(wanted))


CASTS: list[tuple[Op, str, Any, Any]] = [
    # op, from, x, expected
    (Cast(to=DType.I32), "f32", [1.9, -1.9, 2.5], [1, -1, 2]),
    (Cast(to=DType.I32, rounding="rne"), "f32", [1.9, 0.5, 1.5], [2, 0, 2]),
    (Cast(to=DType.I32, rounding="floor"), "f32", [-1.1], [-2]),
    (Cast(to=DType.I32, rounding="ceil"), "f32", [-1.9], [-1]),
    (Cast(to=DType.I8), "i16", [200, -129, 300], [-56, 127, 44]),
    (Cast(to=DType.U4), "i8", [17, -1], [1, 15]),
    (Cast(to=DType.I4), "u8", [8, 15, 7], [-8, -1, 7]),
    (Cast(to=DType.BOOL), "f32", [0.0, -0.0, 0.1, NAN], [False, False, True, True]),
    (Cast(to=DType.F32), "bool", [True, False], [1, 0]),
    (Cast(to=DType.F16), "f32", [1e6, -1e6, 1.0], [INF, -INF, 1]),
    (Cast(to=DType.F8E4M3), "f32", [1e6, -INF, NAN, 17.0], [448, -448, NAN, 16]),
    (Cast(to=DType.F8E4M3, saturate=False), "f32", [1e6, INF, 18.0], [NAN, NAN, 18]),
    (Cast(to=DType.F8E5M2), "f32", [1e6, INF], [57344, 57344]),
    (Cast(to=DType.F8E5M2, saturate=False), "f32", [1e6, INF], [INF, INF]),
    (Cast(to=DType.F32), "f32", [1.5], [1.5]),
]


@pytest.mark.parametrize(("op", "source", "x", "expected"), CASTS)
def test_cast(op: Op, source: str, x: Any, expected: Any) -> None:
    check(op, np.array(x, DType(source).numpy), expect=expected, rtol=0, atol=0)


# ── Shape and type rules ────────────────────────────────────────────────────────────

extents = st.sampled_from([0, 1, 1, 2, 3])


@given(shape=st.lists(extents, max_size=4), data=st.data())
def test_broadcast_like_numpy(shape: list[int], data: st.DataObject) -> None:
    kept = shape[data.draw(st.integers(0, len(shape))) :]
    other = [data.draw(st.sampled_from([extent, 1])) for extent in kept]
    a, b = draw(*shape), draw(*other, seed=1)
    assert broadcast_shapes(a.shape, b.shape) == np.broadcast_shapes(a.shape, b.shape)
    # Of two symbols, the rule says that 0 does not meet 1.
    symbolic = 0 not in shape
    check(Add(), a, b, expect=a + b, symbolic=symbolic)
    check(Sub(), b, a, expect=b - a, symbolic=symbolic)


def test_broadcast_of_symbols() -> None:
    n, m = symbol("n"), symbol("m")
    assert broadcast_dims(n, 1) == n
    assert broadcast_dims(1, n) == n
    assert broadcast_dims(n, n) == n
    assert broadcast_dims(n, 4) == 4
    assert str(broadcast_dims(n, m)) == "max(m, n)"


REJECTED: list[tuple[Op, tuple[str, ...], str]] = [
    (Add(), ("f32[3]", "f32[4]"), r"add: shapes \[3\] and \[4\] do not broadcast: extents 3 and 4"),
    (
        Add(),
        ("f32[3]", "i32[3]"),
        r"add: not defined for f32\[3\], i32\[3\]: '\+' needs",
    ),
    (Add(), ("bool[3]", "bool[3]"), r"'\+' takes integers or floats, not bool"),
    (Add(), ("str[3]", "str[3]"), "no values of type str"),
    (Add(), ("f32[*]", "f32[3]"), r"the rank of f32\[\*\] is unknown"),
    (And(), ("i32[3]", "i32[3]"), "'and' takes bool, not i32"),
    (BitwiseAnd(), ("f32[3]", "f32[3]"), "'&' takes integers, not f32"),
    (Floor(), ("i32[3]",), "'floor' takes floats, not i32"),
    (Where(), ("f32[3]", "f32[3]", "f32[3]"), "the condition of 'select' is f32"),
    (Clip(), ("f32[3]", "f64[]"), "needs operands of one type"),
    (Cast(to=DType.STR), ("f32[3]",), "cast: not defined"),
]


@pytest.mark.parametrize(("op", "types", "message"), REJECTED)
def test_rejects(op: Op, types: tuple[str, ...], message: str) -> None:
    check_rejected(op, *types, match=message)


def test_cast_knows_its_roundings() -> None:
    with pytest.raises(OpError, match="'rounding' of cast is 'up'; it must be one of 'rne', 'rtz'"):
        Cast(to=DType.I8, rounding="up")


COMMUTING = [op for op in ops_of(arithmetic_ops) if Trait.COMMUTATIVE in op.traits]


@pytest.mark.parametrize("op", COMMUTING, ids=named)
def test_commutative_ops_commute(op: type[Op]) -> None:
    dtype = DType.BOOL if op.name in ("and", "or", "xor") else DType.I8
    a, b = draw(40, dtype=dtype), draw(40, dtype=dtype, seed=1)
    check(op(), a, b, expect=check(op(), b, a)[0])


def test_an_op_without_formula_says_so() -> None:
    class Nameless(Elementwise):
        pass

    with pytest.raises(NotImplementedError, match="Nameless must define formula"):
        Nameless().formula(DType.F32)
