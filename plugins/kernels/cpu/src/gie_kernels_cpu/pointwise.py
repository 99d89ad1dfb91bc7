"""Pointwise nodes, and elementwise ones, which are pointwise programs with one result."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from gie_core.ir.expr import Expr, Literal, Param, count_nodes
from gie_core.ir.graph import Node
from gie_core.ir.types import Array, DType, TensorType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Format, Strides, row_major
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.elementwise import Elementwise
from gie_core.ops.extents import as_ints
from gie_core.ops.pointwise import Pointwise
from gie_kernels_cpu.blocks import Region
from gie_kernels_cpu.formats import narrowed, ordered, variants
from gie_kernels_cpu.kernel import Constants, Epilogue, Method, static_support, stored_as
from gie_kernels_cpu.program import BLOCK, CompiledProgram

__all__ = ["ElementwiseProgram", "PointwiseProgram"]


@dataclass(frozen=True)
class _Formula:
    """A node as expressions over its operands.

    Args:
        params: the parameters.
        indices: for each, the axes of the iteration space that its dimensions run along, or 1.
        positions: for each, the number of the operand that it stands for.
        axes: of the iteration space.
        results: one expression a result.
    """

    params: tuple[Param, ...]
    indices: tuple[tuple[str | int, ...], ...]
    positions: tuple[int, ...]
    axes: tuple[str, ...]
    results: tuple[Expr, ...]

    def arranged(self, number: int, array: Array) -> Array:
        """A parameter's operand in the iteration space, extent 1 where it does not vary."""
        index = self.indices[number]
        kept = [place for place, axis in enumerate(index) if axis != 1]
        dropped = [place for place, axis in enumerate(index) if axis == 1]
        kept.sort(key=lambda place: self.axes.index(str(index[place])))
        expanded = (slice(None) if axis in index else None for axis in self.axes)
        # With "..." NumPy gives a view even of rank 0.
        return array.transpose(kept + dropped)[(*expanded, ..., *(0 for _ in dropped))]


class _Program(Method):
    """Runs formulas, in blocks that stay in the cache."""

    @abstractmethod
    def formula(self, node: Node, known: Sequence[Array | None]) -> _Formula:
        """The node's formula.

        Args:
            known: for each operand, its value if it is constant.
        """

    def supports(self, node: Node) -> Support:
        return static_support(node)

    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        known = [constants(operand) for operand in node.operands]
        formula = self.formula(node, known)
        types = [value.tensor for value in node.results]
        has_f32 = any(type_.dtype is DType.F32 for type_ in _moved(node))
        dtype = DType.F32 if has_f32 else types[0].dtype
        found: list[Candidate] = []
        for name, storage in variants(types[0].rank, dtype):
            operands = tuple(
                None
                if value is None or array is not None
                else _format(name, value.tensor, types[0], storage)
                for value, array in zip(node.operands, known, strict=True)
            )
            results = tuple(ordered(name, t, narrowed(t.dtype, storage)) for t in types)
            program = self._program(node, formula, known, name)
            found.append(
                Candidate(
                    name,
                    operands,
                    results,
                    workspace=program.workspace,
                    work=_work(formula, operands, results, node),
                    in_place=tuple(_in_place(formula, node, operands, results)),
                )
            )
        return found

    def prepack(self, node: Node, candidate: str, constants: Constants) -> Sequence[Array]:
        known = (constants(operand) for operand in node.operands)
        return [array for array in known if array is not None]

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        arrays, known = _operands(node, memory)
        formula = self.formula(node, known)
        program = self._program(node, formula, known, candidate)
        arranged = [
            formula.arranged(number, arrays[position])
            for number, position in enumerate(formula.positions)
        ]
        return [program.bind(arranged, memory.results, memory.workspace)]

    # ── As the end of another kernel ────────────────────────────────────────────────

    def can_follow(self, node: Node, position: int) -> bool:
        """Whether the node can run in the memory of its operand at ``position``."""
        operand = node.operands[position]
        if operand is None or len(node.results) != 1 or operand.tensor != node.result.tensor:
            return False
        formula = self.formula(node, [None] * len(node.operands))
        return formula.indices[formula.positions.index(position)] == formula.axes

    def epilogue_workspace(self, node: Node, constants: Constants) -> int:
        """Bytes of scratch memory that ``epilogue`` needs."""
        known = [constants(operand) for operand in node.operands]
        formula = self.formula(node, known)
        return self._program(node, formula, known, "").workspace

    def epilogue(self, node: Node, position: int, memory: Memory) -> Epilogue:
        """The node as an epilogue of what computes its operand at ``position``.

        Args:
            memory: as for ``bind``, without results and without the operand at ``position``.
        """
        arrays, known = _operands(node, memory, position)
        formula = self.formula(node, known)
        program = self._program(node, formula, known, "")
        arranged = {
            number: formula.arranged(number, arrays[position])
            for number, position in enumerate(formula.positions)
            if position in arrays
        }

        def bind(part: Array, region: Region) -> Launch:
            parts = [
                _part(arranged[number], region) if number in arranged else part
                for number in range(len(formula.positions))
            ]
            return program.bind(parts, [part], memory.workspace)

        return bind

    def _program(
        self, node: Node, formula: _Formula, known: Sequence[Array | None], candidate: str
    ) -> CompiledProgram:
        """The formula for operands as a candidate stores them; constants are as they were."""
        operands = [_value(node, position) for position in formula.positions]
        full = node.results[0].tensor
        shapes = [
            formula.arranged(number, np.broadcast_to(np.False_, _extents(type_))).shape
            for number, type_ in enumerate(operands)
        ]
        storage = stored_as(candidate, DType.F32)
        dtypes = [
            narrowed(t.dtype, storage).numpy
            if t.shape == full.shape and known[position] is None
            else t.dtype.numpy
            for t, position in zip(operands, formula.positions, strict=True)
        ]
        stored = [narrowed(r.dtype, storage).numpy for r in formula.results]
        pieces = list(zip(shapes, dtypes, strict=True))
        return CompiledProgram(formula.params, formula.results, pieces, stored)


