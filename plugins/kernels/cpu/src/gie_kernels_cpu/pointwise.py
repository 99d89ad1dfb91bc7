"""Pointwise nodes, and elementwise ones, which are pointwise programs with one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from gie_core.builder.kernels import Kernel, Support
from gie_core.ir.expr import Expr, Literal, Param, Program
from gie_core.ir.expr_numpy import arrange
from gie_core.ir.graph import Node, Value
from gie_core.ir.op import Op
from gie_core.ir.types import Array, DType
from gie_core.ops.elementwise import Elementwise
from gie_core.ops.pointwise import Pointwise
from gie_kernels_cpu.kernel import Constants, Method
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

    def arranged(self, operands: Sequence[Any]) -> list[Any]:
        """Views of the operands in the iteration space, extent 1 where they do not vary.

        ``None`` stays ``None``.
        """
        return [
            None if array is None else arrange(array, param.index, self.program.axes)
            for param, array in zip(self.program.params, operands, strict=True)
        ]


class ElementwiseProgram(Method):
    """An op that is a formula in the pointwise language; constants of rank 0 become literals."""

    def supports(self, node: Node) -> Support:
        return Support.yes()

    def kernel(self, node: Node, constants: Constants) -> Kernel:
        arguments = [
            None if operand is None else _argument(operand, position, constants(operand))
            for position, operand in enumerate(node.operands)
        ]
        if not any(isinstance(argument, Param) for argument in arguments):
            # All are constant, but something has to give the shape.
            arguments = [a and Param(f"x{p}", a.dtype) for p, a in enumerate(arguments)]
        expr = cast("Elementwise", node.op).expression(*arguments)
        params = {
            p: argument for p, argument in enumerate(arguments) if isinstance(argument, Param)
        }
        return _ElementwiseKernel(expr, params)


class _ElementwiseKernel:
    """Operands broadcast as in NumPy.

    Args:
        expr: the result.
        params: its parameters, by the position of the operand that each stands for.
    """

    def __init__(self, expr: Expr, params: Mapping[int, Param]) -> None:
        self._compiled = CompiledProgram(list(params.values()), (expr,))
        self._positions = tuple(params)

    def __call__(self, op: Op, operands: Sequence[Any]) -> tuple[Array, ...]:
        arrays: list[Array] = [operands[position] for position in self._positions]
        rank = max(array.ndim for array in arrays)
        return self._compiled([array[(None,) * (rank - array.ndim)] for array in arrays])


def _argument(operand: Value, position: int, constant: Array | None) -> Expr:
    dtype = operand.tensor.dtype
    if constant is None or constant.ndim:
        return Param(f"x{position}", dtype)
    if dtype is DType.BOOL:
        return Literal(bool(constant), dtype)
    return Literal(int(constant) if dtype.is_integer else float(constant), dtype)
