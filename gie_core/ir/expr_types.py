"""Typing rules of the pointwise language: its functions (one table), literals and casts.

``docs/pointwise.md`` gives the meaning of each function; ``numpy_functions`` computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gie_core.errors import GieError
from gie_core.ir.conversion import ROUNDINGS, integer_range, round_scalar
from gie_core.ir.types import DType

__all__ = [
    "FUNCTIONS",
    "ExprTypeError",
    "Function",
    "can_overflow",
    "did_you_mean",
    "kind_of",
    "literal_value",
    "result_dtype",
    "rounding_of",
]


class ExprTypeError(GieError, ValueError):
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


def literal_value(value: bool | int | float, dtype: DType) -> bool | int | float:
    """The value a literal of ``dtype`` holds: floats are rounded to the type.

    Raises:
        ExprTypeError: the type has no such value.
    """
    kind = kind_of(dtype)
    if kind == "b":
        if isinstance(value, bool):
            return value
        raise ExprTypeError(f"a bool is true or false, not {value}")
    if isinstance(value, bool):
        raise ExprTypeError(f"{str(value).lower()} is not a value of type {dtype}")
    if kind == "f":
        return round_scalar(_as_float(value), dtype)
    if not isinstance(value, int):
        raise ExprTypeError(f"{value} is not a value of type {dtype}; write an integer")
    low, high = integer_range(dtype)
    if not low <= value <= high:
        raise ExprTypeError(f"{value} is outside the range of {dtype}, {low} to {high}")
    return value


def rounding_of(source: DType, target: DType, rounding: str | None) -> str:
    """The rounding of a cast: the default for ``None``, and ``rne`` where nothing is rounded.

    Raises:
        ExprTypeError: there is no such rounding, or not between these types.
    """
    if rounding is not None and rounding not in ROUNDINGS:
        raise ExprTypeError(f"there is no rounding {rounding!r}; use one of {', '.join(ROUNDINGS)}")
    if source.is_float and target.is_integer:
        return rounding or "rtz"
    if source.is_float and target.is_float:
        widens = target is DType.F64 or (target is DType.F32 and source is not DType.F64)
        return "rne" if widens else rounding or "rne"
    if source.is_integer and target.is_float and rounding not in (None, "rne"):
        raise ExprTypeError(f"an integer becomes {target} by rne only, not {rounding}")
    return "rne"


def can_overflow(source: DType, target: DType) -> bool:
    """Whether saturation can change the result of a cast."""
    if DType.BOOL in (source, target):
        return False
    if source.is_integer and target.is_integer:
        (low, high), (source_low, source_high) = integer_range(target), integer_range(source)
        return source_low < low or source_high > high
    return True


def did_you_mean(name: str, known: Sequence[str] | dict[str, Function]) -> str:
    """``"; did you mean 'x'?"`` where something is close, else nothing."""
    import difflib  # it takes a while, and is for mistakes only

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _count(arity: int) -> str:
    return "1 operand" if arity == 1 else f"{arity} operands"


def _describe(kinds: str) -> str:
    words = {"b": "bool", "i": "integers", "f": "floats"}
    return " or ".join(words[kind] for kind in kinds)


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
