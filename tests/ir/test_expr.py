"""Expressions and programs as data: construction, typing, walking and rebuilding."""

from __future__ import annotations

import copy
import gc
import math
import re
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from gie_core.errors import GieError
from gie_core.ir.expr import (
    Cast,
    Expr,
    ExprTypeError,
    Literal,
    Param,
    Parameter,
    Program,
    axes_of,
    call,
    cast,
    count_nodes,
    is_exact,
    params_of,
    rename,
    substitute,
    substitute_all,
    walk,
)
from gie_core.ir.expr_text import parse_expr, parse_program
from gie_core.ir.expr_types import FUNCTIONS
from gie_core.ir.types import DType

SPECIFICATION = Path(__file__).parents[2] / "docs" / "pointwise.md"

F32, F16, BF16, I8, U8, I32, BOOL = (
    DType.F32,
    DType.F16,
    DType.BF16,
    DType.I8,
    DType.U8,
    DType.I32,
    DType.BOOL,
)
x, y = Param("x", F32), Param("y", F32)
h, i, b = Param("h", F16), Param("i", I8), Param("b", BOOL)


def chain(length: int) -> Expr:
    expr: Expr = x
    for _ in range(length):
        expr = call("exp", expr)
    return expr


def test_equal_expressions_are_one_object() -> None:
    assert call("+", x, Literal(1, F32)) is call("+", Param("x", F32), Literal(1.0, F32))
    assert cast(x, I8, "rtz") is cast(x, I8)
    assert call("+", x, y) is not call("+", y, x)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (Literal(math.nan, F32), Literal(-math.nan, F32), True),
        (Literal(0.0, F32), Literal(-0.0, F32), False),
        (Literal(0.1, F32), Literal(0.1 + 1e-10, F32), True),  # rounded to f32
        (Literal(0.1, F16), Literal(0.1, F32), False),
        (Literal(1, I8), Literal(1, U8), False),
        (Literal(1e10, F16), Literal(math.inf, F16), True),
        (Literal(math.inf, DType.F8E4M3), Literal(math.nan, DType.F8E4M3), True),
        (Literal(10**400, F32), Literal(math.inf, F32), True),
    ],
)
def test_literals(a: Literal, b: Literal, same: bool) -> None:
    assert (a is b) == same


def test_copies_are_the_same_object() -> None:
    expr = call("+", x, y)
    assert copy.copy(expr) is expr
    assert copy.deepcopy([expr]) == [expr]


def test_unused_expressions_are_freed_however_deep() -> None:
    nodes = [weakref.ref(node) for node in walk([chain(100_000)])]
    gc.collect()
    kept = [node() for node in nodes if node() is not None]
    # x is the module's; exp(x), if some other test made it, belongs to the op of that formula.
    assert kept in ([x], [x, call("exp", x)])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: call("+", x, h),
            "'+' needs operands of one type, not f32 and f16; cast explicitly",
        ),
        (lambda: call("+", b, b), "'+' takes integers or floats, not bool"),
        (lambda: call("and", i, i), "'and' takes bool, not i8"),
        (lambda: call("&", x, x), "'&' takes integers, not f32"),
        (lambda: call("exp", i), "'exp' takes floats, not i8"),
        (lambda: call("exp", x, x), "'exp' takes 1 operand, not 2"),
        (lambda: call("select", b, x), "'select' takes 3 operands, not 2"),
        (
            lambda: call("select", x, x, x),
            "the condition of 'select' is f32; compare it to get a bool",
        ),
        (lambda: call("select", b, x, h), "'select' needs operands of one type, not f32 and f16"),
        (lambda: call("sqr", x), "there is no function 'sqr'; did you mean 'sqrt'?"),
        (lambda: Param("or", F32), "'or' cannot name a parameter"),
        (lambda: Param("2x", F32), "'2x' cannot name a parameter"),
        (lambda: Param("x", DType.C64), "pointwise expressions have no values of type c64"),
        (lambda: Cast(x, F32), "the argument of a cast to f32 already has that type"),
        (lambda: cast(x, DType.STR), "pointwise expressions have no values of type str"),
        (lambda: cast(x, I8, "up"), "there is no rounding 'up'; use one of rne, rtz, floor, ceil"),
        (lambda: cast(i, F16, "floor"), "an integer becomes f16 by rne only, not floor"),
        (lambda: Literal(0.5, I8), "0.5 is not a value of type i8; write an integer"),
        (lambda: Literal(128, I8), "128 is outside the range of i8, -128 to 127"),
        (lambda: Literal(-1, U8), "-1 is outside the range of u8, 0 to 255"),
        (lambda: Literal(True, F32), "true is not a value of type f32"),
        (lambda: Literal(1, BOOL), "a bool is true or false, not 1"),
    ],
)
def test_ill_typed_expressions_cannot_be_built(build: Callable[[], Expr], message: str) -> None:
    with pytest.raises(ExprTypeError) as caught:
        build()
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, GieError)


