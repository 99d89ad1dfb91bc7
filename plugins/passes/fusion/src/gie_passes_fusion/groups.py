"""Nodes as a ``group``: the same nodes in a body whose inputs are the operands."""

from __future__ import annotations

from collections.abc import Sequence

from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.rewrite import Refusal, Rewriter
from gie_core.ops.conv import Conv, ConvInteger, ConvTranspose
from gie_core.ops.group import Group
from gie_core.ops.linear import Gemm, Matmul, MatmulInteger
from gie_core.ops.norm import (
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LogSoftmax,
    LpNormalize,
    Lrn,
    RmsNorm,
    Softmax,
)
from gie_core.ops.pool import AveragePool, LpPool, MaxPool
from gie_core.ops.reduce import Reduce
from gie_passes_fusion.programs import computation_of, is_pointwise
from gie_passes_fusion.values import first_reason

__all__ = ["HEAVY", "PRODUCTS", "make_group"]

PRODUCTS = (Conv, ConvTranspose, ConvInteger, Matmul, Gemm, MatmulInteger)
POOLS = (AveragePool, LpPool, MaxPool)
NORMS = (GroupNorm, InstanceNorm, LayerNorm, LogSoftmax, LpNormalize, Lrn, RmsNorm, Softmax)
HEAVY = (*PRODUCTS, *POOLS, *NORMS, Reduce)
"""Ops that pointwise computations may be grouped with: their kernels loop over the result."""


def make_group(kind: str, nodes: Sequence[Node], rewriter: Rewriter) -> tuple[Value, ...] | Refusal:
    """The results of a group of nodes, of which only the last one's results are read outside.

    Groups among the nodes are opened: the nodes of their bodies join. Elementwise nodes become
    pointwise ones, so that kernels meet one form of computation only. Constants are operands like
    everything else that comes from outside.

    Args:
        kind: of the group.
        nodes: in topological order.
        rewriter: inserts the group.

    Returns:
        The results, or why the nodes can't stand in a body.
    """
    builder = _Body(kind)
    for node in nodes:
        reason = builder.take(node)
        if reason:
            return Refusal(reason)
    last = nodes[-1].results
    builder.graph.set_outputs([builder.inside[value] for value in last])
    group = Group(kind=kind, body=builder.graph)
    return rewriter.add_node(group, *builder.captures, types=[v.type for v in last]).results


class _Body:
    """A graph under construction. ``inside`` maps values around it to those in it."""

    def __init__(self, name: str) -> None:
        self.graph = Graph(name)
        self.inside: dict[Value, Value] = {}
        self.captures: list[Value] = []

    def take(self, node: Node) -> str:
        """Copy a node; returns why that can't be."""
        if isinstance(node.op, Group):
            return self._open(node, node.op.body)
        if node.op.symbols():
            return f"an attribute of %{node.results[0].name} is symbolic"
        op, operands = node.op, node.operands
        if is_pointwise(node):
            computation = computation_of(node)
            if isinstance(computation, Refusal):
                return computation.reason
            op, operands = computation.op, computation.operands
        copy = self.graph.add(
            op,
            *(None if operand is None else self._value(operand) for operand in operands),
            names=[result.name for result in node.results],
            types=[result.type for result in node.results],
            sources=node.sources,
        )
        copy.metadata.update(node.metadata)
        self._map(node.results, copy.results)
        return ""

    def _open(self, group: Node, body: Graph) -> str:
        for value, operand in zip(body.inputs, group.operands, strict=True):
            assert operand is not None
            self.inside[value] = self._value(operand)
        reason = first_reason(map(self.take, body.nodes))
        if not reason:
            self._map(group.results, [self.inside[value] for value in body.outputs])
        return reason

    def _map(self, outer: Sequence[Value], inner: Sequence[Value]) -> None:
        for old, new in zip(outer, inner, strict=True):
            new.quantization = old.quantization
            self.inside[old] = new

    def _value(self, outer: Value) -> Value:
        if outer not in self.inside:
            self.inside[outer] = self.graph.add_input(outer.name, outer.type)
            self.inside[outer].quantization = outer.quantization
            self.captures.append(outer)
        return self.inside[outer]
