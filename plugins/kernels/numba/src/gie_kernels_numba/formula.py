"""A node as one expression over its operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from gie_core.ir.expr import Expr, Literal, Param
from gie_core.ir.graph import Node, Value
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.elementwise import Elementwise
from gie_core.ops.pointwise import Pointwise

__all__ = ["Formula", "arranged", "formula_of"]


@dataclass(frozen=True)
class Formula:
    """What a node computes at each point of an iteration space.

    Args:
        params: the parameters that stand for operands.
        indices: for each, the axes of the iteration space that its dimensions run along, or 1.
        positions: for each, which operand it is.
        axes: of the iteration space, which is the result's shape.
        result: the expression.
    """

    params: tuple[Param, ...]
    indices: tuple[tuple[str | int, ...], ...]
    positions: tuple[int, ...]
    axes: tuple[str, ...]
    result: Expr


def formula_of(node: Node) -> Formula | str:
    """The formula of a pointwise or elementwise node of f32, or why there is none."""
    if len(node.results) != 1:
        return "it has several results"
    for value in (*node.operands, *node.results):
        if value is not None and value.tensor.dtype is not DType.F32:
            return f"%{value.name} is {value.tensor.dtype}, not f32"
    if isinstance(node.op, Pointwise):
        program = node.op.program
        return Formula(
            tuple(Param(param.name, param.dtype) for param in program.params),
            tuple(param.index for param in program.params),
            tuple(range(len(program.params))),
            program.axes,
            program.results[0],
        )
    if isinstance(node.op, Elementwise):
        return _elementwise(node)
    return f"{node.op.name} is not computed element by element"


def arranged(array: Array, index: Sequence[str | int], axes: Sequence[str]) -> Array:
    """An operand in the iteration space, with extent 1 where it doesn't vary."""
    kept = [place for place, axis in enumerate(index) if axis != 1]
    dropped = [place for place, axis in enumerate(index) if axis == 1]
    kept.sort(key=lambda place: axes.index(str(index[place])))
    expanded = (slice(None) if axis in index else None for axis in axes)
    # With "..." NumPy gives a view even of rank 0.
    return array.transpose(kept + dropped)[(*expanded, ..., *(0 for _ in dropped))]


def _elementwise(node: Node) -> Formula | str:
    """An elementwise op; its constants of rank 0 become literals."""
    arguments = [_argument(operand, n) for n, operand in enumerate(node.operands)]
    expr = cast("Elementwise", node.op).expression(*arguments)
    result = node.result.tensor
    axes = tuple(f"d{axis}" for axis in range(result.rank))
    found = [(n, a) for n, a in enumerate(arguments) if isinstance(a, Param)]
    if not found:
        return "all its operands are constant"
    return Formula(
        tuple(param for _, param in found),
        tuple(_broadcast_index(_type(node, n), axes, result) for n, _ in found),
        tuple(n for n, _ in found),
        axes,
        expr,
    )


def _argument(operand: Value | None, position: int) -> Expr | None:
    if operand is None:
        return None
    if operand.data is None or operand.data.ndim:
        return Param(f"x{position}", DType.F32)
    return Literal(float(operand.data), DType.F32)


def _broadcast_index(
    operand: TensorType, axes: tuple[str, ...], result: TensorType
) -> tuple[str | int, ...]:
    """The axes that an operand's dimensions run along if it broadcasts as in NumPy."""
    first = len(axes) - operand.rank
    extents = zip(axes[first:], operand.dims, result.dims[first:], strict=True)
    return tuple(axis if n == full else 1 for axis, n, full in extents)


def _type(node: Node, position: int) -> TensorType:
    operand = node.operands[position]
    if operand is None:
        raise TypeError(f"{node} has no operand {position}")
    return operand.tensor
