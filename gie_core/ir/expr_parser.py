"""The text form of pointwise expressions and programs: parsing.

A tokenizer and a precedence-climbing parser (V. Pratt, "Top down operator precedence", 1973).
It is safe on untrusted text: length and nesting are bounded, and the work is linear.

    program    = "(" [param {"," param}] ")" ["over" "[" [axis {"," axis}] "]"] "->" body
    param      = name "[" [index {"," index}] "]" ":" type          index = axis | "1"
    body       = {"let" name "=" expression ";"} (expression | "(" expression {"," expression} ")")
    expression = operators with Python's precedence over primaries
    primary    = number | "inf" | "nan" | "true" | "false" | name | "(" expression ")"
               | function "(" expression {"," expression} ")"
               | type "(" expression ["," rounding] ["," "sat"] ")"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from gie_core.errors import GieError
from gie_core.ir.conversion import ROUNDINGS
from gie_core.ir.expr import (
    RESERVED_WORDS,
    Apply,
    Expr,
    Literal,
    Param,
    Parameter,
    Program,
    axes_of,
    cast,
)
from gie_core.ir.expr_types import FUNCTIONS, ExprTypeError, did_you_mean
from gie_core.ir.types import DType

__all__ = ["COMPARISONS", "PRECEDENCE", "PREFIX", "ExprSyntaxError", "parse_expr", "parse_program"]

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_LEVELS = (
    ("or",),
    ("xor",),
    ("and",),
    ("not",),
    COMPARISONS,
    ("|",),
    ("^",),
    ("&",),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "//", "%"),
)
# Infix operators and how tightly they bind; and prefix functions: their symbol, and the same.
PRECEDENCE = {op: level for level, ops in enumerate(_LEVELS, 1) for op in ops if op != "not"}
PREFIX = {"not": ("not ", 4), "neg": ("-", len(_LEVELS) + 1), "~": ("~", len(_LEVELS) + 1)}

_MAX_LENGTH = 1 << 20  # characters
_MAX_TOKEN = 400  # characters; no type needs more than 309 digits before the point
_MAX_NESTING = 64

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<symbol>->|//|<<|>>|<=|>=|==|!=|[-+*/%&|^~<>()\[\],:;=])
      | (?P<end>$)
    )""",
    re.VERBOSE,
)
_DTYPES = {dtype.value: dtype for dtype in DType}


class ExprSyntaxError(GieError, ValueError):
    """Text that is no pointwise expression or program.

    Attributes:
        reason: what is wrong, without where.
        position: where, in characters from 0.
    """

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"pointwise text, column {position + 1}: {reason}")
        self.reason = reason
        self.position = position


def parse_program(text: str) -> Program:
    """Read a program.

    Raises:
        ExprSyntaxError: the text is no program, or its types do not fit.
    """
    return _Parser(text).program()


def parse_expr(text: str, params: Mapping[str, DType]) -> Expr:
    """Read one expression over the given parameters.

    Raises:
        ExprSyntaxError: the text is no expression over them, or its types do not fit.
    """
    parser = _Parser(text)
    for name, dtype in params.items():
        parser.declare(name, Param(name, dtype))
    return parser.single()


@dataclass(frozen=True)
class _Token:
    kind: str  # number, name, symbol, end
    text: str
    position: int


@dataclass(frozen=True)
class _Number:
    """A number whose type is still to be told by its siblings."""

    value: int | float
    token: _Token


