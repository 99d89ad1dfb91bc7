"""Expressions of the pointwise language as Python text that Numba compiles, for one element.

Values are f32 and bool. All that is written are the templates below, names that are made up here
and numbers: no name or text of a model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gie_core.ir.expr import Apply, Cast, Expr, Literal, Param, walk
from gie_core.ir.types import DType
from gie_kernels_numba.library import LIBRARY

__all__ = ["Scalar", "count_steps", "refusal", "scalar"]

_TEMPLATES = {
    **{name: f"{{0}} {name} {{1}}" for name in ("+", "-", "*", "/")},
    **{name: f"{{0}} {name} {{1}}" for name in ("==", "!=", "<", "<=", ">", ">=")},
    "//": "floor({0} / {1})",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "not": "not {0}",
    "neg": "-{0}",
    "abs": "abs({0})",
    "select": "{1} if {0} else {2}",
    "isnan": "{0} != {0}",
    "isinf": "abs({0}) == float32(1e999)",
    "round": "rint({0})",
    "rsqrt": "float32(1.0) / sqrt({0})",
    **{name: f"{name}({{0}})" for name in ("floor", "ceil", "trunc", "sqrt")},
    **{name: f"{name}({{0}})" for name in ("sign", "exp", "tanh")},
    "max": "maximum({0}, {1})",
    "min": "minimum({0}, {1})",
}
"""What a function becomes; each operand is a name or a literal."""

_CALLS = {"max": ("maximum",), "min": ("minimum",), "tanh": ("exp", "tanh")}
"""The functions of the library that a template calls, if not the one of its own name."""

_COSTLY = {"exp": 14, "tanh": 27, "/": 4, "//": 4, "sqrt": 4, "rsqrt": 8}
"""How many simple steps a function is worth."""


@dataclass(frozen=True)
class Scalar:
    """An expression as statements.

    Args:
        lines: assignments.
        result: the name or literal that is the expression's value.
        library: functions of ``LIBRARY`` that are called, in its order.
    """

    lines: tuple[str, ...]
    result: str
    library: tuple[str, ...]


def refusal(expr: Expr) -> str:
    """Why there is no code for an expression, or ""."""
    for node in walk([expr]):
        if isinstance(node, Cast):
            return f"a cast to {node.dtype} has no code here"
        if node.dtype is not DType.F32 and (
            node.dtype is not DType.BOOL or isinstance(node, Param)
        ):
            return f"it computes with {node.dtype}, not f32"
        if isinstance(node, Apply) and node.function not in _TEMPLATES:
            return f"{node.function} has no vector code here"
    return "" if expr.dtype is DType.F32 else f"its result is {expr.dtype}, not f32"


def count_steps(expr: Expr) -> int:
    """Elementary steps for one element."""
    return sum(_COSTLY.get(n.function, 1) for n in walk([expr]) if isinstance(n, Apply))


def scalar(expr: Expr, names: Mapping[str, str]) -> Scalar:
    """The statements for an expression that isn't refused.

    Args:
        names: what stands for each parameter; names made up by the caller.
    """
    texts: dict[Expr, str] = {}
    lines: list[str] = []
    called: set[str] = set()
    for node in walk([expr]):
        match node:
            case Param(name):
                texts[node] = names[name]
            case Literal(value):
                texts[node] = _literal(value)
            case Apply(function, args):
                special = _bounded(node, texts)
                if special is None:
                    special = _TEMPLATES[function].format(*(texts[arg] for arg in args))
                    called.update(_CALLS.get(function, (function,)))
                texts[node] = f"v{len(lines)}"
                lines.append(f"{texts[node]} = {special}")
            case _:
                raise TypeError(f"{type(node).__name__} has no code here")
    return Scalar(tuple(lines), texts[expr], tuple(name for name in LIBRARY if name in called))


def _literal(value: bool | float) -> str:
    if isinstance(value, bool):
        return repr(value)
    if math.isnan(value):
        return "float32(1e999 - 1e999)"
    # Numba takes -0.0 for 0.0 with a sign in front, as Python does; 1e999 is an infinity.
    text = "1e999" if math.isinf(value) else repr(abs(float(value)))
    sign = "-" if math.copysign(1, value) < 0 else ""
    return f"{sign}float32({text})"


def _bounded(node: Apply, texts: Mapping[Expr, str]) -> str | None:
    """max(x, c) or min(x, c) as one comparison: with a NaN it is false, so x remains."""
    bounds = [arg for arg in node.args if isinstance(arg, Literal)]
    if node.function not in ("max", "min") or len(bounds) != 1 or math.isnan(bounds[0].value):
        return None
    (bound,) = bounds
    x = texts[next(arg for arg in node.args if arg is not bound)]
    upper = node.function == "min"
    # Of two zeros the one that the function prefers has to win, so it must not need a sign.
    preferred = bound.value == 0 and (math.copysign(1, bound.value) < 0) == upper
    compare: Callable[[str], str] = lambda sign: sign + "=" if preferred else sign  # noqa: E731
    return f"{texts[bound]} if {x} {compare('>' if upper else '<')} {texts[bound]} else {x}"
