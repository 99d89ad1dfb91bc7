"""A plan: a graph, and what runs each of its nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gie_core.ir.graph import Graph, Node
from gie_core.ir.op import Op

__all__ = ["Kernel", "Plan"]

Kernel = Callable[[Op, Sequence[Any]], tuple[Any, ...]]
"""Runs a node: ``kernel(op, operands) -> results``.

``op`` is the node's op with numbers in place of symbols. Operands are arrays (lists
for sequences), ``None`` where an optional one is absent; they must not be written.
Results are as many as the node has, and may share memory with operands. It runs under
``np.errstate(all="ignore")``.
"""


@dataclass(frozen=True)
class Plan:
    """What an executor runs.

    Args:
        graph: must not change afterwards.
        kernels: one for each node but those whose inner graphs run node by node.
        bodies: for these, the plan of each inner graph.
    """

    graph: Graph
    kernels: Mapping[Node, Kernel]
    bodies: Mapping[Graph, Plan]
