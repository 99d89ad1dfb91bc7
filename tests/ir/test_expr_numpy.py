"""The NumPy evaluator of the pointwise language, against exact scalar arithmetic."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from gie_core.errors import GieError
from gie_core.ir.conversion import compute_dtype, integer_range
from gie_core.ir.expr import Expr, Literal, Param, Parameter, Program, call, cast
from gie_core.ir.expr_numpy import Evaluator, evaluate_expr, evaluate_program
from gie_core.ir.expr_text import parse_expr, parse_program
from gie_core.ir.expr_types import FUNCTIONS, Function, kind_of
from gie_core.ir.numpy_functions import NUMPY_FUNCTIONS
from gie_core.ir.types import Array, DType
from gie_core.testing.expressions import DTYPES, literal_values, programs
from gie_core.testing.scalar import evaluate_scalar

FLOATS = tuple(dtype for dtype in DTYPES if dtype.is_float)
INTEGERS = tuple(dtype for dtype in DTYPES if dtype.is_integer)


def array(values: Sequence[float | int | bool], dtype: DType) -> Array:
    with np.errstate(all="ignore"):
        return np.array(values, compute_dtype(dtype)).astype(dtype.numpy)


def numbers(stored: Array, dtype: DType) -> list[bool | int | float]:
    with np.errstate(all="ignore"):  # signalling NaNs
        return stored.astype(compute_dtype(dtype)).ravel().tolist()


def identical(a: float, b: float) -> bool:
    """Equal, the sign of zero included; any NaN equals any other."""
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    return type(a) is type(b) and a == b and math.copysign(1, a) == math.copysign(1, b)


def check_against_scalars(expr: Expr, arrays: dict[str, Array]) -> None:
    """Compare at every point of operands of one shape."""
    stored = evaluate_expr(expr, arrays)
    assert stored.dtype == expr.dtype.numpy
    columns = {name: numbers(a, DType.of(a.dtype)) for name, a in arrays.items()}
    for point, actual in enumerate(numbers(stored, expr.dtype)):
        operands = {name: column[point] for name, column in columns.items()}
        expected = evaluate_scalar(expr, operands)
        assert identical(actual, expected), f"{expr} at {operands}: {actual}, not {expected}"


def grid(dtype: DType) -> Array:
    """Every value of a small type; special and extreme values of a large one."""
    if dtype is DType.BOOL:
        return np.array([False, True])
    if dtype.is_integer and dtype.bits <= 4:
        low, high = integer_range(dtype)
        return array(range(low, high + 1), dtype)
    if dtype.is_integer:
        low, high = integer_range(dtype)
        near = [0, 1, 2, 3, 5, 7, dtype.bits - 1, dtype.bits, low, low + 1, high - 1, high]
        return array([*near, *(-n for n in near[1:7] if low)], dtype)
    if dtype.bits <= 8:
        return (
            np.arange(1 << dtype.bits)
            .astype(np.uint8)
            .view(dtype.numpy)[:: 7 if dtype.bits == 8 else 1]
        )
    info = [0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 0.1, 7.3, 1e4, 1e-4, 60000.0, 3e38, 1e-40, np.inf]
    return array([*info, *(-v for v in info), np.nan], dtype)


EXACT = [f for f in FUNCTIONS.values() if f.exact or f.name == "pow"]


@pytest.mark.parametrize(
    ("function", "dtype"),
    [
        pytest.param(f, dtype, id=f"{f.name} {dtype}")
        for f in EXACT
        for dtype in DTYPES
        if kind_of(dtype) in f.kinds and (f.exact or dtype.is_integer) and f.name != "select"
    ],
)
def test_exact_functions(function: Function, dtype: DType) -> None:
    """The cast shows what a further operation would see: a result that is rounded or wrapped."""
    values, a, b = grid(dtype), Param("a", dtype), Param("b", dtype)
    if function.arity == 1:
        check_against_scalars(cast(call(function.name, a), DType.F64), {"a": values})
        return
    pairs = {"a": np.repeat(values, values.size), "b": np.tile(values, values.size)}
    check_against_scalars(cast(call(function.name, a, b), DType.F64), pairs)
    # A literal operand takes other paths than an array.
    for value in numbers(values, dtype)[::9]:
        literal = Literal(value, dtype)
        check_against_scalars(call(function.name, a, literal), {"a": values})
        check_against_scalars(call(function.name, literal, a), {"a": values})


@pytest.mark.parametrize("name", ["sqrt", "floor", "ceil", "trunc", "round", "neg", "abs", "sign"])
def test_every_f16(name: str) -> None:
    values = np.arange(1 << 16).astype(np.uint16).view(np.float16)[::7]
    check_against_scalars(call(name, Param("a", DType.F16)), {"a": values})


REFERENCE: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log1p": np.log1p,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "erf": special.erf,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16, DType.F32], ids=str)
@pytest.mark.parametrize("name", REFERENCE)
def test_transcendental_functions(name: str, dtype: DType) -> None:
    """Within some units in the last place of float64's result."""
    x = np.concatenate([np.linspace(-4, 4, 161), [1e-3, -1e-3, np.inf, -np.inf, np.nan]])
    stored = array(x.tolist(), dtype)
    with np.errstate(all="ignore"):
        expected = REFERENCE[name](stored.astype(np.float64))
    actual = evaluate_expr(call(name, Param("x", dtype)), {"x": stored}).astype(np.float64)
    unit = {DType.F16: 2.0**-11, DType.BF16: 2.0**-8, DType.F32: 2.0**-24}[dtype]
    np.testing.assert_allclose(
        actual, expected, rtol=unit if dtype.bits < 32 else 8 * unit, atol=1e-7
    )


