"""The pointwise op: any number of elementwise computations as one program."""

from __future__ import annotations

from gie_core.ir.dims import Dim
from gie_core.ir.expr import Program
from gie_core.ir.expr_numpy import evaluate_program
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, TensorType
from gie_core.ops.extents import merge_dims

__all__ = ["Pointwise"]


class Pointwise(Op, name="pointwise", results=("*y",)):
    """Evaluates a program at every point of an iteration space (see ``docs/pointwise.md``).

    Args:
        program: one parameter per operand, whose index names the axes the operand varies along.

    Every result has the shape of the iteration space.
    """

    program: Program

    def infer(self, *xs: TensorType) -> tuple[TensorType, ...]:
        program = self.program
        if len(xs) != len(program.params):
            raise OpError(
                f"the program has {len(program.params)} parameters, but got {len(xs)} operands"
            )
        extents: dict[str, Dim] = {}
        for parameter, x in zip(program.params, xs, strict=True):
            if parameter.dtype is not x.dtype or len(parameter.index) != x.rank:
                raise OpError(f"parameter {parameter} cannot take a {x}")
            for axis, extent in zip(parameter.index, x.dims, strict=True):
                if isinstance(axis, str):
                    what = f"the extents of axis {axis}"
                    extents[axis] = merge_dims(extents.get(axis, extent), extent, what)
                else:
                    merge_dims(axis, extent, f"the extents at {axis} in {parameter}")
        shape = tuple(extents[axis] for axis in program.axes)
        return tuple(TensorType(result.dtype, shape) for result in program.results)

    def compute(self, *xs: Array) -> tuple[Array, ...]:
        return evaluate_program(self.program, xs)