class PointwiseProgram(_Program):
    """``pointwise``: any program."""

    def formula(self, node: Node, known: Sequence[Array | None]) -> _Formula:
        program = cast("Pointwise", node.op).program
        return _Formula(
            tuple(Param(param.name, param.dtype) for param in program.params),
            tuple(param.index for param in program.params),
            tuple(range(len(program.params))),
            program.axes,
            program.results,
        )


class ElementwiseProgram(_Program):
    """An op that is a formula in the pointwise language; constants of rank 0 become literals."""

    def formula(self, node: Node, known: Sequence[Array | None]) -> _Formula:
        arguments = [
            None if operand is None else _argument(operand.tensor.dtype, position, value)
            for position, (operand, value) in enumerate(zip(node.operands, known, strict=True))
        ]
        if not any(isinstance(argument, Param) for argument in arguments):
            # All are constant, but something has to give the shape.
            arguments = [a and Param(f"x{p}", a.dtype) for p, a in enumerate(arguments)]
        expr = cast("Elementwise", node.op).expression(*arguments)
        axes = tuple(f"d{axis}" for axis in range(node.result.tensor.rank))
        positions = [p for p, argument in enumerate(arguments) if isinstance(argument, Param)]
        return _Formula(
            tuple(a for a in arguments if isinstance(a, Param)),
            tuple(_broadcast_index(_value(node, p), axes, node.result.tensor) for p in positions),
            tuple(positions),
            axes,
            (expr,),
        )


def _argument(dtype: DType, position: int, value: Array | None) -> Expr:
    if value is None or value.ndim:
        return Param(f"x{position}", dtype)
    if dtype is DType.BOOL:
        return Literal(bool(value), dtype)
    return Literal(int(value) if dtype.is_integer else float(value), dtype)


def _broadcast_index(
    operand: TensorType, axes: tuple[str, ...], result: TensorType
) -> tuple[str | int, ...]:
    """The axes that an operand's dimensions run along if it broadcasts as in NumPy."""
    last = axes[len(axes) - operand.rank :]
    extents = result.dims[len(axes) - operand.rank :]
    return tuple(
        axis if n == full else 1 for axis, n, full in zip(last, operand.dims, extents, strict=True)
    )


# ── Operands ────────────────────────────────────────────────────────────────────────


def _operands(
    node: Node, memory: Memory, fused: int | None = None
) -> tuple[dict[int, Array], list[Array | None]]:
    """The arrays of the present operands by position, and the constants among them."""
    packed = iter(memory.constants)
    arrays: dict[int, Array] = {}
    known: list[Array | None] = [None] * len(node.operands)
    for position, operand in enumerate(node.operands):
        if operand is None or position == fused:
            continue
        array = memory.operands[position]
        if array is None:
            array = known[position] = next(packed)
        arrays[position] = array
    return arrays, known


def _moved(node: Node) -> list[TensorType]:
    """The types of the results, and of the operands of their shape."""
    results = [value.tensor for value in node.results]
    operands = [value.tensor for value in node.operands if value is not None]
    return [*results, *(type_ for type_ in operands if type_.shape == results[0].shape)]


def _format(candidate: str, type_: TensorType, result: TensorType, storage: DType) -> Format:
    """Operands as large as the result lie in its order, smaller ones anyhow."""
    if type_.shape != result.shape:
        return row_major(type_, Strides.ANY)
    strides = Strides.PITCHED if type_.rank == 4 else Strides.ANY
    return ordered(candidate, type_, narrowed(type_.dtype, storage), strides)


def _in_place(
    formula: _Formula,
    node: Node,
    operands: Sequence[Format | None],
    results: Sequence[Format],
) -> Iterator[tuple[int, int]]:
    """The operands in whose memory the only result may be computed."""
    if len(results) != 1:
        return
    for number, position in enumerate(formula.positions):
        found = operands[position]
        if found is None or _value(node, position).shape != node.result.tensor.shape:
            continue
        if found.dtype is results[0].dtype and formula.indices[number] == formula.axes:
            yield 0, position


def _work(
    formula: _Formula,
    operands: Sequence[Format | None],
    results: Sequence[Format],
    node: Node,
) -> Work:
    size = _size(node.results[0].tensor)
    steps = max(1, count_nodes(*formula.results))
    moved = size * sum(format_.dtype.numpy.itemsize for format_ in results)
    for value, format_ in zip(node.operands, operands, strict=True):
        if value is not None and format_ is not None:
            moved += _size(value.tensor) * format_.dtype.numpy.itemsize
    return Work(steps=steps * size, bytes=moved, calls=steps * -(-size // BLOCK))


def _part(array: Array, region: Region) -> Array:
    places = (r if n > 1 else slice(None) for r, n in zip(region, array.shape, strict=True))
    return array[(*places, ...)]


def _value(node: Node, position: int) -> TensorType:
    operand = node.operands[position]
    assert operand is not None  # formulas have no parameters for absent operands
    return operand.tensor


def _size(type_: TensorType) -> int:
    return math.prod(_extents(type_))


def _extents(type_: TensorType) -> tuple[int, ...]:
    return as_ints(type_.dims)
