"""From the strategy's solution to decisions: how each node of the graph runs."""

from __future__ import annotations

from collections.abc import Mapping

from gie_core.builder.expand import Piece, materialize
from gie_core.builder.formulate import Formulation, Join, Part
from gie_core.builder.strategy import Solution
from gie_core.builder.ways import Kernel, View
from gie_core.engine.assemble import Chosen, Decisions
from gie_core.ir.graph import Node, Value
from gie_core.kernels.format import Format, Layout

__all__ = ["decisions_of"]

Layouts = tuple[Layout | None, ...]


def decisions_of(
    formulation: Formulation, solution: Solution
) -> tuple[Decisions, Mapping[Node, str]]:
    """What a solution decides.

    Returns:
        The decisions on a graph of its own, and the key of the option behind each node.
    """
    ways, meanings = formulation.ways, formulation.meaning
    keys: dict[Piece, str] = {}
    parts: dict[Piece, list[Part]] = {}
    for key in solution.options:
        meaning = meanings[key]
        if isinstance(meaning, Part):
            parts.setdefault(meaning.piece, []).append(meaning)
        else:
            keys[meaning if isinstance(meaning, Piece) else meaning.piece] = key
    graph, nodes, _ = materialize(ways.expanded, keys)
    chosen: dict[Node, Chosen] = {}
    views: set[Node] = set()
    joins: dict[Node, tuple[Format, frozenset[int]]] = {}
    times: dict[Node, int] = {}
    reads: dict[Piece, Layouts] = {}
    for piece, node in nodes.items():  # in the graph's order
        match meanings[keys[piece]]:
            case Kernel() as way:
                chosen[node] = Chosen(way.owner.name, way.candidate)
                times[node] = formulation.times[keys[piece]]
                reads[piece] = way.operands
            case View(operand=layout):
                views.add(node)
                reads[piece] = layout, *[None] * (len(node.operands) - 1)
            case Join(format=format_):
                found = sorted(parts[piece], key=lambda part: part.index)
                joins[node] = format_, frozenset(p.index for p in found if p.copied is None)
                reads[piece] = tuple(part.copied for part in found)
            case _:
                chosen[node] = Chosen(ways.functions[piece], None)
    stored = _Stored(formulation, solution)
    copies = {nodes[piece]: stored.copies(piece, layouts) for piece, layouts in reads.items()}
    decisions = Decisions(graph, chosen, frozenset(views), joins, copies, times)
    return decisions, {nodes[piece]: key for piece, key in keys.items()}


class _Stored:
    """How values lie where they are given or made, before any copy."""

    def __init__(self, formulation: Formulation, solution: Solution) -> None:
        options = {option.key: option for option in formulation.problem.options}
        writes = (options[key].writes for key in solution.options)
        self._places = formulation.problem.given.union(*writes)
        self._formulation = formulation

    def copies(self, piece: Piece, layouts: Layouts) -> Layouts:
        """Of each operand, the layout of the copy that is read; ``None`` for the value itself."""
        pairs = zip(piece.node.operands, layouts, strict=True)
        return tuple(
            layout
            if value is not None and layout is not None and not self._has(value, layout)
            else None
            for value, layout in pairs
        )

    def _has(self, value: Value, layout: Layout) -> bool:
        if value.data is not None:
            return True
        number = self._formulation.ways.number(value, layout)
        return (self._formulation.values[value], number) in self._places
