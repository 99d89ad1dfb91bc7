"""Pointwise and elementwise nodes: all operations in one pass over memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gie_core.ir.expr import Expr
from gie_core.ir.graph import Node, Value
from gie_core.ir.types import Array, TensorType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Format, Strides, row_major
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.extents import as_ints
from gie_kernels_numba.compiled import Part, compiled
from gie_kernels_numba.formula import Formula, arranged, formula_of
from gie_kernels_numba.loops import Numbers, Operand, indented, kernel_source, operand
from gie_kernels_numba.method import RATE, Method
from gie_kernels_numba.scalar import Scalar, count_steps, refusal, scalar
from gie_kernels_numba.threads import split

__all__ = ["STEP", "PointwiseLoop", "collapse", "loop_over"]

STEP = 0.015
"""Nanoseconds of an elementary step, in vectors, besides reading and writing."""

ORDERS = ("NCHW", "NHWC")


class PointwiseLoop(Method):
    """One loop over all elements, those of a row in vectors.

    Candidates are called by the order of the axes: "NCHW" and "NHWC", or "row-major" where the
    rank is not 4.
    """

    def supports(self, node: Node) -> Support:
        formula = formula_of(node)
        reason = formula if isinstance(formula, str) else refusal(formula.result)
        return Support.no(reason) if reason else Support.yes()

    def candidates(self, node: Node) -> Sequence[Candidate]:
        formula = _checked(node)
        result = node.result.tensor
        return [
            Candidate(
                name,
                tuple(_format(value, result, name) for value in node.operands),
                (Format(result.dtype, _order(name, result.rank), Strides.PITCHED),),
                work=_work(node, formula),
            )
            for name in (ORDERS if result.rank == 4 else ("row-major",))
        ]

    def prepack(self, node: Node) -> Sequence[Array]:
        return [v.data for v in node.operands if v is not None and v.data is not None]

    def bind(self, node: Node, candidate: str, memory: Memory) -> Launch:
        formula = _checked(node)
        (result,) = memory.results
        order = _order(candidate, result.ndim)
        constants = iter(memory.constants)
        arrays = [
            next(constants) if value is not None and value.data is not None else array
            for value, array in zip(node.operands, memory.operands, strict=True)
        ]
        reads = {
            param.name: np.broadcast_to(
                arranged(arrays[position], index, formula.axes), result.shape
            ).transpose(order)
            for param, position, index in zip(
                formula.params, formula.positions, formula.indices, strict=True
            )
        }
        part = loop_over(formula.result, reads, result.transpose(order))
        time = result.size * STEP * (2 + count_steps(formula.result))
        return split(part, result.size, time)


def loop_over(expr: Expr, reads: Mapping[str, Array], result: Array, own: str = "") -> Part:
    """The loop that computes an expression of each element, counted in the order of the axes.

    Args:
        expr: is not refused.
        reads: the array for each parameter, of the result's shape.
        result: where to; with its axes from the slowest to the fastest.
        own: the parameter that stands for what the result's element was before.
    """
    *merged, written = collapse([*reads.values(), result])
    operands = [operand(f"a{n}", array) for n, array in enumerate(merged)]
    target = operand("y", written, written=True)
    names = {name: o.element for name, o in zip(reads, operands, strict=True)}
    code = scalar(expr, {**names, own: target.element})
    numbers = Numbers()
    *outer, inner = written.shape
    numbers.add(inner=inner, **{f"n{place}": n for place, n in enumerate(outer)})
    for each in (*operands, target):
        each.describe(numbers)
    body = _body(len(outer), [*operands, target], code)
    source = kernel_source(code.library, numbers, [o.name for o in operands], body)
    return compiled(source, numbers.array, [each.flat for each in (*operands, target)])


def collapse(arrays: Sequence[Array]) -> list[Array]:
    """Views with as few axes as possible, at least one, whose order in memory is kept.

    Args:
        arrays: of one shape, perhaps broadcast to it.
    """
    shape = arrays[0].shape
    kept: list[tuple[int, list[int]]] = []  # extents, and the strides of each array
    for axis, extent in enumerate(shape):
        strides = [array.strides[axis] for array in arrays]
        if extent == 1:
            continue
        if kept and all(s == t * extent for s, t in zip(kept[-1][1], strides, strict=True)):
            kept[-1] = kept[-1][0] * extent, strides
        else:
            kept.append((extent, strides))
    extents = [extent for extent, _ in kept] or [1]
    by_array = list(zip(*(strides for _, strides in kept), strict=True)) or [(0,)] * len(arrays)
    return [
        as_strided(array, extents, strides, writeable=array.flags.writeable)
        for array, strides in zip(arrays, by_array, strict=True)
    ]


def _body(outer: int, operands: Sequence[Operand], code: Scalar) -> Iterable[str]:
    """Rows, the first and the last of which may begin and end anywhere."""
    indices = [f"i{place}" for place in range(outer)]
    yield "at = begin"
    yield "while at < end:"
    row = ["row = at // inner", "first = at - row * inner", "last = min(inner, first + end - at)"]
    for place in reversed(range(outer)):
        row += [f"i{place} = row % n{place}", f"row = row // n{place}"]
    for each in operands:
        row += each.enter(indices)
    row.append("for c in range(uint64(first), uint64(last)):")
    row += indented([*code.lines, f"{operands[-1].element} = {code.result}"])
    row.append("at += last - first")
    yield from indented(row)


def _checked(node: Node) -> Formula:
    formula = formula_of(node)
    if isinstance(formula, str):
        raise TypeError(f"{node}: {formula}")
    return formula


def _order(candidate: str, rank: int) -> tuple[int, ...]:
    return (0, *range(2, rank), 1) if candidate == "NHWC" else tuple(range(rank))


def _format(value: Value | None, result: TensorType, candidate: str) -> Format | None:
    """Operands as large as the result lie in its order, smaller ones row-major."""
    if value is None or value.data is not None:
        return None
    type_ = value.tensor
    if type_.shape != result.shape:
        return row_major(type_, Strides.PITCHED)
    return Format(type_.dtype, _order(candidate, type_.rank), Strides.PITCHED)


def _work(node: Node, formula: Formula) -> Work:
    size = math.prod(as_ints(node.result.tensor.dims))
    values = (value for value in (*node.operands, *node.results) if value is not None)
    moved = sum(4 * math.prod(as_ints(value.tensor.dims)) for value in values)
    return Work(steps=size * STEP * RATE * count_steps(formula.result), bytes=moved)
