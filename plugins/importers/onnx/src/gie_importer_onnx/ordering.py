"""Order of nodes: ONNX asks for a topological one, but not every file has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

from onnx import AttributeProto, GraphProto, NodeProto

from gie_core.builder.importing import ModelError

__all__ = ["describe", "in_order", "outer_names", "reads", "subgraphs_of"]

DEEPEST = 50
"""How deep graphs may lie in each other."""


def describe(node: NodeProto) -> str:
    """A node for people: its name or first output, and its type."""
    output = next((name for name in node.output if name), "")
    title = node.name or output
    return (
        f"node {title!r} ({node.op_type})" if title else f"a node without a name ({node.op_type})"
    )


def subgraphs_of(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs among a node's attributes."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def reads(node: NodeProto, depth: int = 0) -> Iterator[str]:
    """Names that a node reads: its inputs, and what the graphs inside it take from around it."""
    yield from (name for name in node.input if name)
    for graph in subgraphs_of(node):
        yield from outer_names(graph, depth + 1)


def outer_names(graph: GraphProto, depth: int = 0) -> list[str]:
    """Names that a graph uses and does not define, in order of first use.

    Raises:
        ModelError: graphs lie deeper in each other than ``DEEPEST``.
    """
    if depth > DEEPEST:
        raise ModelError(f"graphs lie more than {DEEPEST} deep in each other, as in no sound model")
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own.update(sparse.values.name for sparse in graph.sparse_initializer)
    own.update(name for node in graph.node for name in node.output)
    used = [name for node in graph.node for name in reads(node, depth)]
    used.extend(output.name for output in graph.output)
    return list(dict.fromkeys(name for name in used if name not in own))


def in_order(nodes: Sequence[NodeProto], known: Iterable[str]) -> list[NodeProto]:
    """The nodes so that each comes after those it reads; a good order stays as it is.

    Args:
        nodes: in the model's order.
        known: names defined before all nodes.

    Raises:
        ModelError: two nodes write one name, a name is nowhere defined, or there is a cycle.
    """
    known = set(known)
    writer = _writers(nodes, known)
    if _is_ordered(nodes, known):
        return list(nodes)
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for index, node in enumerate(nodes):
        sorter.add(index, *dict.fromkeys(writer[name] for name in reads(node) if name in writer))
    try:
        return [nodes[index] for index in sorter.static_order()]
    except CycleError as error:
        indices: list[int] = error.args[1][:4]
        cycle = [describe(nodes[index]) for index in indices]
        raise ModelError(f"the model has a cycle: {' → '.join(cycle)}") from error


def _writers(nodes: Sequence[NodeProto], known: set[str]) -> dict[str, int]:
    writer: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in known or name in writer:
                raise ModelError(f"{describe(node)} writes {name!r}, which is already defined")
            writer[name] = index
    for node in nodes:
        for name in reads(node):
            if name not in known and name not in writer:
                raise ModelError(
                    f"{describe(node)} reads {name!r}, which nothing in the model defines"
                )
    return writer


def _is_ordered(nodes: Sequence[NodeProto], known: set[str]) -> bool:
    defined = set(known)
    for node in nodes:
        if any(name not in defined for name in reads(node)):
            return False
        defined.update(node.output)
    return True
