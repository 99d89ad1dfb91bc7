"""Copies of graphs."""

from __future__ import annotations

from collections.abc import Mapping

from gie_core.ir.graph import Graph, GraphError, Value
from gie_core.ir.op import Op
from gie_core.ir.types import Array

__all__ = ["clone_graph"]


def clone_graph(graph: Graph, constants: Mapping[str, Array] | None = None) -> Graph:
    """A copy, the graphs inside its nodes included.

    Constants' arrays are shared, since they are read-only; ``meta`` stays behind.

    Args:
        graph: stays as it is.
        constants: other arrays for constants, by name.

    Raises:
        OpError: a node lacks an operand that its op needs.
        GraphError: a value is read before it is defined, or an output or state is not of the graph.
    """
    copy = Graph(graph.name)
    copy.metadata.update(graph.metadata)
    copies: dict[Value, Value] = {v: copy.add_input(v.name, v.type) for v in graph.inputs}
    arrays = constants or {}
    copies.update(
        (v, copy.add_constant(arrays.get(v.name, v.data), v.name)) for v in graph.constants
    )
    for node in graph.nodes:
        made = copy.add(
            _with_own_bodies(node.op),
            *(None if v is None else _copy_of(v, copies) for v in node.operands),
            names=[v.name for v in node.results],
            types=[v.type for v in node.results],
            sources=node.sources,
        )
        made.metadata.update(node.metadata)
        copies.update(zip(node.results, made.results, strict=True))
    for value, its_copy in copies.items():
        its_copy.type, its_copy.quantization = value.type, value.quantization
    outputs = zip(graph.output_names, graph.outputs, strict=True)
    copy.set_outputs([(name, _copy_of(value, copies)) for name, value in outputs])
    for state in graph.states:
        copy.add_state(_copy_of(state.input, copies), _copy_of(state.output, copies))
    return copy


def _with_own_bodies(op: Op) -> Op:
    bodies = op.subgraphs()
    return op.replace(**{n: clone_graph(b) for n, b in bodies.items()}) if bodies else op


def _copy_of(value: Value, copies: dict[Value, Value]) -> Value:
    if value not in copies:
        raise GraphError(f"%{value.name} is used before it is defined")
    return copies[value]
