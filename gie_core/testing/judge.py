"""What is right: a node by itself, and its reference in double precision."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.op import OpRegistry
from gie_core.ir.parser import parse_graph
from gie_core.ir.text import blobs, format_graph
from gie_core.ir.types import Array, DType
from gie_core.ir.verify import verify
from gie_core.ops.run import run_graph
from gie_core.testing.comparing import Tolerance, compare, tolerance_of

__all__ = ["Judge", "isolate"]


def isolate(node: Node) -> Graph:
    """A graph with a copy of the node and nothing else; its outputs are the node's results."""
    graph = Graph(node.results[0].name if node.results else "node")
    copies: dict[Value, Value] = {}
    for value in node.operands:
        if value is not None and value not in copies:
            copies[value] = (
                graph.add_input(value.name, value.type)
                if value.data is None
                else graph.add_constant(value.data, value.name)
            )
    made = graph.add(
        node.op,
        *(None if v is None else copies[v] for v in node.operands),
        names=[v.name for v in node.results],
        types=[v.type for v in node.results],
        sources=node.sources,
    )
    made.metadata.update(node.metadata)
    copies.update(zip(node.results, made.results, strict=True))
    for value, copy in copies.items():
        copy.quantization = value.quantization
    graph.set_outputs(made.results)
    return graph


class Judge:
    """Knows the right answers of one node: its reference's, in double precision.

    Where the node can't be widened, as a cast between floats can't, in the given one.

    Args:
        graph: with one node, see ``isolate``.
        ops: all ops that occur.
        tolerance: relative error, one for all or by type; by default what fits the types as stored.
        exact: the same bits as the reference's in the given precision.
    """

    def __init__(
        self, graph: Graph, ops: OpRegistry, tolerance: Tolerance = None, exact: bool = False
    ) -> None:
        (self.node,) = graph.nodes
        self._graph = graph
        self.tolerance = tolerance
        self.exact = exact
        self._oracle = graph if exact else _in_double(graph, ops)
        self._known: dict[tuple[bytes, ...], list[Array]] = {}

    def judge(
        self, operands: Sequence[Array | None], answers: Sequence[Array], stored: Sequence[DType]
    ) -> None:
        """Compare answers with the right ones.

        Args:
            operands: what the node has read, ``None`` for absent ones.
            answers: in the type they were stored in.
            stored: the types whose rounding the answers may show.

        Raises:
            AssertionError: a result is wrong.
        """
        tolerance = max((tolerance_of(dtype, self.tolerance) for dtype in stored), default=0.0)
        right = self._answers(operands)
        for value, answer, exact in zip(self.node.results, answers, right, strict=True):
            expected = exact
            if self.exact or not value.tensor.dtype.is_float:
                expected = exact.astype(answer.dtype)
            compare(f"%{value.name}", answer, expected, tolerance, self.exact)

    def _answers(self, operands: Sequence[Array | None]) -> list[Array]:
        given = {
            value: array
            for value, array in zip(self.node.operands, operands, strict=True)
            if value is not None and array is not None
        }
        inputs = [
            given[own].astype(wide.tensor.dtype.numpy)
            for own, wide in zip(self._graph.inputs, self._oracle.inputs, strict=True)
        ]
        key = tuple(array.tobytes() for array in inputs)
        if key not in self._known:
            self._known[key] = run_graph(self._oracle, inputs)
        return self._known[key]


def _in_double(graph: Graph, ops: OpRegistry) -> Graph:
    """The graph with f64 for every other float; itself where that makes no sense."""
    text = re.sub(r"\b(f16|bf16|f32)\b", "f64", format_graph(graph))
    wide = {
        key: data.astype(np.float64) if DType.of(data.dtype).is_float else data
        for key, data in blobs(graph).items()
    }
    try:
        widened = parse_graph(text, ops, wide)
        verify(widened)
    except GieError:  # a cast between floats, for example
        return graph
    return widened
