"""Taking groups apart: every way to cut the nodes of a graph into pieces that run as one.

A group may run whole, in part, or node by node. All of these are nodes of one *expanded* graph:
the bodies are inlined, and every run of consecutive nodes of a body stands there again as a group
of its own. A choice of pieces that covers each inlined node once becomes the graph that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gie_core.ir.clone import clone_graph
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.specialize import is_static
from gie_core.ops.group import Group

__all__ = ["Expanded", "Piece", "expand", "materialize"]

LONGEST_PART = 4
"""Nodes in a part of a group, unless it is the whole group."""


@dataclass(frozen=True)
class Piece:
    """Nodes that may run as one.

    Args:
        node: in the expanded graph: an inlined node, or a group of several.
        covers: numbers of the inlined nodes.
        results: the inlined values that ``node.results`` stand for.
    """

    node: Node
    covers: tuple[int, ...]
    results: tuple[Value, ...]


@dataclass(frozen=True)
class Expanded:
    """A graph with its groups taken apart.

    Args:
        graph: inlined nodes, and groups whose results nobody reads yet.
        pieces: all ways to cover nodes; an inlined node is a piece too.
        count: number of inlined nodes.
    """

    graph: Graph
    pieces: tuple[Piece, ...]
    count: int


def expand(graph: Graph) -> Expanded:
    """Take the groups of a graph apart; those that are not static stay whole."""
    return _Expander(graph).expanded()


def materialize(
    expanded: Expanded, chosen: Iterable[Piece]
) -> tuple[Graph, dict[Piece, Node], dict[Value, Value]]:
    """The graph made of some pieces.

    Args:
        expanded: stays as it is.
        chosen: cover every inlined node once.

    Returns:
        The graph, the node of each piece, and the value for each inlined value that remains.
    """
    by_node = {piece.node: piece for piece in chosen}
    old = expanded.graph
    new = Graph(old.name)
    new.metadata.update(old.metadata)
    values: dict[Value, Value] = {v: new.add_input(v.name, v.type) for v in old.inputs}
    values.update((v, new.add_constant(v.data, v.name)) for v in old.constants)
    nodes: dict[Piece, Node] = {}
    for node in old.nodes:
        piece = by_node.get(node)
        if piece is None:
            continue
        made = new.add(
            node.op,
            *(None if v is None else values[v] for v in node.operands),
            names=[v.name for v in piece.results],
            types=[v.type for v in node.results],
            sources=node.sources,
        )
        made.metadata.update(node.metadata)
        nodes[piece] = made
        values.update(zip(piece.results, made.results, strict=True))
    for value, copy in values.items():
        copy.quantization = value.quantization
    names = zip(old.output_names, old.outputs, strict=True)
    new.set_outputs([(name, values[value]) for name, value in names])
    for state in old.states:
        new.add_state(values[state.input], values[state.output])
    for constant in new.constants:
        if not constant.uses and not new.is_output(constant):
            new.remove_constant(constant)
    return new, nodes, values


class _Expander:
    def __init__(self, graph: Graph) -> None:
        self._old = graph
        self._new = Graph(graph.name)
        self._new.metadata.update(graph.metadata)
        self._values: dict[Value, Value] = {}
        self._pieces: list[Piece] = []
        self._count = 0

    def expanded(self) -> Expanded:
        old, new = self._old, self._new
        self._values = {v: new.add_input(v.name, v.type) for v in old.inputs}
        self._values.update((v, new.add_constant(v.data, v.name)) for v in old.constants)
        for node in old.nodes:
            operands = [None if v is None else self._values[v] for v in node.operands]
            if isinstance(node.op, Group) and is_static(node):
                results = self._inline(node, node.op, operands)
            else:
                results = self._single(node, operands, node.sources).results
            self._values.update(zip(node.results, results, strict=True))
        for value, copy in self._values.items():
            copy.quantization = value.quantization
        names = zip(old.output_names, old.outputs, strict=True)
        new.set_outputs([(name, self._values[value]) for name, value in names])
        for state in old.states:
            new.add_state(self._values[state.input], self._values[state.output])
        return Expanded(new, tuple(self._pieces), self._count)

    def _single(
        self, node: Node, operands: Sequence[Value | None], sources: tuple[str, ...]
    ) -> Node:
        made = self._new.add(
            node.op,
            *operands,
            names=[v.name for v in node.results],
            types=[v.type for v in node.results],
            sources=sources,
        )
        made.metadata.update(node.metadata)
        self._pieces.append(Piece(made, (self._count,), made.results))
        self._count += 1
        return made

    def _inline(
        self, group: Node, op: Group, operands: Sequence[Value | None]
    ) -> tuple[Value, ...]:
        inner: dict[Value, Value] = {}
        for value, operand in zip(op.body.inputs, operands, strict=True):
            assert operand is not None
            inner[value] = operand
        inner.update((v, self._new.add_constant(v.data, v.name)) for v in op.body.constants)
        body = list(op.body.nodes)
        made: list[Node] = []
        first = self._count
        for end, node in enumerate(body):
            given = [None if v is None else inner[v] for v in node.operands]
            made.append(self._single(node, given, node.sources or group.sources))
            inner.update(zip(node.results, made[-1].results, strict=True))
            for start in _starts(end, len(body)):
                self._part(op, body[start : end + 1], made[start:], inner, first + start)
        for value, result in zip(op.body.outputs, group.results, strict=True):
            _take_name(self._new, inner[value], result.name)
        return tuple(inner[value] for value in op.body.outputs)

    def _part(
        self,
        op: Group,
        nodes: Sequence[Node],
        made: Sequence[Node],
        inner: dict[Value, Value],
        first: int,
    ) -> None:
        """Some consecutive nodes of a body as a group of their own."""
        if not _is_connected(nodes):
            return
        inside = {r for node in nodes for r in node.results}
        outer = dict.fromkeys(
            inner[v] for node in nodes for v in node.operands if v is not None and v not in inside
        )
        leaving = [r for r in inside_order(nodes) if _leaves(r, nodes, op.body)]
        body = Graph(op.body.name)
        copies = {value: body.add_input(value.name, value.type) for value in outer}
        for node, flat in zip(nodes, made, strict=True):
            copy = body.add(
                node.op,
                *(None if v is None else copies[inner[v]] for v in node.operands),
                names=[v.name for v in node.results],
                types=[v.type for v in node.results],
                sources=node.sources,
            )
            copies.update(zip(flat.results, copy.results, strict=True))
        body.set_outputs([copies[inner[value]] for value in leaving])
        group = self._new.add(
            Group(kind=op.kind, body=clone_graph(body)),
            *outer,
            types=[v.type for v in leaving],
            sources=[s for flat in made for s in flat.sources],
        )
        covers = tuple(range(first, first + len(nodes)))
        self._pieces.append(Piece(group, covers, tuple(inner[v] for v in leaving)))


def _starts(end: int, length: int) -> Iterator[int]:
    """Where the parts that end at a node begin."""
    for start in range(end):
        whole = start == 0 and end == length - 1
        if whole or end - start < LONGEST_PART:
            yield start


def inside_order(nodes: Sequence[Node]) -> list[Value]:
    """All results of some nodes, in order."""
    return [result for node in nodes for result in node.results]


def _is_connected(nodes: Sequence[Node]) -> bool:
    """Whether each node reads, or is read by, another of them."""
    inside = set(inside_order(nodes))
    return all(
        any(v in inside for v in node.operands)
        or any(user in nodes for r in node.results for user in r.users)
        for node in nodes
    )


def _leaves(value: Value, nodes: Sequence[Node], body: Graph) -> bool:
    return body.is_output(value) or any(user not in nodes for user in value.users)


def _take_name(graph: Graph, value: Value, name: str) -> None:
    """Give an inlined value the name that the group's result had."""
    if value.node is not None:
        graph.rename(value, name)
