"""Elementwise nodes as pointwise programs, and the composition of two programs.

Programs made here name their axes ``d0, d1, …`` and their parameters ``x0, x1, …``, so that equal
computations have equal programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gie_core.ir.expr import (
    Expr,
    ExprTypeError,
    Literal,
    Param,
    Parameter,
    Program,
    substitute_all,
)
from gie_core.ir.graph import Node, Value
from gie_core.ir.op import Op
from gie_core.ir.rewrite import Refusal
from gie_core.ir.types import Shape
from gie_core.ops.elementwise import Elementwise
from gie_core.ops.pointwise import Pointwise
from gie_core.ops.quantize import Dequantize, Quantize
from gie_passes_fusion.values import scalar_of, shape_of

__all__ = ["Computation", "Read", "compose", "computation_of", "is_pointwise"]

ELEMENTWISE = (Elementwise, Quantize, Dequantize)
Index = tuple[str | int, ...]


@dataclass(frozen=True)
class Read:
    """An operand as a computation reads it: which axis runs along each of its dimensions."""

    value: Value
    index: Index


@dataclass(frozen=True)
class Computation:
    """Results as functions of reads; ``results`` name the reads ``x0, x1, …`` in order."""

    reads: tuple[Read, ...]
    rank: int
    results: tuple[Expr, ...]

    @property
    def op(self) -> Pointwise:
        """The op that computes it from ``operands``."""
        params = tuple(
            Parameter(f"x{i}", read.value.tensor.dtype, read.index)
            for i, read in enumerate(self.reads)
        )
        return Pointwise(program=Program(params, _axis_names(self.rank), self.results))

    @property
    def operands(self) -> tuple[Value, ...]:
        """One value a parameter."""
        return tuple(read.value for read in self.reads)

    def reads_of(self, value: Value) -> tuple[Read, ...]:
        """All reads of one value."""
        return tuple(read for read in self.reads if read.value is value)

    def covers(self, read: Read) -> bool:
        """Whether the read has exactly one element for each point of the iteration space."""
        return read.index == _axis_names(self.rank)


def is_pointwise(node: Node | None) -> bool:
    """Whether every element of the results depends on one element of each operand."""
    return node is not None and isinstance(node.op, (*ELEMENTWISE, Pointwise))


def computation_of(node: Node) -> Computation | Refusal:
    """What an elementwise or pointwise node computes, constants of one element as literals.

    Returns:
        The computation, or why it can't be said in the pointwise language.
    """
    if isinstance(node.op, Pointwise):
        return _of_program(node.op.program, node.operands)
    shape = shape_of(node.result)
    if shape is None:
        return Refusal(f"the rank of %{node.result.name} is unknown")
    arguments: list[Expr | None] = []
    reads: list[Read] = []
    try:
        for operand in node.operands:
            if operand is None:
                arguments.append(None)
                continue
            index = _index(node, operand, shape)
            if isinstance(index, Refusal):
                return index
            arguments.append(Param(f"x{len(reads)}", operand.tensor.dtype))
            reads.append(Read(operand, index))
        result = _expression(node.op, arguments)
    except ExprTypeError as error:
        return Refusal(str(error))
    if result is None:
        return Refusal(f"{node.op.name} is not in the pointwise language")
    return _collected(reads, len(shape), (result,))


def compose(
    inner: Computation, values: Sequence[Value], outer: Computation, kept: Sequence[Value] = ()
) -> Computation:
    """``outer`` with its reads of ``values`` replaced by what ``inner`` computes for them.

    Args:
        inner: computes ``values``, in this order.
        values: some or all of which ``outer`` reads.
        outer: its results come first.
        kept: those of ``values`` that are results too; then both have the same axes.
    """
    reads: list[Read] = []
    replacements: dict[str, Expr] = {}
    for position, read in enumerate(outer.reads):
        if not any(read.value is value for value in values):
            replacements[f"x{position}"] = _append(reads, read)
            continue
        axes = dict(zip(_axis_names(inner.rank), read.index, strict=True))
        renamed = {
            f"x{i}": _append(reads, Read(r.value, _reindexed(r.index, axes)))
            for i, r in enumerate(inner.reads)
        }
        which = next(i for i, value in enumerate(values) if value is read.value)
        replacements[f"x{position}"] = substitute_all((inner.results[which],), renamed)[0]
    results = substitute_all(outer.results, replacements)
    if kept:
        again = {f"x{i}": _append(reads, read) for i, read in enumerate(inner.reads)}
        indices = [i for i, value in enumerate(values) if value in kept]
        results += substitute_all([inner.results[i] for i in indices], again)
    return _collected(reads, outer.rank, results)


def _append(reads: list[Read], read: Read) -> Param:
    reads.append(read)
    return Param(f"x{len(reads) - 1}", read.value.tensor.dtype)


def _reindexed(index: Index, axes: Mapping[str, str | int]) -> Index:
    return tuple(axes[entry] if isinstance(entry, str) else entry for entry in index)


def _of_program(program: Program, operands: Sequence[Value | None]) -> Computation:
    axes = dict(zip(program.axes, _axis_names(len(program.axes)), strict=True))
    reads: list[Read] = []
    names: dict[str, Expr] = {}
    for param, operand in zip(program.params, operands, strict=True):
        assert operand is not None
        names[param.name] = _append(reads, Read(operand, _reindexed(param.index, axes)))
    return _collected(reads, len(program.axes), substitute_all(program.results, names))


def _collected(reads: Sequence[Read], rank: int, results: tuple[Expr, ...]) -> Computation:
    """Number the reads anew: equal ones become one, and constants of one element literals."""
    numbers: dict[Read, int] = {}
    replacements: dict[str, Expr] = {}
    varying = [read for read in reads if scalar_of(read.value) is None]
    literals = _covers_all([read.index for read in varying], rank)
    for position, read in enumerate(reads):
        dtype, scalar = read.value.tensor.dtype, scalar_of(read.value)
        if scalar is not None and literals:
            replacements[f"x{position}"] = Literal(scalar, dtype)
        else:
            number = numbers.setdefault(read, len(numbers))
            replacements[f"x{position}"] = Param(f"x{number}", dtype)
    return Computation(tuple(numbers), rank, substitute_all(results, replacements))


def _covers_all(indices: Iterable[Index], rank: int) -> bool:
    """Whether every axis gets its extent from one of the operands."""
    return len({entry for index in indices for entry in index if isinstance(entry, str)}) == rank


def _expression(op: Op, arguments: Sequence[Expr | None]) -> Expr | None:
    if isinstance(op, Elementwise):
        return op.expression(*arguments)
    assert isinstance(op, Quantize | Dequantize)
    # The formula of one element; _index says which scale it gets.
    return op.replace(axis=None, block=0).expression(*(a for a in arguments if a is not None))


def _index(node: Node, operand: Value, shape: Shape) -> Index | Refusal:
    """How an operand lies in the node's iteration space."""
    dims, op = shape_of(operand), node.op
    if not isinstance(op, Quantize | Dequantize) or operand is node.operands[0]:
        return _aligned_index(operand, shape)
    if dims is None or all(extent == 1 for extent in dims):
        return _aligned_index(operand, shape)
    if op.block or op.axis is None:
        return Refusal(f"%{operand.name} holds one number for a block of elements")
    return (_axis_names(len(shape))[op.axis],)


def _aligned_index(operand: Value, shape: Shape) -> Index | Refusal:
    """How an operand broadcasts to a shape."""
    dims = shape_of(operand)
    if dims is None:
        return Refusal(f"the rank of %{operand.name} is unknown")
    axes = _axis_names(len(shape))[len(shape) - len(dims) :]
    index: list[str | int] = []
    for extent, wanted, axis in zip(dims, shape[len(shape) - len(dims) :], axes, strict=True):
        if extent == wanted:
            index.append(axis)
        elif extent == 1:
            index.append(1)
        else:
            return Refusal(f"whether %{operand.name} broadcasts from {extent} to {wanted} is open")
    return tuple(index)


def _axis_names(rank: int) -> tuple[str, ...]:
    return tuple(f"d{axis}" for axis in range(rank))
