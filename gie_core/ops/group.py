"""Groups: nodes that may run as one kernel, kept with their body."""

from __future__ import annotations

from gie_core.ir.graph import Graph
from gie_core.ir.op import Op
from gie_core.ir.types import Array, Type
from gie_core.ops.call import call_types
from gie_core.ops.run import RunGraph

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
        return call_types(self.body, xs)

    def compute(self, *xs: Array, run: RunGraph) -> tuple[Array, ...]:
        return tuple(run(self.body, xs))
