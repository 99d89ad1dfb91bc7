"""What a page shows of a graph: boxes with texts, and edges between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from gie_core.cli.html.families import family_of
from gie_core.cli.html.markup import clip
from gie_core.ir.attribute import FrozenArray, Kind
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.text import format_attribute, format_untyped
from gie_core.ir.types import type_of
from gie_core.ops.group import Group

__all__ = ["Box", "Sketch", "sketch"]

NAME, LINE, LIST = 120, 240, 24
"""Letters of a name and of a line, and lines of a list, that a page shows at most."""


@dataclass(frozen=True)
class Box:
    """A node, an input, an output, or several nodes that are drawn as one.

    Args:
        name: of its first result.
        label: what it is called in a drawing: its op.
        type: of its first result.
        family: what kind of work it is: see ``families``.
        facts: lines for people, as pairs of a name and a text.
        sources: nodes of the model that it covers.
    """

    name: str
    label: str
    type: str
    family: str
    facts: tuple[tuple[str, str], ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sketch:
    """A graph to be drawn.

    Args:
        boxes: in topological order.
        edges: pairs of numbers of boxes, each once; the first of a pair is the smaller one.
        nodes: number of the graph's nodes.
    """

    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int], ...]
    nodes: int


def sketch(graph: Graph) -> Sketch:
    """The graph as it now is; keeps nothing of it."""
    boxes: list[Box] = []
    edges: dict[tuple[int, int], None] = {}
    made_by: dict[Value, int] = {}
    for value in graph.inputs:
        made_by[value] = len(boxes)
        boxes.append(Box(_name(value), _name(value), str(value.type), "input"))
    for node in graph.nodes:
        edges.update(_edges(node.operands, made_by, len(boxes)))
        made_by.update((value, len(boxes)) for value in node.results)
        boxes.append(_box(node))
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        edges.update(_edges([value], made_by, len(boxes)))
        boxes.append(Box(clip(name, NAME), clip(name, NAME), str(value.type), "output"))
    return Sketch(tuple(boxes), tuple(edges), len(graph))


def _node_name(node: Node) -> str:
    """What reports call a node: its first result."""
    return node.results[0].name if node.results else node.op.name


def _edges(
    values: Iterable[Value | None], made_by: dict[Value, int], reader: int
) -> dict[tuple[int, int], None]:
    return {(made_by[v], reader): None for v in values if v is not None and v in made_by}


def _box(node: Node) -> Box:
    return Box(
        name=_node_name(node),
        label=_label(node),
        type=clip(", ".join(str(value.type) for value in node.results[:4]), LINE),
        family=family_of(node.op),
        facts=tuple((name, clip(text, LINE)) for name, text in _facts(node)),
        sources=node.sources,
    )


def _label(node: Node) -> str:
    """The op; of a group, those of its body."""
    op = node.op
    if isinstance(op, Group):
        ops = [inner.op.name for inner in op.body.nodes]
        return clip(" + ".join(ops[:4] + ["…"] * (len(ops) > 4)), NAME)
    foreign: Any = getattr(op, "op", None) if op.name == "foreign" else None
    return clip(str(foreign or op.name), NAME)


def _facts(node: Node) -> Iterator[tuple[str, str]]:
    yield "op", f"group: {node.op.kind}" if isinstance(node.op, Group) else node.op.name
    if isinstance(node.op, Group):
        yield "body", _label(node)
    yield from _attributes(node)
    for value in node.operands[:LIST]:
        if value is not None:
            yield "constant" if value.data is not None else "reads", _typed(value)
    for value in node.results[:LIST]:
        yield "writes", _typed(value)


def _attributes(node: Node) -> Iterator[tuple[str, str]]:
    bodies, kinds = node.op.subgraphs(), node.op.attribute_kinds()
    for name, value in node.op.changed_attributes().items():
        if name not in bodies and not (isinstance(node.op, Group) and name == "kind"):
            yield name, _attribute(value, kinds[name])
    for name, body in bodies.items():
        if not isinstance(node.op, Group):
            yield name, f"a graph of {len(body)} nodes"


def _attribute(value: Any, kind: Kind) -> str:
    """Its text, of large arrays and long lists only what is quick to tell."""
    if kind.item is not None and value is not None:
        text = format_attribute(value[:LIST], kind)
        return f"{text[:-1]}, …]" if len(value) > LIST else text
    if kind.name in ("array", "bytes", "mapping", "str"):
        return _untyped(value)
    return format_attribute(value, kind)


def _untyped(value: Any) -> str:
    match value:
        case FrozenArray() if value.data.size > LIST:
            return str(type_of(value.data))
        case bytes() if len(value) > LIST:
            return f"{len(value)} bytes"
        case str():
            return clip(value, LINE)
        case tuple():
            items = cast("tuple[Any, ...]", value)
            return f"[{', '.join(map(_untyped, items[:LIST]))}{', …' * (len(items) > LIST)}]"
        case Mapping():
            entries = cast("Mapping[str, Any]", value).items()
            return ", ".join(f"{clip(k, NAME)} = {_untyped(v)}" for k, v in islice(entries, LIST))
        case _:
            return format_untyped(value)


def _typed(value: Value) -> str:
    return f"{_name(value)}: {value.type}"


def _name(value: Value) -> str:
    return clip(value.name, NAME)
