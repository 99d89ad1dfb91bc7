"""The text form of pointwise expressions and programs: printing.

``expr_parser`` reads it back to an equal program. The text is canonical: equal programs print
alike. A subexpression that is used more than once, or that nests too deep, is named by a
``let``, so the text is linear in the number of distinct nodes::

    (x[n,c]: f32, s[c]: f32) -> let t0 = x * s; select(t0 > 0.0, t0, exp(t0))
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from gie_core.ir.conversion import round_scalar
from gie_core.ir.expr import (
    Apply,
    Cast,
    Expr,
    Literal,
    Param,
    Program,
    axes_of,
    operands_of,
    params_of,
    walk,
)
from gie_core.ir.expr_parser import COMPARISONS, PRECEDENCE, PREFIX, parse_expr, parse_program
from gie_core.ir.expr_types import FUNCTIONS
from gie_core.ir.types import DType

__all__ = ["format_expr", "format_program", "parse_expr", "parse_program"]

_ATOM = 100  # the precedence of what never needs parentheses
_MAX_NESTING = 24  # well within what the parser accepts


def format_expr(expr: Expr) -> str:
    """The canonical text of one expression; ``parse_expr`` reads it back."""
    return _Printer((expr,)).body()


def format_program(program: Program) -> str:
    """The canonical text of a program, on one line; ``parse_program`` reads it back."""
    params = ", ".join(map(str, program.params))
    over = "" if program.axes == axes_of(program.params) else f" over [{','.join(program.axes)}]"
    names = [param.name for param in program.params]
    return f"({params}){over} -> {_Printer(program.results, names).body()}"


class _Printer:
    """Texts of all nodes under ``roots``, operands before their users."""

    def __init__(self, roots: Sequence[Expr], taken: Sequence[str] = ()) -> None:
        self._roots = roots
        self._taken = {*taken, *params_of(*roots)}
        self._texts: dict[Expr, tuple[str, int]] = {}  # with precedence
        self._depths: dict[Expr, int] = {}
        self._lets: list[str] = []

    def body(self) -> str:
        """``let …; let …; result`` or ``(result, result)``."""
        nodes = list(walk(self._roots))
        uses = Counter(operand for node in nodes for operand in operands_of(node))
        uses.update(self._roots)
        for node in nodes:
            self._texts[node] = self._format(node)
            inner = (self._depths[operand] for operand in operands_of(node))
            self._depths[node] = 1 + max(inner, default=-1)
            if operands_of(node) and (uses[node] > 1 or self._depths[node] >= _MAX_NESTING):
                self._name(node)
        results = [self._result(root) for root in self._roots]
        tail = results[0] if len(results) == 1 else f"({', '.join(results)})"
        return "; ".join([*self._lets, tail])

    def _name(self, node: Expr) -> None:
        number = len(self._lets)
        while (name := f"t{number}") in self._taken:
            number += 1
        self._taken.add(name)
        self._lets.append(f"let {name} = {self._texts[node][0]}")
        self._texts[node] = (name, _ATOM)
        self._depths[node] = 0

    def _result(self, root: Expr) -> str:
        return _explicit(root) if isinstance(root, Literal) else self._texts[root][0]

    def _format(self, node: Expr) -> tuple[str, int]:
        match node:
            case Param(name):
                return name, _ATOM
            case Literal():
                return _bare(node)
            case Cast():
                return f"{node.dtype}({', '.join([self._result(node.arg), *_modes(node)])})", _ATOM
            case Apply():
                return self._format_apply(node)
            case _:
                raise TypeError(f"{type(node).__name__} is not a kind of expression")

    def _format_apply(self, node: Apply) -> tuple[str, int]:
        operands = self._operands(node)
        name = node.function
        if name in PREFIX:
            symbol, precedence = PREFIX[name]
            return symbol + _parenthesize(operands[0], precedence), precedence
        if name not in PRECEDENCE:
            return f"{name}({', '.join(text for text, _ in operands)})", _ATOM
        precedence = PRECEDENCE[name]
        left, right = operands
        # Operators associate to the left; comparisons do not associate.
        left_text = _parenthesize(left, precedence + (name in COMPARISONS))
        return f"{left_text} {name} {_parenthesize(right, precedence + 1)}", precedence

    def _operands(self, node: Apply) -> list[tuple[str, int]]:
        """A literal is written bare where another operand tells its type, else with its type."""
        operands = [self._texts[arg] for arg in node.args]
        first = int(FUNCTIONS[node.function].conditional)
        if all(_is_number(arg) for arg in node.args[first:]):
            operands[first] = (_explicit(node.args[first]), _ATOM)
        return operands


def _parenthesize(operand: tuple[str, int], least: int) -> str:
    text, precedence = operand
    return text if precedence >= least else f"({text})"


def _is_number(expr: Expr) -> bool:
    """A literal whose text does not tell its type."""
    return isinstance(expr, Literal) and expr.dtype is not DType.BOOL


def _explicit(literal: Expr) -> str:
    """A literal with its type: ``f32(0.5)``."""
    assert isinstance(literal, Literal)
    text = _bare(literal)[0]
    return f"{literal.dtype}({text})" if _is_number(literal) else text


def _bare(literal: Literal) -> tuple[str, int]:
    match literal.value:
        case bool(value):
            return str(value).lower(), _ATOM
        case int(value):
            text = str(value)
        case value:
            text = _shortest(value, literal.dtype)
    return text, PREFIX["neg"][1] if text.startswith("-") else _ATOM


def _shortest(value: float, dtype: DType) -> str:
    """The shortest decimal that the type rounds back to ``value``."""
    if not math.isfinite(value):
        return str(value)
    for digits in range(1, 17):
        candidate = float(f"{value:.{digits}g}")
        if round_scalar(candidate, dtype) == value:
            return repr(candidate)
    return repr(value)


def _modes(node: Cast) -> list[str]:
    usual = "rtz" if node.arg.dtype.is_float and node.dtype.is_integer else "rne"
    return [node.rounding] * (node.rounding != usual) + ["sat"] * node.saturate
