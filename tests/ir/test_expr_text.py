"""The text form of pointwise expressions and programs."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.errors import GieError
from gie_core.ir.expr import Expr, Literal, Param, Program, call
from gie_core.ir.expr_text import format_expr, format_program, parse_expr, parse_program
from gie_core.ir.types import DType
from gie_core.testing.expressions import DTYPES, literal_values, programs

PARAMS = {
    **dict.fromkeys(("x", "y", "z", "max"), DType.F32),
    **dict.fromkeys(("i", "j"), DType.I8),
    **dict.fromkeys(("b", "c"), DType.BOOL),
    "h": DType.F16,
}


@given(programs())
def test_programs_round_trip(program: Program) -> None:
    text = format_program(program)
    assert parse_program(text) == program
    assert "\n" not in text


@given(st.sampled_from(DTYPES).flatmap(lambda d: literal_values(d).map(lambda v: Literal(v, d))))
def test_literals_round_trip(literal: Literal) -> None:
    assert parse_expr(format_expr(literal), {}) is literal


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "x + y - z",
        "x - (y + z)",
        "x * (y + z) / y",
        "x / (y / z)",
        "-x * y",
        "-(x * y)",
        "--x",
        "x - -y",
        "-(-x + y)",
        "x // y % z",
        "~i & j | i ^ ~(i | j)",
        "i << 1 >> j",
        "i << (1 >> j)",
        "i & 3 == j",
        "x < y and y < z or b xor not c",
        "not (b and c)",
        "not not b",
        "(not b) == c",
        "(x < y) == (y < z)",
        "b == true",
        "max(x, 0.0)",
        "max + 1.0",  # a parameter may be called like a function
        "select(x > 0.0, x, -0.5)",
        "select(b, f32(1.0), 2.0)",
        "fmod(x, 2.0) % 3.0",
        "-f32(1.0)",
        "exp(f32(-1.0))",
        "x * -1.0",
        "-1.0 - x",
        "x + inf - nan * y * -inf",
        "i + -128",
        "f32(h) + x",
        "f16(f32(0.5))",
        "i8(x, rne, sat)",
        "i8(x, sat)",
        "i8(x)",
        "f16(x, floor)",
        "bf16(x + y)",
        "h * 0.1",
        "x * 1e-05 + 100000.0 - 1e+20",
        "let t0 = x + y; t0 * t0",
        "let t0 = exp(x); let t1 = t0 + y; t1 / (t0 - t1)",
        "isnan(x) or isinf(x)",
        "pow(x, 2.0)",
    ],
)
def test_canonical(text: str) -> None:
    """These are what the printer writes."""
    assert format_expr(parse_expr(text, PARAMS)) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("max(x,0)", "max(x, 0.0)"),
        ("((x))", "x"),
        ("x+y*z", "x + y * z"),
        ("(x * y) + z", "x * y + z"),
        ("1 / x", "1.0 / x"),
        (".5e1 * x", "5.0 * x"),
        ("0.10000000149 * x", "0.1 * x"),
        ("-(1) + x", "-1.0 + x"),
        ("f32(1)", "f32(1.0)"),
        ("f32(x)", "x"),
        ("i8(x, rtz)", "i8(x)"),
        ("neg(x)", "-x"),
        ("x * x", "x * x"),
        ("(x + y) * (x + y)", "let t0 = x + y; t0 * t0"),
        ("let a = x + y; a", "x + y"),
        ("let a = x; let unused = y; a", "x"),
        ("\n x\t+ y ", "x + y"),
    ],
)
def test_read_more_than_is_written(text: str, canonical: str) -> None:
    assert format_expr(parse_expr(text, PARAMS)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "(x[n,c,h,w]: f32, s[c]: f32) -> max(x * s, 0.0)",
        "(s[c]: f32, x[n,c]: f32) over [n,c] -> x * s",
        "(x[]: f32) -> x",
        "() -> f32(0.5)",
        "(x[1,n,1]: i4) -> (x, f32(x), x)",
        "(x[n]: f32, t0[n]: f32) -> let t1 = x * t0; (t1 + 1.0, t1)",
        "(x[n]: f32) -> ((x + 1.0) * 2.0, 3.0 * (x - 1.0))",
        "(x[n]: f32) -> (x + 1.0) * (2.0 - x)",
        "(x[n]: f32, mask[n]: bool) -> select(mask, x, 0.0)",
    ],
)
def test_canonical_programs(text: str) -> None:
    assert format_program(parse_program(text)) == text


def test_order_of_axes_is_printed_only_where_needed() -> None:
    given = "(x[n,c]: f32) over [n,c] -> x"
    assert format_program(parse_program(given)) == "(x[n,c]: f32) -> x"
    assert parse_program(given.replace("[n,c] ->", "[c,n] ->")).axes == ("c", "n")


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("x +", 4, "the text ends too early"),
        ("x $ y", 3, "unexpected character '$'"),
        ("x y", 3, "unexpected 'y' after the expression"),
        ("(x", 3, "expected ')', not 'the end'"),
        ("w + x", 1, "there is no name 'w' here"),
        ("maxx + x", 1, "there is no name 'maxx' here; did you mean 'max'?"),
        ("sqr(x)", 1, "there is no function 'sqr'; did you mean 'sqrt'?"),
        ("foo(1)", 1, "there is no function 'foo'; did you mean 'floor'?"),
        ("select(1, x, y)", 1, "the condition of 'select' is f32; compare it to get a bool"),
        ("x + " + "y" * 401, 5, "a name is longer than 400 characters"),
        ("max(x)", 1, "'max' takes 2 operands, not 1"),
        ("x + h", 3, "'+' needs operands of one type, not f32 and f16; cast explicitly"),
        ("x + b", 3, "'+' needs operands of one type, not f32 and bool; cast explicitly"),
        ("i + 0.5", 5, "0.5 is not a value of type i8; write an integer"),
        ("i + 300", 5, "300 is outside the range of i8, -128 to 127"),
        ("1", 1, "the type of 1 is unknown; write for example f32(1)"),
        ("exp(1)", 1, "no operand of 'exp' has a type; write for example f32(1)"),
        ("x * (1 + 2)", 8, "no operand of '+' has a type; write for example f32(2)"),
        ("x < y < z", 7, "comparisons do not chain; join them by 'and'"),
        ("b == not c", 6, "put parentheses around 'not' and its operand"),
        (
            "i8(x, up)",
            5,
            "after the value of a cast come a rounding (rne, rtz, floor, ceil) and sat",
        ),
        ("i8(x, sat, rne)", 10, "after the value of a cast come a rounding"),
        ("f16(i, floor)", 1, "an integer becomes f16 by rne only, not floor"),
        ("f32(1, sat)", 6, "expected ')', not ','"),
        ("c64(x)", 1, "pointwise expressions have no values of type c64"),
        ("let x = y; x", 5, "the name 'x' is already taken"),
        ("let a = 1; a", 9, "the type of 1 is unknown"),
        ("let a = x", 10, "expected ';', not 'the end'"),
        ("x + " + "1" * 401, 5, "a number is longer than 400 characters"),
        ("+x", 1, "expected an expression, not '+'"),
        ("and(b, c)", 1, "expected an expression, not 'and'"),
        ("", 1, "the text ends too early"),
    ],
)
def test_errors(text: str, column: int, message: str) -> None:
    with pytest.raises(GieError) as caught:
        parse_expr(text, PARAMS)
    assert str(caught.value).startswith(f"pointwise text, column {column}: {message}")


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("x", 1, "expected '(', not 'x'"),
        ("(x: f32) -> x", 3, "expected '[', not ':'"),
        ("(x[n]: f33) -> x", 8, "'f33' is not an element type; did you mean 'f32'?"),
        ("(x[n]: c64) -> x", 8, "pointwise expressions have no values of type c64"),
        ("(x[2]: f32) -> x", 4, "expected an axis or 1, not '2'"),
        ("(x[n]: f32, x[n]: f32) -> x", 13, "the parameter 'x' is declared twice"),
        ("(let[n]: f32) -> x", 2, "expected a parameter, not 'let'"),
        ("(x[n,n]: f32) -> x", 1, "axis 'n' occurs twice in the index of 'x'"),
        ("(x[n]: f32) over [n,c] -> x", 1, "no parameter has axis 'c', so its extent is unknown"),
        ("(x[n]: f32) x", 13, "expected '->', not 'x'"),
        ("(x[n]: f32) -> (x, 1)", 20, "the type of 1 is unknown"),
        ("(x[n]: f32) -> (x, x", 21, "expected ')', not 'the end'"),
        ("(x[n]: f32) -> (x,)", 19, "expected an expression, not ')'"),
    ],
)
def test_program_errors(text: str, column: int, message: str) -> None:
    with pytest.raises(GieError) as caught:
        parse_program(text)
    assert str(caught.value).startswith(f"pointwise text, column {column}: {message}")


# ── Size and depth ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("function", ["exp", "neg"])
def test_deep_expressions_round_trip(function: str) -> None:
    expr: Expr = Param("x", DType.F32)
    for _ in range(3000):
        expr = call(function, expr)
    assert parse_expr(format_expr(expr), PARAMS) is expr


def test_widely_shared_expressions_stay_small() -> None:
    expr: Expr = Param("x", DType.F32)
    for _ in range(300):  # 2**300 paths
        expr = call("+", expr, expr)
    text = format_expr(expr)
    assert len(text) < 300 * 30
    assert parse_expr(text, PARAMS) is expr


@pytest.mark.parametrize("function", ["-", "+", "=="])
def test_deepest_parentheses_that_are_written_can_be_read(function: str) -> None:
    expr: Expr = Param("b", DType.BOOL) if function == "==" else Param("i", DType.I8)
    leaf = expr
    for _ in range(100):
        expr = call(function, leaf, expr)
    text = format_expr(expr)
    assert "(" * 2 in text.replace(f"{leaf} {function} ", "")
    assert parse_expr(text, PARAMS) is expr


@pytest.mark.parametrize(
    "text",
    ["(" * 10_000, "-" * 10_000 + "x", "not " * 5000 + "b", "exp(" * 5000, "x" + "[" * 10_000],
)
def test_nested_rubbish_is_refused(text: str) -> None:
    for parse in (lambda: parse_expr(text, PARAMS), lambda: parse_program(text)):
        with pytest.raises(GieError):
            parse()


def test_a_long_flat_expression_is_read() -> None:
    assert parse_expr("+".join("x" * 20_000), PARAMS).dtype is DType.F32


def test_text_beyond_the_limit_is_refused() -> None:
    with pytest.raises(GieError, match="the text is longer than"):
        parse_expr(" " * (1 << 23), PARAMS)


_PIECES = st.sampled_from(
    [
        "(",
        ")",
        "[",
        "]",
        ",",
        ";",
        ":",
        "->",
        "x",
        "n",
        "1",
        "0.5",
        "f32",
        "i8",
        "let",
        "over",
        "+",
        "-",
        "*",
        "/",
        "not",
        "select",
        "==",
        "=",
        "and",
        "é",
    ]
)


@given(st.lists(_PIECES, max_size=30).map(" ".join) | st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (lambda: parse_expr(text, PARAMS), lambda: parse_program(text)):
        with contextlib.suppress(GieError):
            parse()


@given(programs(), st.data())
def test_damaged_programs_are_read_or_refused(program: Program, data: st.DataObject) -> None:
    text = format_program(program)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    try:
        damaged = parse_program(text[:start] + text[end:])
    except GieError:
        return
    assert parse_program(format_program(damaged)) == damaged
