"""Bases of elementwise ops: an op is its formula in the pointwise language.

The formula is the only definition. The NumPy reference interprets it, fusion
composes it, and a code generator prints it, so they cannot disagree. Operands
broadcast as in NumPy: aligned at the last dimension, extent 1 stretches.

A formula that is always the same is a class keyword; one that depends on attributes
or element types is a method::

    class Add(Binary, name="add", formula="a + b"):
        \"\"\"a + b.\"\"\"
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

from gie_core.errors import GieError
from gie_core.ir.dims import Dim, dim_max
from gie_core.ir.expr import Expr, Param, cast, substitute
from gie_core.ir.expr_numpy import evaluate_expr
from gie_core.ir.expr_parser import ExprSyntaxError, parse_expr
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType, Shape, TensorType
from gie_core.ops.operands import bracketed

__all__ = ["Binary", "Elementwise", "Unary", "broadcast_dims", "broadcast_shapes"]


class Elementwise(Op):
    """An op given by a formula over its operands' names.

    Class keywords:
        formula: its text, where neither attributes nor element types change it.
    """

    rounds_once: ClassVar[bool] = False
    """Floats of less than 32 bits are computed in f32 and only the result is rounded back; for
    formulas of several steps. Otherwise every step is rounded."""
    _text: ClassVar[str] = ""

    def __init_subclass__(cls, *, formula: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if formula:
            cls._text = formula

    def formula(self, *dtypes: DType | None) -> str:
        """The op in the pointwise language; a dtype is ``None`` where an operand is absent."""
        if not self._text:
            raise NotImplementedError(f"{type(self).__name__} must define formula()")
        return self._text

    def expression(self, *operands: Expr | None) -> Expr:
        template = self._template(*(None if o is None else o.dtype for o in operands))
        names = (spec.name for spec in self.operand_specs())
        present = zip(names, operands, strict=False)
        return substitute(template, {name: o for name, o in present if o is not None})

    def _template(self, *dtypes: DType | None) -> Expr:
        names = (spec.name for spec in self.operand_specs())
        present = tuple((n, d) for n, d in zip(names, dtypes, strict=False) if d is not None)
        if self.rounds_once:
            return _parse_wide(self.formula(*(d and _wide(d) for d in dtypes)), present)
        return _parse(self.formula(*dtypes), present)

    def _infer(self, *types: TensorType | None) -> TensorType:
        """Type of the result; ``None`` for absent operands."""
        present = [t for t in types if t is not None]
        try:
            dtype = self._template(*(None if t is None else t.dtype for t in types)).dtype
        except GieError as error:
            given = ", ".join(map(str, present))
            # Where in the formula the error is says nothing to the user, who did not write it.
            reason = error.reason if isinstance(error, ExprSyntaxError) else str(error)
            raise OpError(f"not defined for {given}: {reason}") from error
        return TensorType(dtype, broadcast_shapes(*(t.dims for t in present)))

    def _compute(self, *arrays: Array | None) -> Array:
        template = self._template(*(None if a is None else DType.of(a.dtype) for a in arrays))
        names = (spec.name for spec in self.operand_specs())
        present = zip(names, arrays, strict=False)
        return evaluate_expr(template, {name: a for name, a in present if a is not None})


class Unary(Elementwise):
    """f(x)."""

    def infer(self, x: TensorType) -> TensorType:
        return self._infer(x)

    def compute(self, x: Array) -> Array:
        return self._compute(x)


class Binary(Elementwise):
    """f(a, b)."""

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        return self._infer(a, b)

    def compute(self, a: Array, b: Array) -> Array:
        return self._compute(a, b)


def broadcast_dims(a: Dim, b: Dim) -> Dim:
    """The extent of two aligned dimensions.

    A symbol beside an int > 1 must turn out to be that int or 1; two different
    symbols must turn out equal, or one of them 1 and the other not 0.

    Raises:
        OpError: they are ints that neither agree nor are 1.
    """
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    if isinstance(a, int) and isinstance(b, int):
        raise OpError(f"extents {a} and {b} do not broadcast")
    if isinstance(a, int) or isinstance(b, int):
        return a if isinstance(a, int) else b
    return dim_max(a, b)


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape of the elementwise combination of tensors of these shapes.

    Raises:
        OpError: the shapes do not broadcast.
    """
    rank = max(map(len, shapes), default=0)
    result: list[Dim] = [1] * rank
    for shape in shapes:
        for position, extent in enumerate(shape, rank - len(shape)):
            try:
                result[position] = broadcast_dims(result[position], extent)
            except OpError as error:
                texts = " and ".join(map(bracketed, shapes))
                raise OpError(f"shapes {texts} do not broadcast: {error}") from None
    return tuple(result)


def _wide(dtype: DType) -> DType:
    """The type in which a formula that rounds once is computed."""
    return DType.F32 if dtype.is_float and dtype.bits < 32 else dtype


@cache
def _parse(formula: str, operands: tuple[tuple[str, DType], ...]) -> Expr:
    return parse_expr(formula, dict(operands))


@cache
def _parse_wide(formula: str, operands: tuple[tuple[str, DType], ...]) -> Expr:
    inner = parse_expr(formula, {name: _wide(dtype) for name, dtype in operands})
    widened = {name: cast(Param(name, dtype), _wide(dtype)) for name, dtype in operands}
    first = operands[0][1]
    result = substitute(inner, widened)
    return cast(result, first) if result.dtype is _wide(first) else result
