"""Dimensions: ints, or integer expressions over symbols.

A ``Dim`` is a plain ``int`` wherever it can be. Otherwise it is a ``SymInt``: a
polynomial with integer coefficients over *atoms* (symbols, and the floor
divisions, remainders, minima and maxima that did not simplify). The polynomial
form is canonical, so ``n + 2 - 1 == n + 1`` holds by plain equality, and equal
dimensions print alike. Symbols stand for integers ≥ 0.

Python's own operators build expressions, and ``int`` results stay ints::

    n = symbol("n")
    (2 * n + 4) // 2        # n + 2
    dim_max(n, n)           # n
"""

from __future__ import annotations

import ast
import itertools
import keyword
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import SupportsIndex

__all__ = [
    "Dim",
    "SymInt",
    "as_dim",
    "ceil_div",
    "certainly_differ",
    "dim_max",
    "dim_min",
    "evaluate_dim",
    "format_dim",
    "free_symbols",
    "parse_dim",
    "product",
    "substitute_dim",
    "symbol",
]

MAX_TEXT = 10_000
MAX_TERMS = 256
MAX_SIZE = 1000
MAX_DEPTH = 50
MAX_COEFFICIENT = 1 << 64
"""Beyond these a dimension is refused: the time to build and print it would grow without bound."""

_PLAIN = re.compile(r"0|[1-9][0-9]{0,17}")
_FUNCTIONS: dict[str, Callable[[int, int], int]] = {
    "//": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "min": min,
    "max": max,
}


class DimTooLargeError(ValueError):
    """A dimension has more terms, deeper nesting or larger numbers than any model needs."""


@dataclass(frozen=True)
class Atom:
    """A symbol (``function == ""``) or an irreducible ``//``, ``mod``, ``min``, ``max``."""

    function: str
    name: str
    operands: tuple[SymInt | int, ...] = ()

    @cached_property
    def size(self) -> int:
        """How many symbols and functions it is made of."""
        return 1 + sum(o.size for o in self.operands if isinstance(o, SymInt))

    @cached_property
    def depth(self) -> int:
        """How deep its functions are nested."""
        return 1 + max((o.depth for o in self.operands if isinstance(o, SymInt)), default=0)

    def __str__(self) -> str:
        if not self.function:
            return self.name
        a, b = self.operands
        if self.function == "//":
            return f"{_wrap(a)} // {_wrap(b)}"
        return f"{self.function}({format_dim(a)}, {format_dim(b)})"


# A monomial is a sorted tuple of atoms (a square names its atom twice); () is the constant.
Monomial = tuple[Atom, ...]


@dataclass(frozen=True)
class SymInt:
    """A canonical polynomial that is not constant: ``((monomial, coefficient), …)``, sorted."""

    terms: tuple[tuple[Monomial, int], ...]

    def __post_init__(self) -> None:
        if (
            len(self.terms) > MAX_TERMS
            or self.size > MAX_SIZE
            or self.depth > MAX_DEPTH
            or any(abs(coefficient) > MAX_COEFFICIENT for _, coefficient in self.terms)
        ):
            raise DimTooLargeError("the dimension has too many terms")

    @cached_property
    def size(self) -> int:
        """How many symbols and functions it is made of."""
        return sum(atom.size for monomial, _ in self.terms for atom in monomial)

    @cached_property
    def depth(self) -> int:
        """How deep its functions are nested."""
        return max(atom.depth for monomial, _ in self.terms for atom in monomial)

    def __add__(self, other: Dim) -> Dim:
        return _polynomial(itertools.chain(self.terms, _terms(other)))

    def __mul__(self, other: Dim) -> Dim:
        return _polynomial(
            (_sorted_monomial(m + k), a * b) for m, a in self.terms for k, b in _terms(other)
        )

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1

    def __rsub__(self, other: int) -> Dim:
        return self * -1 + other

    def __floordiv__(self, other: Dim) -> Dim:
        return _floor_div(self, other)

    def __rfloordiv__(self, other: int) -> Dim:
        return _floor_div(other, self)

    def __mod__(self, other: Dim) -> Dim:
        return _mod(self, other)

    def __rmod__(self, other: int) -> Dim:
        return _mod(other, self)

    __radd__ = __add__
    __rmul__ = __mul__

    def __str__(self) -> str:
        return self._text

    @cached_property
    def _text(self) -> str:
        # Symbols first and the constant last, as one writes it by hand.
        ordered = sorted(self.terms, key=lambda term: (not term[0], str(term[0])))
        text = ""
        for monomial, coefficient in ordered:
            sign = "-" if coefficient < 0 else "+"
            text += f" {sign} " if text else ("-" if sign == "-" else "")
            text += _format_term(monomial, coefficient)
        return text


Dim = int | SymInt


