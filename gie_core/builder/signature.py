"""What is timed, and a text that is equal for all that will take the same time.

Two layers of a network often differ in nothing but the names of their values and the numbers in
their weights. Neither changes how long a kernel takes, so neither is in the text, and equal
layers share one timing.
"""

from __future__ import annotations

from dataclasses import dataclass

from gie_core.builder.recast import anonymous, one_node
from gie_core.engine.plan import ALIGNMENT
from gie_core.ir.graph import Graph, Node
from gie_core.ir.text import format_graph
from gie_core.ir.types import type_of
from gie_core.kernels.candidate import Candidate
from gie_core.kernels.format import Layout
from gie_core.kernels.provider import NamedProvider
from gie_core.runtime.dispatch import keeps_types

__all__ = ["Job", "alignment_of", "candidate_signature", "graph_signature", "node_signature"]


@dataclass(frozen=True)
class Job:
    """A candidate of a node, and how its operands and results lie in memory.

    Args:
        node: static.
        provider: whose candidate it is.
        candidate: one of the provider's for the node.
        operands: a layout for each operand; ``None`` where the candidate's format is ``None``.
        results: a layout for each result.
        operand_alignments: what ``alignment_of`` says of each operand's address; () if all are
            aligned as a storage is.
        result_alignments: likewise.
    """

    node: Node
    provider: NamedProvider
    candidate: Candidate
    operands: tuple[Layout | None, ...]
    results: tuple[Layout, ...]
    operand_alignments: tuple[int, ...] = ()
    result_alignments: tuple[int, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether nothing is stored in a narrower type than the model says."""
        return keeps_types(self.node, self.candidate)

    def __str__(self) -> str:
        results = ", ".join(str(value.type) for value in self.node.results)
        owner = f"{self.provider.name} {self.candidate.name}"
        return f"{self.node.op.name} -> {results} by {owner}"


def alignment_of(offset: int) -> int:
    """The largest power of two that divides an address or offset, at most ``ALIGNMENT``."""
    return min(ALIGNMENT, offset & -offset) or ALIGNMENT


def candidate_signature(job: Job, node_text: str | None = None) -> str:
    """The text of a job: node, provider with version, candidate, layouts, alignments.

    Args:
        job: what is timed.
        node_text: ``node_signature(job.node)``, if the caller has it.
    """
    owner = job.provider
    operands = _layouts(job.operands, job.operand_alignments)
    results = _layouts(job.results, job.result_alignments)
    return "\n".join(
        [
            node_signature(job.node) if node_text is None else node_text,
            f"candidate {job.candidate.name!r} of {owner.name!r} {owner.version!r}",
            f"operands {operands}",
            f"results {results}",
        ]
    )


def node_signature(node: Node) -> str:
    """The text of a node: op with attributes and bodies, types, and which operands are constant.

    Of constants only the types are in it, but for short ones that aren't floats, see
    ``anonymous``.
    """
    return graph_signature(one_node(node))


def graph_signature(graph: Graph) -> str:
    """The text of a graph without names, and without the numbers in its weights."""
    return format_graph(anonymous(graph), blob_key=lambda array: str(type_of(array)))


def _layouts(layouts: tuple[Layout | None, ...], alignments: tuple[int, ...]) -> str:
    alignments = alignments or (ALIGNMENT,) * len(layouts)
    return "; ".join(
        "none" if layout is None else f"{layout.canonical()} at {alignment}"
        for layout, alignment in zip(layouts, alignments, strict=True)
    )