def _tokenize(text: str) -> list[_Token]:
    if len(text) > _MAX_LENGTH:
        raise ExprSyntaxError(f"the text is longer than {_MAX_LENGTH} characters", _MAX_LENGTH)
    tokens: list[_Token] = []
    position = 0
    while True:
        match = _TOKEN.match(text, position)
        if match is None:
            position += len(text[position:]) - len(text[position:].lstrip())
            raise ExprSyntaxError(f"unexpected character {text[position]!r}", position)
        kind = match.lastgroup or "end"
        if len(match[kind]) > _MAX_TOKEN:
            raise ExprSyntaxError(
                f"a {kind} is longer than {_MAX_TOKEN} characters", match.start(kind)
            )
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        if kind == "end":
            return tokens
        position = match.end()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokenize(text)
        self._at = 0
        self._nesting = 0
        self._names: dict[str, Expr] = {}

    def declare(self, name: str, meaning: Expr) -> None:
        self._names[name] = meaning

    def program(self) -> Program:
        start = self._token
        params = self._params()
        axes = axes_of(params)
        if self._accept("over"):
            self._expect("[")
            axes = tuple(self._name("an axis") for _ in self._items("]"))
        self._expect("->")
        self._lets()
        several = self._token.text == "(" and self._is_list()
        results = self._results() if several else (self._typed(),)
        self._end()
        try:
            return Program(params, axes, results)
        except ExprTypeError as error:
            self._fail(str(error), start)

    def single(self) -> Expr:
        self._lets()
        expr = self._typed()
        self._end()
        return expr

    # ── Programs ────────────────────────────────────────────────────────────────────

    def _params(self) -> tuple[Parameter, ...]:
        self._expect("(")
        return tuple(self._param() for _ in self._items(")"))

    def _param(self) -> Parameter:
        token = self._token
        name = self._name("a parameter")
        if name in self._names:
            self._fail(f"the parameter {name!r} is declared twice", token)
        self._expect("[")
        index = tuple(self._index() for _ in self._items("]"))
        self._expect(":")
        token = self._next()
        if token.text not in _DTYPES:
            hint = did_you_mean(token.text, [*_DTYPES])
            self._fail(f"{token.text!r} is not an element type{hint}", token)
        dtype = _DTYPES[token.text]
        try:
            self.declare(name, Param(name, dtype))
        except ExprTypeError as error:
            self._fail(str(error), token)
        return Parameter(name, dtype, index)

    def _index(self) -> str | int:
        return 1 if self._accept("1") else self._name("an axis or 1")

    def _lets(self) -> None:
        while self._accept("let"):
            token = self._token
            name = self._name("a name")
            if name in self._names:
                self._fail(f"the name {name!r} is already taken", token)
            self._expect("=")
            value = self._typed()
            self._expect(";")
            self.declare(name, value)

    def _is_list(self) -> bool:
        """Whether the parenthesis here closes at the very end and holds a comma of its own."""
        depth, comma = 0, False
        for token in self._tokens[self._at : -2]:
            depth += (token.text in "([") - (token.text in ")]")
            comma |= depth == 1 and token.text == ","
            if not depth:
                return False
        return comma

    def _results(self) -> tuple[Expr, ...]:
        self._expect("(")
        return tuple(self._typed() for _ in self._items(")"))

    # ── Expressions ─────────────────────────────────────────────────────────────────

    def _typed(self) -> Expr:
        """An expression whose type is known without a sibling's help."""
        token = self._token
        value = self._expression(1)
        if isinstance(value, _Number):
            text = value.token.text
            self._fail(f"the type of {text} is unknown; write for example f32({text})", token)
        return value

    def _expression(self, least: int) -> Expr | _Number:
        """Operators that bind at least as tightly as ``least``, and their operands."""
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            self._fail(f"the expression nests deeper than {_MAX_NESTING}; name a part with let")
        left = self._prefix(least)
        compared = False
        while (precedence := PRECEDENCE.get(self._token.text, 0)) >= least:
            operator = self._next()
            if compared and operator.text in COMPARISONS:
                self._fail("comparisons do not chain; join them by 'and'", operator)
            compared = operator.text in COMPARISONS
            left = self._apply(operator.text, [left, self._expression(precedence + 1)], operator)
        self._nesting -= 1
        return left

    def _prefix(self, least: int) -> Expr | _Number:
        for function, (symbol, precedence) in PREFIX.items():
            if self._token.text != symbol.strip():
                continue
            token = self._next()
            if precedence < least:
                self._fail(f"put parentheses around {token.text!r} and its operand", token)
            operand = self._expression(precedence)
            if isinstance(operand, _Number) and function == "neg":
                return _Number(-operand.value, operand.token)
            return self._apply(function, [operand], token)
        return self._primary()

    def _primary(self) -> Expr | _Number:
        token = self._next()
        if token.text == "(":
            value = self._expression(1)
            self._expect(")")
            return value
        if token.kind == "number":
            return self._number(token)
        if token.text in ("inf", "nan"):
            return _Number(float(token.text), token)
        if token.text in ("true", "false"):
            return Literal(token.text == "true", DType.BOOL)
        if token.kind != "name" or token.text in RESERVED_WORDS:
            self._fail(f"expected an expression, not {token.text or 'the end'!r}", token)
        if self._accept("("):
            return self._cast(token) if token.text in _DTYPES else self._call(token)
        if token.text not in self._names:
            hint = did_you_mean(token.text, [*self._names])
            self._fail(f"there is no name {token.text!r} here{hint}", token)
        return self._names[token.text]

    def _number(self, token: _Token) -> _Number:
        return _Number(int(token.text) if token.text.isdigit() else float(token.text), token)

    def _call(self, token: _Token) -> Expr:
        return self._apply(token.text, [self._expression(1) for _ in self._items(")")], token)

    def _cast(self, token: _Token) -> Expr:
        dtype = _DTYPES[token.text]
        value = self._expression(1)
        if isinstance(value, _Number):  # not a cast: the literal of that type
            self._expect(")")
            return self._literal(value, dtype)
        rounding = self._next().text if self._accept_mode(ROUNDINGS) else None
        saturate = self._accept_mode(("sat",)) and self._next().text == "sat"
        if self._token.text == ",":
            self._fail(
                f"after the value of a cast come a rounding ({', '.join(ROUNDINGS)}) and sat"
            )
        self._expect(")")
        try:
            return cast(value, dtype, rounding, saturate)
        except ExprTypeError as error:
            self._fail(str(error), token)

    def _accept_mode(self, modes: Sequence[str]) -> bool:
        """Step over a comma that is followed by one of the modes."""
        found = self._token.text == "," and self._tokens[self._at + 1].text in modes
        self._at += found
        return found

    def _apply(self, name: str, operands: list[Expr | _Number], token: _Token) -> Expr:
        """Give bare numbers the type of their siblings, then apply."""
        if name not in FUNCTIONS:
            self._fail(f"there is no function {name!r}{did_you_mean(name, FUNCTIONS)}", token)
        alike = operands[FUNCTIONS[name].conditional :]
        typed = [operand for operand in alike if isinstance(operand, Expr)]
        numbers = [operand for operand in operands if isinstance(operand, _Number)]
        if numbers and not typed:
            text = numbers[-1].token.text
            self._fail(f"no operand of {name!r} has a type; write for example f32({text})", token)
        try:
            args = [
                o if isinstance(o, Expr) else self._literal(o, typed[0].dtype) for o in operands
            ]
            return Apply(name, tuple(args))
        except ExprTypeError as error:
            self._fail(str(error), token)

    def _literal(self, number: _Number, dtype: DType) -> Literal:
        try:
            return Literal(number.value, dtype)
        except ExprTypeError as error:
            self._fail(str(error), number.token)

    # ── Tokens ──────────────────────────────────────────────────────────────────────

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._token
        if token.kind == "end":
            self._fail("the text ends too early", token)
        self._at += 1
        return token

    def _accept(self, text: str) -> bool:
        found = self._token.text == text
        self._at += found
        return found

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            self._fail(f"expected {text!r}, not {self._token.text or 'the end'!r}")

    def _items(self, closing: str) -> Iterator[None]:
        """Yield once for each item of a comma-separated list, up to and past ``closing``."""
        if self._accept(closing):
            return
        yield
        while self._accept(","):
            yield
        self._expect(closing)

    def _name(self, what: str) -> str:
        token = self._next()
        if token.kind != "name" or token.text in RESERVED_WORDS:
            self._fail(f"expected {what}, not {token.text!r}", token)
        return token.text

    def _end(self) -> None:
        if self._token.kind != "end":
            self._fail(f"unexpected {self._token.text!r} after the expression")

    def _fail(self, message: str, token: _Token | None = None) -> NoReturn:
        raise ExprSyntaxError(message, (token or self._token).position)
