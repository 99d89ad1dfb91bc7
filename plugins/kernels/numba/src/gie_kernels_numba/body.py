"""A convolution, and the pointwise programs behind it in a group, as one expression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from gie_core.ir.expr import Expr, Param, substitute
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.types import DType
from gie_core.ops.group import Group
from gie_core.ops.pointwise import Pointwise
from gie_kernels_numba.formula import formula_of

__all__ = ["SUM", "Body", "Read", "body_of", "operand_of"]

SUM = "sum"
"""The parameter that stands for the convolution's result."""


@dataclass(frozen=True)
class Read:
    """An operand that the programs read.

    Args:
        value: as the body has it.
        index: for each dimension, the axis of the result that it runs along, or ``None``.
    """

    value: Value
    index: tuple[int | None, ...]


@dataclass(frozen=True)
class Body:
    """What is computed together.

    Args:
        first: the convolution.
        reads: the operands of the programs, but for the result before.
        result: over the parameters ``SUM``, "r0", "r1", … for the reads.
        outer: the node's operand for each value that the body reads.
    """

    first: Node
    reads: tuple[Read, ...]
    result: Expr
    outer: Mapping[Value, Value | None]


def body_of(node: Node) -> Body | str:
    """The body of a single node or of a group; or why it isn't run as one."""
    if not isinstance(node.op, Group):
        outer = {value: value for value in node.operands if value is not None}
        return Body(node, (), Param(SUM, DType.F32), outer)
    body = node.op.body
    if body.constants or not body.nodes:
        return "its body is no kernel with programs behind it"
    first, *others = body.nodes
    if len(first.results) != 1:
        return f"{first.op.name} has several results"
    chain = _chain(body, first, others)
    if isinstance(chain, str):
        return chain
    reads, result = chain
    if {read.value for read in reads} & set(first.operands[1:]):
        return "a weight is read by a program too"
    return Body(first, reads, result, dict(zip(body.inputs, node.operands, strict=True)))


def _chain(body: Graph, first: Node, others: list[Node]) -> tuple[tuple[Read, ...], Expr] | str:
    """What the programs read, and the last one's result."""
    value, expr = first.result, cast("Expr", Param(SUM, DType.F32))
    reads: list[Read] = []
    for node in others:
        if not isinstance(node.op, Pointwise) or node.operands.count(value) != 1:
            return f"%{node.results[0].name} is no program that reads the result before it"
        if len(value.uses) != 1 or body.is_output(value):
            return f"%{value.name} is read elsewhere too"
        formula = formula_of(node)
        if isinstance(formula, str):
            return formula
        position = node.operands.index(value)
        if formula.indices[position] != formula.axes:
            return f"%{node.result.name} reads %{value.name} in another order"
        replacements: dict[str, Expr] = {}
        for n, param in enumerate(formula.params):
            if n == position:
                replacements[param.name] = expr
                continue
            replacements[param.name] = Param(f"r{len(reads)}", DType.F32)
            places = (None if a == 1 else formula.axes.index(str(a)) for a in formula.indices[n])
            reads.append(Read(operand_of(node, n), tuple(places)))
        value, expr = node.result, substitute(formula.result, replacements)
    if body.outputs != (value,):
        return "the last program's result is not the group's only one"
    return tuple(reads), expr


def operand_of(node: Node, position: int) -> Value:
    """An operand that is there."""
    value = node.operands[position]
    if value is None:
        raise TypeError(f"{node} has no operand {position}")
    return value
