"""Fuse elementwise nodes into one pointwise node."""

from __future__ import annotations

from dataclasses import dataclass

from gie_core.builder.passes import PatternPass, Phase
from gie_core.ir.expr import count_nodes, is_exact
from gie_core.ir.graph import Node, Value
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_passes_fusion.programs import Computation, compose, computation_of, is_pointwise


@dataclass(frozen=True)
class FusePointwise(PatternPass):
    """g(f(x), y) → pointwise (x, y) -> g(f(x), y), bit by bit: every step rounds as before.

    f must have no other reader, so nothing is computed twice: chains and trees fuse, and DAGs
    from the end, as soon as all readers of a node have become one. Where g broadcasts f(x), f
    would run once per element of the larger space, which pays only if f is cheap.

    It runs once, after all passes that look for single elementwise ops.

    Args:
        max_operands: of a fused node.
        max_operations: of a fused node.
        cheap: operations, none of them transcendental, that may run more often.
    """

    name = "fuse-pointwise"
    phase = Phase.GROUP
    before = ("fuse-epilogue", "fuse-prologue")
    max_operands: int = 16
    max_operations: int = 128
    cheap: int = 1

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        if not is_pointwise(node):
            return None
        refusal: Refusal | None = None
        for producer in dict.fromkeys(v.node for v in node.operands if v is not None):
            if producer is None or not is_pointwise(producer):
                continue
            fused = self._fuse(producer, node)
            if isinstance(fused, Computation):
                return rewriter.add_node(fused.op, *fused.operands).results
            refusal = fused
        return refusal

    def _fuse(self, producer: Node, node: Node) -> Computation | Refusal:
        for value in producer.results:
            if value.users != (node,) or node.graph.is_output(value):
                return Refusal(f"%{value.name} is read elsewhere too")
        inner, outer = computation_of(producer), computation_of(node)
        if isinstance(inner, Refusal):
            return inner
        if isinstance(outer, Refusal):
            return outer
        broadcast = _broadcast_result(inner, producer, outer)
        if broadcast is not None and not self._is_cheap(inner):
            return Refusal(f"%{broadcast.name} is broadcast and would be computed more than once")
        fused = compose(inner, producer.results, outer)
        if len(fused.reads) > self.max_operands:
            return Refusal(f"the fused node would have {len(fused.reads)} operands")
        if count_nodes(*fused.results) > self.max_operations:
            return Refusal(f"the fused node would have {count_nodes(*fused.results)} operations")
        return fused

    def _is_cheap(self, inner: Computation) -> bool:
        return is_exact(*inner.results) and count_nodes(*inner.results) <= self.cheap


def _broadcast_result(inner: Computation, producer: Node, outer: Computation) -> Value | None:
    """A result of ``inner`` that has fewer elements than ``outer`` has points."""
    for value in producer.results:
        for read in outer.reads_of(value):
            if inner.rank < outer.rank or any(entry == 1 for entry in read.index):
                return value
    return None