def symbol(name: str) -> SymInt:
    """The dimension called ``name``, an integer ≥ 0.

    Raises:
        ValueError: ``name`` is not an identifier in ASCII, or is a keyword of Python or one of
            the function names.
    """
    is_word = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
    if not is_word or name in _FUNCTIONS:
        raise ValueError(
            f"{name!r} cannot name a dimension; use a letter followed by letters, digits or _"
        )
    return SymInt((((Atom("", name),), 1),))


def as_dim(value: object) -> Dim:
    """An integer (NumPy's too), an expression, or the text of one, as a ``Dim``.

    Raises:
        TypeError: it is none of these; ``True`` and ``2.0`` are not either.
        ValueError: the text is not such an expression.
    """
    if isinstance(value, str):
        return parse_dim(value)
    if isinstance(value, SymInt):
        return value
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise TypeError(
            f"a dimension is an integer or an expression such as 'n + 1', not {value!r}"
        )
    return operator.index(value)


def ceil_div(a: Dim, b: Dim) -> Dim:
    """⌈a / b⌉ for b > 0."""
    return (a + b - 1) // b


def dim_min(a: Dim, b: Dim) -> Dim:
    """The smaller of two dimensions."""
    return _extremum("min", a, b)


def dim_max(a: Dim, b: Dim) -> Dim:
    """The larger of two dimensions."""
    return _extremum("max", a, b)


def product(dims: Iterable[Dim]) -> Dim:
    """The product of all; 1 for none."""
    return reduce(lambda a, b: a * b, dims, 1)


def free_symbols(*dims: Dim) -> frozenset[str]:
    """Names of all symbols in the given dimensions."""
    names: set[str] = set()
    for dim in dims:
        for monomial, _ in _terms(dim):
            for atom in monomial:
                names.update(free_symbols(*atom.operands) if atom.function else {atom.name})
    return frozenset(names)


