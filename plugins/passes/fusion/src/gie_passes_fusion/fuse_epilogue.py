"""Group a convolution, product, pool, norm or reduction with the pointwise node after it."""

from __future__ import annotations

from dataclasses import dataclass

from gie_core.builder.passes import PatternPass, Phase
from gie_core.ir.graph import Node, Value
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_passes_fusion.groups import HEAVY, PRODUCTS, make_group
from gie_passes_fusion.programs import Computation, computation_of, is_pointwise


@dataclass(frozen=True)
class FuseEpilogue(PatternPass):
    """g(conv(x, w), residual) → group {conv, g}: g may run on each result while it is at hand.

    The pointwise node must be the only reader, and read each result exactly once. Where it
    follows several such nodes, it joins a product rather than another, and of those the last.
    """

    name = "fuse-epilogue"
    phase = Phase.GROUP
    before = ("fuse-prologue",)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        if not is_pointwise(node):
            return None
        heavy = [v for v in dict.fromkeys(node.operands) if v is not None and _is_heavy(v)]
        if not heavy:
            return None
        computation = computation_of(node)
        if isinstance(computation, Refusal):
            return computation
        reasons = {value: _obstacle(value, node, computation) for value in heavy}
        free = [value for value in heavy if not reasons[value]]
        if not free:
            return Refusal("; ".join(reasons.values()))
        chosen = _best(free).node
        assert chosen is not None
        return make_group("epilogue", [chosen, node], rewriter)


def _is_heavy(value: Value) -> bool:
    return value.node is not None and isinstance(value.node.op, HEAVY)


def _obstacle(value: Value, node: Node, computation: Computation) -> str:
    if value.users != (node,) or node.graph.is_output(value):
        return f"%{value.name} is read elsewhere too"
    if not all(computation.covers(read) for read in computation.reads_of(value)):
        return f"%{value.name} is broadcast"
    return ""


def _best(values: list[Value]) -> Value:
    if len(values) == 1:
        return values[0]
    graph = values[0].node.graph if values[0].node else None
    assert graph is not None
    order = {node: position for position, node in enumerate(graph.nodes)}

    def rank(value: Value) -> tuple[bool, int]:
        assert value.node is not None
        return isinstance(value.node.op, PRODUCTS), order[value.node]

    return max(values, key=rank)
