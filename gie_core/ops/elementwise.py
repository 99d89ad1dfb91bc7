"""Bases of elementwise ops: an op is its formula in the pointwise language.

The formula is the only definition. The NumPy reference interprets it, fusion
composes it, and a code generator prints it, so they cannot disagree. Operands
broadcast as in NumPy: aligned at the last dimension, extent 1 stretches.
"""

from __future__ import annotations

from functools import cache

from gie_core.ir.dims import Dim, dim_max
from gie_core.ir.expr import Expr, substitute
from gie_core.ir.expr_numpy import evaluate_expr
from gie_core.ir.expr_text import parse_expr
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType, Shape, TensorType

__all__ = ["Binary", "Elementwise", "Ternary", "Unary", "broadcast_dims", "broadcast_shapes"]


class Elementwise(Op):
    """An op given by a formula over its operands' names."""

    def formula(self, *dtypes: DType) -> str:
        """The op in the pointwise language; ``dtypes`` are those of the present operands."""
        raise NotImplementedError(f"{type(self).__name__} must define formula()")

    def names(self, count: int) -> tuple[str, ...]:
        """Names that the formula uses for the first ``count`` operands."""
        return tuple(spec.name for spec in self.operand_specs()[:count])

    def expression(self, *operands: Expr) -> Expr:
        names = self.names(len(operands))
        template = self._template(*(operand.dtype for operand in operands))
        return substitute(template, dict(zip(names, operands, strict=True)))

    def _template(self, *dtypes: DType) -> Expr:
        names = self.names(len(dtypes))
        return _parse(self.formula(*dtypes), tuple(zip(names, dtypes, strict=True)))

    def _infer(self, *types: TensorType) -> TensorType:
        """Type of the result of the present operands."""
        try:
            dtype = self._template(*(t.dtype for t in types)).dtype
        except ValueError as error:
            given = ", ".join(str(t) for t in types)
            raise OpError(f"not defined for {given}: {error}") from error
        return TensorType(dtype, broadcast_shapes(*(t.dims for t in types)))

    def _compute(self, *arrays: Array) -> Array:
        names = self.names(len(arrays))
        template = self._template(*(DType.of(a.dtype) for a in arrays))
        return evaluate_expr(template, dict(zip(names, arrays, strict=True)))


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


class Ternary(Elementwise):
    """f(a, b, c)."""

    def infer(self, a: TensorType, b: TensorType, c: TensorType) -> TensorType:
        return self._infer(a, b, c)

    def compute(self, a: Array, b: Array, c: Array) -> Array:
        return self._compute(a, b, c)


def broadcast_dims(a: Dim, b: Dim) -> Dim:
    """The extent of two aligned dimensions.

    A symbol beside an int > 1 must turn out to be that int or 1; two different
    symbols must turn out equal, or one of them 1.

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
                texts = " and ".join(f"[{', '.join(map(str, s))}]" for s in shapes)
                raise OpError(f"shapes {texts} do not broadcast: {error}") from None
    return tuple(result)


@cache
def _parse(formula: str, operands: tuple[tuple[str, DType], ...]) -> Expr:
    return parse_expr(formula, dict(operands))
