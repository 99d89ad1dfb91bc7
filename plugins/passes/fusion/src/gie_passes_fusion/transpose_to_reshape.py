"""Turn transposes that move no element into reshapes."""

from __future__ import annotations

from dataclasses import dataclass

from gie_core.builder.passes import PatternPass
from gie_core.ir.graph import Node
from gie_core.ir.rewrite import Replacement, Rewriter
from gie_core.ops.shape import Reshape, Transpose


@dataclass(frozen=True)
class TransposeToReshape(PatternPass):
    """transpose(x) → reshape(x), if the axes of extent other than 1 keep their order.

    A reshape costs nothing, and merges with others.
    """

    name = "transpose-to-reshape"
    after = ("sink-transpose",)
    roots = (Transpose,)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        assert isinstance(node.op, Transpose)
        x = node.operands[0]
        assert x is not None
        moved = [axis for axis in node.op.permutation if x.tensor.dims[axis] != 1]
        if moved != sorted(moved):
            return None
        return rewriter.add(Reshape(shape=node.result.tensor.dims), x)
