"""Finds swish where a network spells it out."""

from __future__ import annotations

from dataclasses import dataclass

from gie_acme_swish.op import Swish
from gie_core.builder.passes import PatternPass
from gie_core.ir.graph import Node, Value
from gie_core.ir.rewrite import Replacement, Rewriter
from gie_core.ops.activation import Sigmoid
from gie_core.ops.arithmetic import Mul


@dataclass(frozen=True)
class RecognizeSwish(PatternPass):
    """mul(x, sigmoid(x)) is acme.swish(x)."""

    name = "acme-recognize-swish"
    roots = (Mul,)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        """Look for a sigmoid of one operand in the other."""
        a, b = node.operands
        x = gated(a, b) or gated(b, a)
        return rewriter.add(Swish(), x) if x else None


def gated(x: Value | None, gate: Value | None) -> Value | None:
    """The first value, if the second is its sigmoid."""
    source = gate.node if gate else None
    is_gate = source and isinstance(source.op, Sigmoid) and source.operands[0] is x
    return x if is_gate else None
