"""The pointwise expression language: typed scalar expressions and the programs made of them.

``docs/pointwise.md`` is its specification. Expressions are hash-consed: building the same
expression twice gives the same object. Equality is therefore identity, hashing is free, a
shared subexpression is one node, and an ill-typed expression cannot exist::

    x = Param("x", DType.F32)
    relu = call("max", x, Literal(0.0, DType.F32))
    relu is call("max", x, Literal(0.0, DType.F32))      # True
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from gie_core.ir.expr_types import (
    FUNCTIONS,
    ExprTypeError,
    can_overflow,
    kind_of,
    literal_value,
    result_dtype,
    rounding_of,
)
from gie_core.ir.types import DType

__all__ = [
    "RESERVED_WORDS",
    "Apply",
    "Cast",
    "Expr",
    "ExprTypeError",
    "Literal",
    "Param",
    "Parameter",
    "Program",
    "axes_of",
    "call",
    "cast",
    "count_nodes",
    "is_exact",
    "operands_of",
    "params_of",
    "rename",
    "substitute",
    "substitute_all",
    "walk",
]

# Names that the text form reads as something else; function and type names are not among
# them, because those are always followed by a parenthesis.
RESERVED_WORDS = frozenset(
    {"and", "or", "xor", "not", "true", "false", "inf", "nan", "let", "over"}
)


class Expr:
    """An expression; one of ``Param``, ``Literal``, ``Apply``, ``Cast``."""

    __slots__ = ("__weakref__",)

    dtype: DType

    def __str__(self) -> str:
        from gie_core.ir.expr_text import format_expr  # the text form is built on this module

        return format_expr(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.dtype}: {self}>"

    def __copy__(self) -> Expr:
        return self

    def __deepcopy__(self, memo: object) -> Expr:
        return self


_Node = TypeVar("_Node", bound=Expr)
# Every living expression, by class and fields. Keys hold operands, which compare by identity.
_POOL: WeakValueDictionary[tuple[object, ...], Any] = WeakValueDictionary()


def _interned(cls: type[_Node], key: tuple[object, ...], **fields: object) -> _Node:
    found = _POOL.get((cls.__name__, *key))
    if found is None:
        node = object.__new__(cls)
        for name, value in fields.items():
            object.__setattr__(node, name, value)
        found = _POOL.setdefault((cls.__name__, *key), node)
    return found


@dataclass(frozen=True, eq=False, init=False, repr=False, slots=True)
class Param(Expr):
    """An operand, by name.

    Raises:
        ExprTypeError: the name is no identifier or is reserved, or the language lacks the type.
    """

    name: str
    dtype: DType

    def __new__(cls, name: str, dtype: DType) -> Param:
        kind_of(dtype)
        _check_name(name, "parameter")
        return _interned(cls, (name, dtype), name=name, dtype=dtype)


@dataclass(frozen=True, eq=False, init=False, repr=False, slots=True)
class Literal(Expr):
    """A constant.

    ``value`` is held exactly: a bool, an int in range, or for a floating-point type a Python
    float that was rounded to that type. NaN equals NaN here; −0.0 differs from 0.0.

    Raises:
        ExprTypeError: the value is none of ``dtype``, or the language lacks the type.
    """

    value: bool | int | float
    dtype: DType

    def __new__(cls, value: bool | int | float, dtype: DType) -> Literal:
        held = literal_value(value, dtype)
        key = held.hex() if isinstance(held, float) else held
        return _interned(cls, (key, dtype), value=held, dtype=dtype)


@dataclass(frozen=True, eq=False, init=False, repr=False, slots=True)
class Apply(Expr):
    """A primitive function of ``FUNCTIONS`` applied to operands.

    Raises:
        ExprTypeError: the function does not take such operands.
    """

    function: str
    args: tuple[Expr, ...]
    dtype: DType = field(init=False)

    def __new__(cls, function: str, args: tuple[Expr, ...]) -> Apply:
        dtype = result_dtype(function, [arg.dtype for arg in args])
        return _interned(cls, (function, args), function=function, args=args, dtype=dtype)


@dataclass(frozen=True, eq=False, init=False, repr=False, slots=True)
class Cast(Expr):
    """A conversion to another element type, the only place where values are rounded to one.

    ``rounding`` and ``saturate`` are normalized: where they cannot matter they become ``rne``
    and ``False``. ``rounding=None`` means the default, ``rtz`` from a float to an integer and
    ``rne`` elsewhere.

    Raises:
        ExprTypeError: the argument already has the type (see ``cast``), or there is no such
            rounding for these types.
    """

    arg: Expr
    dtype: DType
    rounding: str
    saturate: bool

    def __new__(
        cls, arg: Expr, dtype: DType, rounding: str | None = None, saturate: bool = False
    ) -> Cast:
        if arg.dtype is dtype:
            raise ExprTypeError(f"the argument of a cast to {dtype} already has that type")
        kind_of(dtype)
        rounding = rounding_of(arg.dtype, dtype, rounding)
        saturate = saturate and can_overflow(arg.dtype, dtype)
        return _interned(
            cls,
            (arg, dtype, rounding, saturate),
            arg=arg,
            dtype=dtype,
            rounding=rounding,
            saturate=saturate,
        )


def call(function: str, *args: Expr) -> Apply:
    """``function`` applied to ``args``, e.g. ``call("+", x, y)``; see ``Apply``."""
    return Apply(function, args)


def cast(arg: Expr, dtype: DType, rounding: str | None = None, saturate: bool = False) -> Expr:
    """``arg`` as ``dtype``; ``arg`` itself where it already is that. See ``Cast``."""
    return arg if arg.dtype is dtype else Cast(arg, dtype, rounding, saturate)


# ── Looking at expressions ──────────────────────────────────────────────────────────


def operands_of(expr: Expr) -> tuple[Expr, ...]:
    """The direct subexpressions."""
    match expr:
        case Apply():
            return expr.args
        case Cast():
            return (expr.arg,)
        case _:
            return ()


def walk(exprs: Iterable[Expr]) -> Iterator[Expr]:
    """Every distinct node under ``exprs``, operands first, in a fixed order; any depth."""
    seen: set[Expr] = set()
    stack = [(root, False) for root in exprs][::-1]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((operand, False) for operand in reversed(operands_of(node)))


def params_of(*exprs: Expr) -> dict[str, DType]:
    """Names and types of the parameters, in order of first appearance.

    Raises:
        ExprTypeError: one name has two types.
    """
    found: dict[str, DType] = {}
    for node in walk(exprs):
        if isinstance(node, Param) and found.setdefault(node.name, node.dtype) is not node.dtype:
            raise ExprTypeError(
                f"parameter {node.name!r} is both {found[node.name]} and {node.dtype}"
            )
    return found


def count_nodes(*exprs: Expr) -> int:
    """Number of distinct operations: parameters and literals are not counted."""
    return sum(isinstance(node, Apply | Cast) for node in walk(exprs))


def is_exact(*exprs: Expr) -> bool:
    """Every backend gives the same bits: no transcendental function of a float occurs."""
    return all(
        FUNCTIONS[node.function].exact or node.dtype.is_integer
        for node in walk(exprs)
        if isinstance(node, Apply)
    )


# ── Rebuilding expressions ──────────────────────────────────────────────────────────


def substitute(expr: Expr, replacements: Mapping[str, Expr]) -> Expr:
    """Replace parameters by expressions, all at once; see ``substitute_all``."""
    return substitute_all((expr,), replacements)[0]


def substitute_all(exprs: Sequence[Expr], replacements: Mapping[str, Expr]) -> tuple[Expr, ...]:
    """Replace parameters by expressions in several expressions; linear in distinct nodes.

    Raises:
        ExprTypeError: a replacement's type is not the parameter's.
    """
    rebuilt: dict[Expr, Expr] = {}
    for node in walk(exprs):
        match node:
            case Param(name, dtype):
                rebuilt[node] = new = replacements.get(name, node)
                if new.dtype is not dtype:
                    raise ExprTypeError(
                        f"parameter {name!r} is {dtype}, its replacement {new.dtype}"
                    )
            case Apply(function, args):
                rebuilt[node] = Apply(function, tuple(rebuilt[arg] for arg in args))
            case Cast(arg, dtype, rounding, saturate):
                rebuilt[node] = Cast(rebuilt[arg], dtype, rounding, saturate)
            case _:
                rebuilt[node] = node
    return tuple(rebuilt[root] for root in exprs)


def rename(expr: Expr, names: Mapping[str, str]) -> Expr:
    """Rename parameters, all at once (so names may be exchanged)."""
    dtypes = params_of(expr)
    return substitute(expr, {old: Param(names[old], dtypes[old]) for old in dtypes if old in names})


# ── Programs ────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Parameter:
    """An operand of a program and how it lies in the iteration space.

    Args:
        name: how the results name it.
        dtype: its element type.
        index: one entry a dimension of the operand: the axis that indexes it, or ``1`` for a
            dimension of extent 1. Axes that are not mentioned broadcast.
    """

    name: str
    dtype: DType
    index: tuple[str | int, ...]

    def __str__(self) -> str:
        return f"{self.name}[{','.join(map(str, self.index))}]: {self.dtype}"


@dataclass(frozen=True)
class Program:
    """The body of a pointwise op: results as functions of indexed parameters.

    Args:
        params: the operands, in order.
        axes: the iteration space; every result has exactly these axes, in this order.
        results: one expression or more.

    Raises:
        ExprTypeError: a name occurs twice or is reserved, an index names an unknown axis or one
            axis twice, no parameter gives an axis its extent, or a result uses a parameter that
            is not declared so.
    """

    params: tuple[Parameter, ...]
    axes: tuple[str, ...]
    results: tuple[Expr, ...]

    def __post_init__(self) -> None:
        _check_names([param.name for param in self.params], "parameter")
        _check_names(self.axes, "axis")
        for param in self.params:
            kind_of(param.dtype)
            _check_index(param, self.axes)
        unknown = [axis for axis in self.axes if axis not in axes_of(self.params)]
        if unknown:
            raise ExprTypeError(f"no parameter has axis {unknown[0]!r}, so its extent is unknown")
        if not self.results:
            raise ExprTypeError("a program needs at least one result")
        declared = {param.name: param.dtype for param in self.params}
        for name, dtype in params_of(*self.results).items():
            if name not in declared:
                raise ExprTypeError(f"the results use {name!r}, which is no parameter")
            if dtype is not declared[name]:
                raise ExprTypeError(f"{name!r} is declared {declared[name]} but used as {dtype}")

    def __str__(self) -> str:
        from gie_core.ir.expr_text import format_program  # the text form is built on this module

        return format_program(self)


def axes_of(params: Iterable[Parameter]) -> tuple[str, ...]:
    """The axes that index ``params``, in order of first appearance: the default order."""
    return tuple(dict.fromkeys(a for param in params for a in param.index if isinstance(a, str)))


# ── Checks ──────────────────────────────────────────────────────────────────────────


def _check_name(name: str, what: str) -> None:
    if not (name.isidentifier() and name.isascii()) or name in RESERVED_WORDS:
        raise ExprTypeError(f"{name!r} cannot name a {what}; use letters, digits and _")


def _check_names(names: Sequence[str], what: str) -> None:
    for position, name in enumerate(names):
        _check_name(name, what)
        if name in names[:position]:
            raise ExprTypeError(f"the {what} {name!r} is declared twice")


def _check_index(param: Parameter, axes: Sequence[str]) -> None:
    named = [entry for entry in param.index if entry != 1]
    for entry in named:
        if entry not in axes:
            raise ExprTypeError(
                f"{entry!r} in the index of {param.name!r} is no axis of the program"
            )
        if named.count(entry) > 1:
            raise ExprTypeError(f"axis {entry!r} occurs twice in the index of {param.name!r}")
