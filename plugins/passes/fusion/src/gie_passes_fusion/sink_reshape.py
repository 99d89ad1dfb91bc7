"""Move reshapes behind the elementwise nodes that read them."""

from __future__ import annotations

from dataclasses import dataclass

from gie_core.builder.passes import PatternPass
from gie_core.ir.graph import Node, Value
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ops.elementwise import Elementwise
from gie_core.ops.shape import Reshape
from gie_passes_fusion.values import is_read_once, scalar_of


@dataclass(frozen=True)
class SinkReshape(PatternPass):
    """f(reshape(y)) → reshape(f(y)), so that f stands next to the node that makes y.

    Operands of f other than the reshape are constants of one element.
    """

    name = "sink-reshape"
    after = ("merge-chains",)
    before = ("sink-transpose",)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        if not isinstance(node.op, Elementwise):
            return None
        computed = [v for v in node.operands if v is not None and scalar_of(v) is None]
        if len(computed) != 1 or computed[0].node is None:
            return None
        reshaped, reshape = computed[0], computed[0].node
        y = reshape.operands[0]
        if not isinstance(reshape.op, Reshape) or y is None or y.node is None:
            return None
        if not is_read_once(reshaped):
            return Refusal(f"%{reshaped.name} is read elsewhere too")
        if node.result.tensor.dtype.bits > y.tensor.dtype.bits:
            return Refusal(f"%{node.result.name} takes more bytes than %{reshaped.name}")
        if reshaped.tensor.shape != node.result.tensor.shape:
            return Refusal(f"%{reshaped.name} is broadcast")
        operands = [y if v is reshaped else _as_scalar(v, rewriter) for v in node.operands]
        return rewriter.add(reshape.op, rewriter.add(node.op, *operands))


def _as_scalar(value: Value | None, rewriter: Rewriter) -> Value | None:
    """A constant of one element with rank 0, which broadcasts to everything."""
    if value is None or value.data is None or value.data.ndim == 0:
        return value
    return rewriter.constant(value.data.reshape(()), value.name)
