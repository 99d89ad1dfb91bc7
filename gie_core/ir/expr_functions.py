"""The primitive functions of the pointwise language: one table.

``docs/pointwise.md`` gives their meaning; ``expr_numpy`` computes them.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from gie_core.errors import GieError
from gie_core.ir.types import DType

__all__ = ["FUNCTIONS", "ExprTypeError", "Function", "kind_of", "result_dtype"]


class ExprTypeError(GieError):
    """A pointwise expression whose parts do not fit together."""


@dataclass(frozen=True)
class Function:
    """A primitive function.

    Args:
        name: as ``call`` takes it; the text form spells infix operators the same way.
        arity: number of operands.
        kinds: element types it takes: ``b`` bool, ``i`` integers, ``f`` floats.
        predicate: the result is bool; otherwise it has the operands' type.
        exact: every backend gives the same bits (NaN payloads aside). Otherwise the function
            is transcendental on floats, and backends may differ by some units in the last place.
        conditional: the first operand is bool, whatever the others are.
    """

    name: str
    arity: int
    kinds: str
    predicate: bool = False
    exact: bool = True
    conditional: bool = False


def _table() -> dict[str, Function]:
    rows = [
        *(Function(name, 2, "if") for name in ("+", "-", "*", "/", "//", "%")),
        *(Function(name, 2, "if") for name in ("fmod", "min", "max")),
        *(Function(name, 1, "if") for name in ("neg", "abs", "sign")),
        *(Function(name, 2, "bif", predicate=True) for name in ("==", "!=")),
        *(Function(name, 2, "if", predicate=True) for name in ("<", "<=", ">", ">=")),
        *(Function(name, 2, "b") for name in ("and", "or", "xor")),
        Function("not", 1, "b"),
        *(Function(name, 2, "i") for name in ("&", "|", "^", "<<", ">>")),
        Function("~", 1, "i"),
        Function("select", 3, "bif", conditional=True),
        *(Function(name, 1, "f") for name in ("floor", "ceil", "trunc", "round", "sqrt")),
        *(Function(name, 1, "f", predicate=True) for name in ("isnan", "isinf")),
        Function("pow", 2, "if", exact=False),
        *(Function(name, 1, "f", exact=False) for name in _TRANSCENDENTAL.split()),
    ]
    return {row.name: row for row in rows}


_TRANSCENDENTAL = """
    exp exp2 expm1 log log2 log1p rsqrt erf
    sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh
"""

FUNCTIONS = _table()


def kind_of(dtype: DType) -> str:
    """``b``, ``i`` or ``f``.

    Raises:
        ExprTypeError: the language has no such element type (complex numbers, strings).
    """
    if dtype is DType.BOOL:
        return "b"
    if dtype.is_integer:
        return "i"
    if dtype.is_float:
        return "f"
    raise ExprTypeError(f"pointwise expressions have no values of type {dtype}")


def result_dtype(name: str, operands: Sequence[DType]) -> DType:
    """The type of ``name`` applied to operands of the given types.

    Raises:
        ExprTypeError: there is no such function, or it does not take these operands.
    """
    function = FUNCTIONS.get(name)
    if function is None:
        raise ExprTypeError(f"there is no function {name!r}{did_you_mean(name, FUNCTIONS)}")
    if len(operands) != function.arity:
        raise ExprTypeError(f"{name!r} takes {_count(function.arity)}, not {len(operands)}")
    if function.conditional and operands[0] is not DType.BOOL:
        raise ExprTypeError(f"the condition of {name!r} is {operands[0]}; compare it to get a bool")
    alike = operands[function.conditional :]
    dtype = alike[0]
    if any(other is not dtype for other in alike):
        types = " and ".join(map(str, alike))
        raise ExprTypeError(f"{name!r} needs operands of one type, not {types}; cast explicitly")
    if kind_of(dtype) not in function.kinds:
        raise ExprTypeError(f"{name!r} takes {_describe(function.kinds)}, not {dtype}")
    return DType.BOOL if function.predicate else dtype


def did_you_mean(name: str, known: Sequence[str] | dict[str, Function]) -> str:
    """``"; did you mean 'x'?"`` where something is close, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _count(arity: int) -> str:
    return "1 operand" if arity == 1 else f"{arity} operands"


def _describe(kinds: str) -> str:
    words = {"b": "bool", "i": "integers", "f": "floats"}
    return " or ".join(words[kind] for kind in kinds)
