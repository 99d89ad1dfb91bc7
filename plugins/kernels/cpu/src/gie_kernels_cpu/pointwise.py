"""Pointwise nodes, and elementwise ones, which are pointwise programs with one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from gie_core.builder.kernels import Kernel, Support
from gie_core.errors import GieError
from gie_core.ir.expr import Expr, Literal, Param, Program
from gie_core.ir.expr_numpy import arrange
from gie_core.ir.graph import Node, Value
from gie_core.ir.op import Op
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.pointwise import Pointwise
from gie_kernels_cpu.kernel import Constants, Method, constant_of
from gie_kernels_cpu.program import CompiledProgram

__all__ = ["ElementwiseProgram", "PointwiseKernel", "PointwiseProgram"]


class PointwiseProgram(Method):
    """``pointwise``: any program."""

    def supports(self, node: Node) -> Support:
        return Support.yes()

    def kernel(self, node: Node, constants: Constants) -> PointwiseKernel:
        return PointwiseKernel(cast("Pointwise", node.op).program)


class PointwiseKernel:
    """Runs one program on operands in their own shapes."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.compiled = CompiledProgram(
            [Param(param.name, param.dtype) for param in program.params], program.results
        )

    def __call__(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        return self.compiled(self.arranged(operands))

    def arranged(self, operands: Sequence[Array]) -> list[Array]:
        """Views of the operands in the iteration space, extent 1 where they do not vary."""
        return [
            arrange(array, param.index, self.program.axes)
            for param, array in zip(self.program.params, operands, strict=True)
        ]

    def arranged_but(self, operands: Sequence[Array | None], which: int) -> list[Array | None]:
        """``arranged``, with ``None`` for the operand ``which``."""
        return [
            None if array is None or number == which else arrange(array, param.index, axes)
            for axes in [self.program.axes]
            for number, (param, array) in enumerate(zip(self.program.params, operands, strict=True))
        ]


class ElementwiseProgram(Method):
    """Any op that says what it computes in the pointwise language."""

    def supports(self, node: Node) -> Support:
        return Support.yes() if _expression(node, constant_of) else Support.no(_no_formula(node))

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        expression = _expression(node, constants)
        if expression is None:
            raise GieError(_no_formula(node))
        return _ElementwiseKernel(*expression)


class _ElementwiseKernel:
    """Operands broadcast as in NumPy; ``positions`` are those of the expression's parameters."""

    def __init__(self, expr: Expr, params: Sequence[Param], positions: Sequence[int]) -> None:
        self._compiled = CompiledProgram(params, (expr,))
        self._positions = positions

    def __call__(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        arrays: list[Array] = [operands[position] for position in self._positions]
        rank = max(array.ndim for array in arrays)
        return self._compiled([array[(None,) * (rank - array.ndim)] for array in arrays])


def _expression(node: Node, constants: Constants) -> tuple[Expr, list[Param], list[int]] | None:
    """The node as an expression; its parameters, and the operands that they stand for."""
    arguments: list[Expr | None] = []
    params: list[Param] = []
    positions: list[int] = []
    try:
        for position, operand in enumerate(node.operands):
            argument = None if operand is None else _argument(operand, position, constants)
            arguments.append(argument)
            if isinstance(argument, Param):
                params.append(argument)
                positions.append(position)
        expr = node.op.expression(*arguments) if params else None
    except GieError:  # an element type that the language lacks
        return None
    return None if expr is None else (expr, params, positions)


def _argument(operand: Value, position: int, constants: Constants) -> Expr:
    """A parameter, or a literal for a constant of rank 0, which no shape depends on."""
    type_ = operand.type
    if not isinstance(type_, TensorType):
        raise GieError(f"%{operand.name} is no tensor")
    data = constants(operand)
    if data is not None and data.ndim == 0:
        return Literal(_scalar(data, type_.dtype), type_.dtype)
    return Param(f"x{position}", type_.dtype)


def _scalar(data: Array, dtype: DType) -> bool | int | float:
    if dtype is DType.BOOL:
        return bool(data)
    return int(data) if dtype.is_integer else float(data)


def _no_formula(node: Node) -> str:
    return f"{node.op.name} of these element types is not in the pointwise language"