def test_power() -> None:
    base, exponent = np.meshgrid([0.0, 0.5, 2.0, -2.0, np.inf, np.nan], [0.0, 1.0, -2.0, 0.5, 3.0])
    expr = parse_expr("pow(x, y)", {"x": DType.F64, "y": DType.F64})
    with np.errstate(all="ignore"):
        expected = np.power(base, exponent)
    np.testing.assert_allclose(evaluate_expr(expr, {"x": base, "y": exponent}), expected)


def test_every_function_is_computed_and_tested() -> None:
    assert NUMPY_FUNCTIONS.keys() == FUNCTIONS.keys()
    transcendental = {name for name, function in FUNCTIONS.items() if not function.exact}
    assert transcendental == {*REFERENCE, "pow"}


def operand_values(dtype: DType, count: int) -> st.SearchStrategy[list[bool | int | float]]:
    """Values that the type has."""
    rounded = literal_values(dtype).map(lambda value: Literal(value, dtype).value)
    return st.lists(rounded, min_size=count, max_size=count)


@given(programs(exact=True), st.data())
def test_random_programs(program: Program, data: st.DataObject) -> None:
    """At random points, all operands broadcast to one shape."""
    count = data.draw(st.integers(1, 3))
    arrays = {
        param.name: array(data.draw(operand_values(param.dtype, count)), param.dtype)
        for param in program.params
    }
    for result in program.results:
        check_against_scalars(result, arrays)


@given(programs(), st.data())
def test_programs_over_named_axes(program: Program, data: st.DataObject) -> None:
    """A program equals its expressions on operands that are spread over the iteration space."""
    extents = dict(zip("nch", data.draw(st.tuples(*[st.integers(0, 3)] * 3)), strict=True))
    seed = data.draw(st.integers(0, 99))
    arrays = [random_operand(param, extents, seed) for param in program.params]
    shape = tuple(extents[axis] for axis in program.axes)
    expanded = {
        param.name: expand(a, param, program.axes, shape)
        for param, a in zip(program.params, arrays, strict=True)
    }
    for actual, result in zip(evaluate_program(program, arrays), program.results, strict=True):
        assert actual.shape == shape
        assert actual.flags.c_contiguous
        assert not any(np.may_share_memory(actual, operand) for operand in arrays)
        expected = np.broadcast_to(evaluate_expr(result, expanded), shape)
        assert all(map(identical, numbers(actual, result.dtype), numbers(expected, result.dtype)))


def random_operand(param: Parameter, extents: dict[str, int], seed: int) -> Array:
    shape = tuple(1 if axis == 1 else extents[str(axis)] for axis in param.index)
    values = np.random.default_rng(seed).normal(scale=3, size=shape)
    return evaluate_expr(parse_expr(f"{param.dtype}(x, sat)", {"x": DType.F64}), {"x": values})


def expand(operand: Array, param: Parameter, axes: Sequence[str], shape: tuple[int, ...]) -> Array:
    """By index arithmetic: the element of the operand that belongs to each point."""
    points = np.indices(shape)
    index = tuple(0 if axis == 1 else points[axes.index(str(axis))] for axis in param.index)
    return np.broadcast_to(operand[index], shape)


@pytest.mark.parametrize(
    ("text", "shapes", "shape"),
    [
        ("(x[n,c,h,w]: f32, s[c]: f32) -> x * s", [(2, 3, 4, 5), (3,)], (2, 3, 4, 5)),
        ("(x[n,c]: f32, y[c,n]: f32) -> x - y", [(2, 3), (3, 2)], (2, 3)),
        ("(y[c,n]: f32, x[n,c]: f32) over [n,c] -> x - y", [(3, 2), (2, 3)], (2, 3)),
        ("(x[1,n,1]: f32) -> x", [(1, 4, 1)], (4,)),
        ("(x[n]: f32, y[c]: f32) -> (x, y, f32(1.0))", [(2,), (3,)], (2, 3)),
        ("(x[]: f32) -> -x", [()], ()),
        ("() -> f32(0.5)", [], ()),
        ("(x[n,c]: f32) -> x + 1.0", [(0, 3)], (0, 3)),
    ],
)
def test_shapes(text: str, shapes: list[tuple[int, ...]], shape: tuple[int, ...]) -> None:
    arrays = [np.ones(s, np.float32) for s in shapes]
    for result in evaluate_program(parse_program(text), arrays):
        assert isinstance(result, np.ndarray)
        assert result.shape == shape