@pytest.mark.parametrize(
    ("given", "same_as"),
    [
        (cast(x, F32), x),
        (cast(i, I32, "rne", saturate=True), cast(i, I32)),  # every i8 fits
        (cast(Param("u", U8), I8, saturate=True), cast(Param("u", U8), I8, "rne", saturate=True)),
        (cast(h, F32, "floor"), cast(h, F32)),  # widening rounds nothing
        (cast(x, BOOL, "ceil", saturate=True), cast(x, BOOL)),
        (cast(b, U8, saturate=True), cast(b, U8)),
    ],
)
def test_casts_are_normalized(given: Expr, same_as: Expr) -> None:
    assert given is same_as


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("x + 1", F32),
        ("x < 1", BOOL),
        ("isnan(h)", BOOL),
        ("b == true", BOOL),
        ("select(b, i, 3)", I8),
        ("i << 1", I8),
        ("bf16(h)", BF16),
    ],
)
def test_result_types(text: str, dtype: DType) -> None:
    assert parse_expr(text, {"x": F32, "h": F16, "b": BOOL, "i": I8}).dtype is dtype


def test_walk_visits_each_node_once_operands_first() -> None:
    expr: Expr = x
    for _ in range(200):  # 2**200 paths
        expr = call("+", expr, expr)
    nodes = list(walk([expr, x]))
    assert len(nodes) == 201
    assert nodes[0] is x
    assert nodes[-1] is expr


def test_substitute() -> None:
    expr = parse_expr("x * y + x", {"x": F32, "y": F32})
    swapped = substitute(expr, {"x": y, "y": x})  # all at once
    assert swapped is parse_expr("y * x + y", {"x": F32, "y": F32})
    assert rename(expr, {"x": "y", "y": "x"}) is swapped
    assert substitute(expr, {}) is expr
    deep = substitute(chain(5000), {"x": chain(5000)})
    assert deep is chain(10_000)
    casted = substitute(cast(x, I8, "rne", saturate=True), {"x": y})
    assert casted is cast(y, I8, "rne", saturate=True)


def test_substitute_several() -> None:
    first, second = substitute_all((call("neg", x), x), {"x": y})
    assert (first, second) == (call("neg", y), y)


def test_substitute_checks_types() -> None:
    with pytest.raises(ExprTypeError, match="parameter 'x' is f32, its replacement f16"):
        substitute(call("neg", x), {"x": h})


def test_params_of() -> None:
    assert params_of(parse_expr("y + x * y", {"x": F32, "y": F32})) == {"y": F32, "x": F32}
    with pytest.raises(ExprTypeError, match="parameter 'x' is both f32 and f16"):
        params_of(x, Param("x", F16))


