"""Groups: nodes that may run as one kernel, kept with their body."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gie_core.ir.graph import Graph
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, Type, may_equal

__all__ = ["Group"]


class Group(Op, name="group", results=("*y",)):
    """A candidate for fusion: a provider may run the body as one kernel, in part, or node by node.

    Args:
        kind: what fused it together ("epilogue", "prologue", …), for reports.
        body: its inputs are the operands, its outputs the results.
    """

    kind: str
    body: Graph

    def infer(self, *xs: Type) -> tuple[Type, ...]:
        inputs = self.body.inputs
        if len(inputs) != len(xs):
            raise OpError(f"the body has {len(inputs)} inputs, but got {len(xs)} operands")
        for value, x in zip(inputs, xs, strict=True):
            if not may_equal(value.type, x):
                raise OpError(f"the body's input %{value.name} is a {value.type}, not a {x}")
        return tuple(value.type for value in self.body.outputs)

    def compute(
        self, *xs: Array, run: Callable[[Graph, Sequence[Array]], Sequence[Array]]
    ) -> tuple[Array, ...]:
        return tuple(run(self.body, xs))