@pytest.mark.parametrize(
    ("text", "shapes", "message"),
    [
        ("(x[n]: f32) -> x", [], "the program takes 1 operands, not 0"),
        ("(x[n]: f32) -> x", [(2, 2)], "operand x[n]: f32 has rank 2, not 1"),
        ("(x[1]: f32) -> x", [(2,)], "operand x[1]: f32 has extent 2 where its index has 1"),
        (
            "(x[n]: f32, y[n]: f32) -> x + y",
            [(2,), (1,)],
            "axis 'n' has extent 2 in operand 'x' but 1 in operand 'y'",
        ),
        ("(x[n]: f16) -> x", [(2,)], "parameter 'x' is f16, but its array is float32"),
    ],
)
def test_operands_that_do_not_fit(text: str, shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(GieError) as caught:
        evaluate_program(parse_program(text), [np.ones(s, np.float32) for s in shapes])
    assert str(caught.value) == message


def test_a_missing_parameter() -> None:
    with pytest.raises(GieError, match="parameter 'y' has no array"):
        evaluate_expr(
            parse_expr("x + y", dict.fromkeys("xy", DType.F32)), {"x": np.array([1], np.float32)}
        )


# ── Memory ──────────────────────────────────────────────────────────────────────────


def test_operands_are_not_written_to() -> None:
    x = np.linspace(-2, 2, 9, dtype=np.float32)
    before = x.copy()
    program = parse_program(
        "(x[n]: f32) -> let t0 = x * 2.0; let t1 = -t0; (max(t1 + t0 * t0, 0.0), t0, x, t0)"
    )
    results = evaluate_program(program, [x])
    assert np.array_equal(x, before)
    expected = [np.maximum(-2 * x + 4 * x * x, 0), 2 * x, x, 2 * x]
    for position, result in enumerate(results):
        np.testing.assert_array_equal(result, expected[position])
        others = [x, *results[:position], *results[position + 1 :]]
        assert not any(np.may_share_memory(result, other) for other in others)


def test_memory_is_reused_only_where_the_value_is_dead() -> None:
    """f16 is held in float32, so its cast to f32 shares memory with it."""
    expr = parse_expr("let t = h + 1; let u = f32(t); u * f32(-t)", {"h": DType.F16})
    h = np.arange(4, dtype=np.float16)
    expected = -((h.astype(np.float32) + 1) ** 2)
    np.testing.assert_array_equal(evaluate_expr(expr, {"h": h}), expected)


def test_results_broadcast_over_all_arrays() -> None:
    expr = parse_expr("x", {"x": DType.F32})
    arrays = {"x": np.ones((3,), np.float32), "unused": np.ones((2, 1), np.float32)}
    assert evaluate_expr(expr, arrays).shape == (2, 3)


def test_an_evaluator_is_used_block_by_block() -> None:
    x = np.linspace(-3, 3, 64, dtype=np.float32)
    evaluator = Evaluator([parse_expr("max(exp(x) - x * x, 0)", {"x": DType.F32})])
    whole = evaluator({"x": x})[0]
    blocks = [evaluator({"x": x[start : start + 10]})[0] for start in range(0, 64, 10)]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_deep_and_shared_expressions() -> None:
    deep: Expr = Param("x", DType.F32)
    for _ in range(5000):
        deep = call("neg", deep)
    shared: Expr = Param("x", DType.F32)
    for _ in range(60):  # 2**60 paths
        shared = call("+", shared, shared)
    x = np.array([1.0, -2.0], np.float32)
    np.testing.assert_array_equal(evaluate_expr(deep, {"x": x}), x)
    np.testing.assert_array_equal(evaluate_expr(shared, {"x": x}), x * np.float32(2.0**60))


def test_no_numpy_warning_leaks() -> None:
    params = {"x": DType.F32, "i": DType.I8}
    arrays = {
        "x": np.array([0, -1, 3e38, np.nan], np.float32),
        "i": np.array([0, 127, -128, 1], np.int8),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in ("log(x) / x", "i8(x * x)", "i / (i - i)", "f16(x)", "sqrt(-x)", "u8(x, sat)"):
            evaluate_expr(parse_expr(text, params), arrays)


def test_float32_is_computed_in_float32() -> None:
    """Each operation rounds: 1 + 2⁻²⁴ + 2⁻²⁴ stays 1."""
    expr = parse_expr("x + y + y", dict.fromkeys("xy", DType.F32))
    arrays = {"x": np.array([1], np.float32), "y": np.array([2.0**-24], np.float32)}
    assert evaluate_expr(expr, arrays).tolist() == [1.0]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_relu_of_a_negative_zero_is_a_positive_zero(dtype: DType) -> None:
    expr = parse_expr("max(x, 0)", {"x": dtype})
    assert not np.signbit(
        evaluate_expr(expr, {"x": array([-0.0] * 20, dtype)}).astype(np.float32)
    ).any()
