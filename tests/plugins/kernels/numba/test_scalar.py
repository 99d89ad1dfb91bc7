"""Generated code against the interpreter of the pointwise language."""

from __future__ import annotations

import itertools
from functools import reduce

import numpy as np
import pytest

from gie_core.ir.expr import Expr, Literal, Param, call
from gie_core.ir.expr_numpy import evaluate_expr
from gie_core.ir.expr_parser import parse_expr
from gie_core.ir.types import Array, DType
from gie_kernels_numba.compiled import compiled
from gie_kernels_numba.loops import Numbers, kernel_source, operand
from gie_kernels_numba.scalar import refusal, scalar

F32 = DType.F32
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1.5, 6.0, 7.25, 1e-42, -3e38, np.inf, -np.inf, np.nan]

EXACT = [
    *("x + y", "x - y", "x * y", "x / y", "x // y", "max(x, y)", "min(x, y)"),
    *("max(x, 0.0)", "max(x, -0.0)", "min(x, 0.0)", "min(x, -0.0)", "max(6.0, x)", "min(6.0, x)"),
    *("min(max(x, 0.0), 6.0)", "max(x, inf)", "min(x, -inf)", "max(x, nan)", "max(x, x)"),
    *("-x", "abs(x)", "sign(x)", "floor(x)", "ceil(x)", "trunc(x)", "round(x)", "sqrt(x)"),
    *("x * 0.1 + -0.0", "-0.0 * x", "x * y + x", "f32(1.0) - f32(3.0) + x"),
    *(f"select(x {sign} y, x, 2.0)" for sign in ("==", "!=", "<", "<=", ">", ">=")),
    "select(isnan(x) or isinf(y), y, 1.0)",
    "select(x > y and not isinf(x), y, x)",
    "select((x > 0.0) xor (y > 0.0), y, x)",
    "select((x > 0.0) == (y > 0.0), -y, x)",
    "select(true, x, y)",
]
# text: relative and absolute error
CLOSE = {
    "exp(x)": (2e-7, 2e-45),
    "exp(-abs(x))": (2e-7, 2e-45),
    "tanh(x)": (3e-7, 2e-45),
    "1.0 / (1.0 + exp(-x))": (3e-7, 3e-39),  # 1 / inf is 0
    "rsqrt(abs(x))": (2e-7, 0),
}


def expression(text: str) -> Expr:
    return parse_expr(text, {"x": F32, "y": F32, "i": F32})


def run(expr: Expr, arrays: dict[str, Array]) -> Array:
    """Generated code for arrays of one length."""
    result = np.empty_like(arrays["x"])
    operands = [operand(f"a{n}", array) for n, array in enumerate(arrays.values())]
    target = operand("y", result, written=True)
    code = scalar(expr, {name: o.element for name, o in zip(arrays, operands, strict=True)})
    numbers = Numbers()
    lines = [line for each in (*operands, target) for line in each.enter(())]
    lines += ["for c in range(uint64(begin), uint64(end)):"]
    lines += [f"    {line}" for line in (*code.lines, f"{target.element} = {code.result}")]
    source = kernel_source(code.library, numbers, [o.name for o in operands], lines)
    flat = [o.flat for o in (*operands, target)]
    compiled(source, numbers.array, flat)(0, result.size)()
    return result


def one_of(texts: list[str]) -> Expr:
    """The i-th expression: one kernel for all of them."""
    index = Param("i", F32)
    cases = list(enumerate(map(expression, texts)))
    return reduce(
        lambda rest, case: call(
            "select", call("==", index, Literal(float(case[0]), F32)), case[1], rest
        ),
        cases,
        Literal(0.0, F32),
    )


def test_exact_functions_give_the_same_bits_also_of_nan_and_zeros() -> None:
    rows = itertools.product(range(len(EXACT)), SPECIAL, SPECIAL)
    i, x, y = (np.array(column, np.float32) for column in zip(*rows, strict=True))
    expr = one_of(EXACT)
    arrays = {"i": i, "x": x, "y": y}
    found, wanted = run(expr, arrays), evaluate_expr(expr, arrays)
    alike = (found.view(np.uint32) == wanted.view(np.uint32)) | (np.isnan(found) & np.isnan(wanted))
    wrong = [(EXACT[int(i[n])], x[n], y[n], found[n], wanted[n]) for n in np.flatnonzero(~alike)]
    assert not wrong, wrong[:10]


def test_other_functions_are_right_to_some_units_in_the_last_place() -> None:
    texts = list(CLOSE)
    values = np.concatenate([np.linspace(-110, 95, 20_011), np.linspace(-1, 1, 4001), SPECIAL])
    x = np.tile(values.astype(np.float32), len(texts))
    i = np.repeat(np.arange(len(texts), dtype=np.float32), len(values))
    found = run(one_of(texts), {"i": i, "x": x, "y": x})
    with np.errstate(all="ignore"):
        for number, (text, (relative, absolute)) in enumerate(CLOSE.items()):
            wide = parse_expr(text, {"x": DType.F64})
            wanted = evaluate_expr(wide, {"x": x[i == number].astype(np.float64)})
            wanted = np.where(wanted > np.finfo(np.float32).max, np.inf, wanted)
            np.testing.assert_allclose(found[i == number], wanted, relative, absolute, err_msg=text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("erf(x)", "erf has no vector code"),
        ("x % y", "% has no vector code"),
        ("f32(f16(x))", "cast"),
        ("select(x > y, f32(true), x)", "cast"),
    ],
)
def test_what_has_no_template_is_refused(text: str, reason: str) -> None:
    assert reason in refusal(expression(text))


def test_names_of_a_model_are_never_written() -> None:
    hostile = "__import__"
    expr = parse_expr(f"max({hostile} + {hostile}, 1.0)", {hostile: F32})
    code = scalar(expr, {hostile: "a0"})
    assert code.lines == ("v0 = a0 + a0", "v1 = float32(1.0) if v0 < float32(1.0) else v0")
    assert code.result == "v1"
