"""Fuse elementwise nodes into one pointwise node."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from gie_core.builder.passes import PatternPass, Phase
from gie_core.ir.expr import count_nodes, is_exact
from gie_core.ir.graph import Node, Value
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_passes_fusion.groups import HEAVY
from gie_passes_fusion.programs import Computation, compose, computation_of, is_pointwise


@dataclass(frozen=True)
class FusePointwise(PatternPass):
    """g(f(x), y) → pointwise (x, y) -> g(f(x), y), bit by bit: every step rounds as before.

    Nothing is computed twice: what other nodes read of f(x) becomes one more result, which needs
    all of them to come later, and the same shape. Chains and trees fuse, and DAGs from the end.
    Where g broadcasts f(x), f would run once per element of the larger space, which pays only if
    f is cheap.

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
            kept = [v for v in producer.results if _is_read_besides(v, node)]
            fused = self._fuse(producer, node, kept)
            if isinstance(fused, Computation):
                return _replace(fused, node, kept, rewriter)
            refusal = fused
        return refusal

    def _fuse(self, producer: Node, node: Node, kept: list[Value]) -> Computation | Refusal:
        inner, outer = computation_of(producer), computation_of(node)
        if isinstance(inner, Refusal):
            return inner
        if isinstance(outer, Refusal):
            return outer
        broadcast = _broadcast_result(inner, producer, outer)
        if kept:
            reason = _reason_to_stay(producer, node, kept[0], broadcast)
            if reason:
                return Refusal(f"%{kept[0].name} is read elsewhere too, {reason}")
        if broadcast is not None and not self._is_cheap(inner):
            return Refusal(f"%{broadcast.name} is broadcast and would be computed more than once")
        fused = compose(inner, producer.results, outer, kept)
        if len(fused.reads) > self.max_operands:
            return Refusal(f"the fused node would have {len(fused.reads)} operands")
        if count_nodes(*fused.results) > self.max_operations:
            return Refusal(f"the fused node would have {count_nodes(*fused.results)} operations")
        return fused

    def _is_cheap(self, inner: Computation) -> bool:
        return is_exact(*inner.results) and count_nodes(*inner.results) <= self.cheap


def _replace(
    fused: Computation, node: Node, kept: list[Value], rewriter: Rewriter
) -> tuple[Value, ...]:
    """Add the fused node, let it also take over what other nodes read of the producer."""
    types = [value.type for value in (*node.results, *kept)]
    results = rewriter.add_node(fused.op, *fused.operands, types=types).results
    own, others = results[: len(node.results)], results[len(node.results) :]
    for old, new in zip(kept, others, strict=True):
        name = old.name
        _replace_other_uses(old, new, node)
        node.graph.rename(old, f"{name}_unfused")
        node.graph.rename(new, name)
    return own


def _replace_other_uses(old: Value, new: Value, node: Node) -> None:
    """Let all but ``node``, which goes together with what makes ``old``, read ``new``."""
    indices = [use.index for use in old.uses if use.node is node]
    node.graph.replace_uses(old, new)
    for index in indices:
        node.graph.set_operand(node, index, old)


def _broadcast_result(inner: Computation, producer: Node, outer: Computation) -> Value | None:
    """A result of ``inner`` that has fewer elements than ``outer`` has points."""
    for value in producer.results:
        for read in outer.reads_of(value):
            if inner.rank < outer.rank or any(entry == 1 for entry in read.index):
                return value
    return None


def _reason_to_stay(producer: Node, node: Node, kept: Value, broadcast: Value | None) -> str:
    """Why a producer that others read as well can't become one with ``node``, or should not."""
    if broadcast is not None:
        return "in another shape"
    if any(_is_result_of_heavy(v) for v in producer.operands):
        return "and stays as an epilogue"
    between = _nodes_between(producer, node)
    if any(user in between for value in producer.results for user in value.users):
        return f"before %{node.results[0].name} is computed"
    return ""


def _is_result_of_heavy(value: Value | None) -> bool:
    return value is not None and value.node is not None and isinstance(value.node.op, HEAVY)


def _nodes_between(first: Node, last: Node) -> set[Node]:
    following = itertools.dropwhile(lambda node: node is not first, first.graph.nodes)
    return set(itertools.takewhile(lambda node: node is not last, following))


def _is_read_besides(value: Value, node: Node) -> bool:
    return any(user is not node for user in value.users) or node.graph.is_output(value)