def substitute_dim(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """Replace symbols by dimensions; symbols without a value stay."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        term: Dim = coefficient
        for atom in monomial:
            term = term * _substitute_atom(atom, values)
        total = total + term
    return total


def evaluate_dim(dim: Dim, values: Mapping[str, int]) -> int:
    """The number a dimension stands for once every symbol has a value.

    Raises:
        KeyError: a symbol has no value.
    """
    result = substitute_dim(dim, values)
    if not isinstance(result, int):
        raise KeyError(min(free_symbols(result)))
    return result


def certainly_differ(a: Dim, b: Dim) -> bool:
    """Whether two dimensions differ for every choice of their symbols: ``n`` and ``n + 1``."""
    difference = a - b
    return isinstance(difference, int) and difference != 0


def format_dim(dim: Dim) -> str:
    """The text that ``parse_dim`` reads back."""
    return str(dim)


def parse_dim(text: str) -> Dim:
    """Read a dimension: integers, symbols, ``+ - * //`` and ``mod(,) min(,) max(,)``.

    Raises:
        ValueError: the text is not such an expression, or a very large one.
    """
    if _PLAIN.fullmatch(text):  # as nearly all are; Python's own parser takes far longer
        return int(text)
    shown = text if len(text) <= 60 else f"{text[:60]}…"
    try:
        if len(text) > MAX_TEXT:
            raise DimTooLargeError("the text is too long")
        return _read(ast.parse(text.strip(), mode="eval").body)
    except DimTooLargeError as error:
        raise ValueError(f"{shown!r} is not a dimension: {error}") from error
    except (SyntaxError, ValueError, RecursionError, ZeroDivisionError, MemoryError) as error:
        raise ValueError(
            f"{shown!r} is not a dimension: write an integer or an expression such as 2*n + 1"
        ) from error


# ── Canonical construction ──────────────────────────────────────────────────────────


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    if isinstance(dim, SymInt):
        return dim.terms
    return (((), dim),) if dim else ()


def _sorted_monomial(atoms: Iterable[Atom]) -> Monomial:
    return tuple(sorted(atoms, key=str))


def _polynomial(terms: Iterable[tuple[Monomial, int]]) -> Dim:
    collected: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        collected[monomial] = collected.get(monomial, 0) + coefficient
        if len(collected) > 2 * MAX_TERMS:  # a sum of two may cancel out, a product grows on
            raise DimTooLargeError("the dimension has too many terms")
    kept = {m: c for m, c in collected.items() if c}
    if not kept:
        return 0
    if set(kept) == {()}:
        return kept[()]
    return SymInt(tuple(sorted(kept.items(), key=lambda item: str(item[0]))))


def _atom(function: str, a: Dim, b: Dim) -> SymInt:
    return SymInt((((Atom(function, "", (a, b)),), 1),))


def _floor_div(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if b == 1:
        return a
    if a == b:
        return 1
    if isinstance(b, int):
        return _floor_div_int(a, b)
    exact = _divide_exactly(a, b)
    return exact if exact is not None else _atom("//", a, b)


def _floor_div_int(a: Dim, b: int) -> Dim:
    """Take out what ``b`` divides; merge nested divisions: (x//p + k)//q = (x + k*p)//(p*q)."""
    if b == 0:
        raise ZeroDivisionError("a dimension is divided by zero")
    whole = _polynomial((m, c // b) for m, c in _terms(a) if c % b == 0)
    rest = _polynomial((m, c) for m, c in _terms(a) if c % b)
    if isinstance(rest, int):
        return whole + rest // b
    constant = dict(rest.terms).get((), 0)
    whole, rest = whole + constant // b, rest - constant + constant % b
    assert isinstance(rest, SymInt)
    common = math.gcd(b, *(c for _, c in rest.terms))
    if common > 1:
        return whole + _floor_div(_polynomial((m, c // common) for m, c in rest.terms), b // common)
    offset = dict(rest.terms).get((), 0)
    inner = _single_atom(rest - offset)
    if inner is not None and inner.function == "//" and b > 0:
        x, p = inner.operands
        if isinstance(p, int) and p > 0:
            return whole + _floor_div(x + offset * p, p * b)
    return whole + _atom("//", rest, b)


def _divide_exactly(a: Dim, b: SymInt) -> Dim | None:
    """a / b where b is a single term that divides every term of a."""
    if len(b.terms) != 1:
        return None
    (divisor, factor) = b.terms[0]
    quotient: list[tuple[Monomial, int]] = []
    for monomial, coefficient in _terms(a):
        remaining = list(monomial)
        for atom in divisor:
            if atom not in remaining:
                return None
            remaining.remove(atom)
        if coefficient % factor:
            return None
        quotient.append((tuple(remaining), coefficient // factor))
    return _polynomial(quotient)


def _mod(a: Dim, b: Dim) -> Dim:
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    if a == b or b == 1:
        return 0
    if isinstance(b, int):
        rest = _polynomial((m, c % b) for m, c in _terms(a))
        return rest % b if isinstance(rest, int) else _atom("mod", rest, b)
    return 0 if _divide_exactly(a, b) is not None else _atom("mod", a, b)


def _extremum(function: str, a: Dim, b: Dim) -> Dim:
    difference = a - b
    if isinstance(difference, int):
        return a if (difference >= 0) == (function == "max") else b
    first, second = sorted((a, b), key=format_dim)
    return _atom(function, first, second)


def _single_atom(dim: Dim) -> Atom | None:
    assert isinstance(dim, SymInt)
    (monomial, coefficient), *others = dim.terms
    return monomial[0] if not others and coefficient == 1 and len(monomial) == 1 else None


def _substitute_atom(atom: Atom, values: Mapping[str, Dim]) -> Dim:
    if not atom.function:
        return values.get(atom.name, symbol(atom.name))
    a, b = (substitute_dim(operand, values) for operand in atom.operands)
    return _apply(atom.function, a, b)


def _apply(function: str, a: Dim, b: Dim) -> Dim:
    if function == "//":
        return _floor_div(a, b)
    if function == "mod":
        return _mod(a, b)
    return _extremum(function, a, b)


# ── Text ────────────────────────────────────────────────────────────────────────────


def _wrap(dim: Dim) -> str:
    text = format_dim(dim)
    return text if text.isidentifier() or text.isdigit() else f"({text})"


def _format_term(monomial: Monomial, coefficient: int) -> str:
    """One term without its sign; the caller writes that."""
    alone = len(monomial) == 1 and coefficient == 1
    factors = [_factor(atom, alone) for atom in monomial]
    if abs(coefficient) != 1 or not factors:
        factors.insert(0, str(abs(coefficient)))
    return "*".join(factors)


def _factor(atom: Atom, alone: bool) -> str:
    return f"({atom})" if atom.function == "//" and not alone else str(atom)


def _read(tree: ast.expr) -> Dim:
    match tree:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            if value > MAX_COEFFICIENT:
                raise DimTooLargeError("a number is too large")
            return value
        case ast.Name(id=name):
            return symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _read(operand) * -1
        case ast.BinOp(left=left, op=sign, right=right):
            return _read_binary(sign, _read(left), _read(right))
        case ast.Call(
            func=ast.Name(id="mod" | "min" | "max" as name), args=[left, right], keywords=[]
        ):
            return _apply(name, _read(left), _read(right))
        case _:
            raise ValueError("unexpected form")


def _read_binary(sign: ast.operator, a: Dim, b: Dim) -> Dim:
    match sign:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.FloorDiv():
            return a // b
        case ast.Mod():
            return a % b
        case _:
            raise ValueError("unexpected operator")