@pytest.mark.parametrize(
    ("text", "nodes", "exact"),
    [
        ("x", 0, True),
        ("x * x + 1.0", 2, True),
        ("(x + y) * (x + y)", 2, True),
        ("exp(x)", 1, False),
        ("pow(x, y)", 1, False),
        ("pow(i, 2)", 1, True),  # integers
        ("i8(round(x))", 2, True),
    ],
)
def test_count_and_exactness(text: str, nodes: int, exact: bool) -> None:
    expr = parse_expr(text, {"x": F32, "y": F32, "i": I8})
    assert count_nodes(expr) == nodes
    assert is_exact(expr) == exact


def parameter(name: str, *index: str | int, dtype: DType = F32) -> Parameter:
    return Parameter(name, dtype, index)


def test_axes_of() -> None:
    assert axes_of([parameter("s", 1, "c"), parameter("x", "n", "c")]) == ("c", "n")


@pytest.mark.parametrize(
    ("params", "axes", "results", "message"),
    [
        ((parameter("x"), parameter("x")), (), (x,), "the parameter 'x' is declared twice"),
        ((parameter("x", "n"),), ("n", "n"), (x,), "the axis 'n' is declared twice"),
        ((parameter("x", "n"),), (), (x,), "'n' in the index of 'x' is no axis of the program"),
        ((parameter("x", 2),), (), (x,), "2 in the index of 'x' is no axis of the program"),
        ((parameter("x", "n", "n"),), ("n",), (x,), "axis 'n' occurs twice in the index of 'x'"),
        (
            (parameter("x", "n"),),
            ("n", "c"),
            (x,),
            "no parameter has axis 'c', so its extent is unknown",
        ),
        ((parameter("x"),), (), (), "a program needs at least one result"),
        ((parameter("x"),), (), (y,), "the results use 'y', which is no parameter"),
        ((parameter("x", dtype=F16),), (), (x,), "'x' is declared f16 but used as f32"),
        ((parameter("x", "over"),), ("over",), (x,), "'over' cannot name a axis"),
    ],
)
def test_invalid_programs(
    params: tuple[Parameter, ...], axes: tuple[str, ...], results: tuple[Expr, ...], message: str
) -> None:
    with pytest.raises(ExprTypeError) as caught:
        Program(params, axes, results)
    assert str(caught.value).startswith(message)


def test_programs_compare_by_value() -> None:
    text = "(x[n,1]: f32, s[]: f16) -> (x * f32(s), x)"
    assert parse_program(text) == parse_program(text)
    assert hash(parse_program(text)) == hash(parse_program(text))
    assert parse_program(text) != parse_program(text.replace("x)", "-x)"))
    assert str(parse_program(text)) == text
    assert repr(call("neg", x)) == "<Apply f32: -x>"


def test_the_specification_lists_every_function() -> None:
    """A row of its table: functions in backticks, kinds, "bool" for a predicate, exactness."""
    section = SPECIFICATION.read_text(encoding="utf-8").partition("## Functions")[2]
    found: dict[str, tuple[set[str], bool, bool]] = {}
    for row in re.findall(r"^\| `.*$", section.partition("## Casts")[0], re.MULTILINE):
        _, examples, kinds, result, exact, *_ = re.split(r"(?<!\\)\|", row)
        declared = set(re.findall(r"\b[bif]\b", kinds)), "bool" in result, "yes" in exact
        found |= {function_in(code): declared for code in re.findall(r"`([^`]+)`", examples)}
    assert found == {f.name: (set(f.kinds), f.predicate, f.exact) for f in FUNCTIONS.values()}


def function_in(example: str) -> str:
    """The function that is shown: a call (``abs(a)``), an operator (``a + b``), or the name."""
    called = re.fullmatch(r"(\w+)(\(.*\))?", example)
    operator = re.fullmatch(r"(?:a )?(\S+?) ?[ab]", example.replace("\\|", "|"))
    name = (called or operator or [example, example])[1]
    return "neg" if example == "-a" else name
