"""Remove what nobody reads."""

from __future__ import annotations

from dataclasses import dataclass

from gie_core.builder.passes import Pass
from gie_core.ir.graph import Graph
from gie_core.ir.rewrite import Rewriter, is_dead, remove_dead


@dataclass(frozen=True)
class DeadCode(Pass):
    """A node none of whose results is read goes, and so does a constant that nobody reads.

    Graph inputs stay: they are what callers pass.
    """

    name = "dead-code"

    def run(self, graph: Graph, rewriter: Rewriter) -> None:
        for node in [node for node in graph.nodes if is_dead(node)]:
            if node.is_attached:
                names = ", ".join(f"%{result.name}" for result in node.results)
                rewriter.record(f"{names} = {node.op.name}", node.sources)
                remove_dead(graph, [node])
        for constant in graph.constants:
            if not constant.uses and not graph.is_output(constant):
                rewriter.record(f"const %{constant.name}")
                graph.remove_constant(constant)
