"""Layers of a drawing, and the order in each: after Sugiyama, Tagawa and Toda, "Methods for
Visual Understanding of Hierarchical System Structures" (1981).

A box stands one layer below the lowest of those it reads. An edge across several layers gets a
*bend* in each layer between, which takes part in the ordering as boxes do; edges from one box
share their bends.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Layered", "layered"]

SWEEPS = 8
"""Times that all layers are ordered, downwards and upwards in turn."""
Edge = tuple[int, int]


@dataclass(frozen=True)
class Layered:
    """Boxes and bends in layers.

    Args:
        layers: from top to bottom, each from left to right. Numbers from ``boxes`` on are bends.
        boxes: how many boxes there are.
        above, below: for each box and bend, its neighbours one layer up and down.
        routes: for each edge that is drawn, the bends that it goes through.
        loose: edges that would take too many bends, and are not drawn.
    """

    layers: tuple[tuple[int, ...], ...]
    boxes: int
    above: tuple[tuple[int, ...], ...]
    below: tuple[tuple[int, ...], ...]
    routes: dict[Edge, tuple[int, ...]]
    loose: tuple[Edge, ...]


def layered(boxes: int, edges: Sequence[Edge], *, bends: int | None = None) -> Layered:
    """Put boxes into layers, so that few edges cross.

    Args:
        boxes: how many there are.
        edges: pairs of numbers of boxes, the smaller one first, each once.
        bends: that the drawn edges may go through, counted for each edge by itself; the longest
            edges are left out beyond that.
    """
    level = _levels(boxes, edges)
    budget = 4 * boxes + 400 if bends is None else bends
    drawn, loose = _affordable(edges, level, budget)
    routes, bent = _routes(drawn, level, boxes)
    levels = level + bent
    above: list[list[int]] = [[] for _ in levels]
    below: list[list[int]] = [[] for _ in levels]
    for (a, b), route in routes.items():
        for upper, lower in zip((a, *route), (*route, b), strict=True):
            if lower not in below[upper]:
                below[upper].append(lower)
                above[lower].append(upper)
    layers: list[list[int]] = [[] for _ in range(max(levels, default=-1) + 1)]
    for vertex in _depth_first(below, boxes):
        layers[levels[vertex]].append(vertex)
    best = _ordered(layers, above, below)
    return Layered(
        tuple(map(tuple, best)),
        boxes,
        tuple(map(tuple, above)),
        tuple(map(tuple, below)),
        routes,
        tuple(loose),
    )


def _levels(boxes: int, edges: Sequence[Edge]) -> list[int]:
    """Longest paths from above; then what has fewer writers than readers moves down to them."""
    readers: list[list[int]] = [[] for _ in range(boxes)]
    writers: list[list[int]] = [[] for _ in range(boxes)]
    for a, b in edges:
        readers[a].append(b)
        writers[b].append(a)
    level = [0] * boxes
    for box in range(boxes):
        level[box] = max((level[w] + 1 for w in writers[box]), default=0)
    for box in reversed(range(boxes)):
        if len(writers[box]) < len(readers[box]):
            level[box] = min(level[r] for r in readers[box]) - 1
    return level


def _affordable(
    edges: Sequence[Edge], level: Sequence[int], budget: int
) -> tuple[list[Edge], list[Edge]]:
    """The edges to draw, the shortest first as long as there are bends for them; the others."""
    drawn: list[Edge] = []
    loose: list[Edge] = []
    for a, b in sorted(edges, key=lambda edge: level[edge[1]] - level[edge[0]]):
        budget -= level[b] - level[a] - 1
        (drawn if budget >= 0 else loose).append((a, b))
    return drawn, loose


def _routes(
    edges: Sequence[Edge], level: Sequence[int], boxes: int
) -> tuple[dict[Edge, tuple[int, ...]], list[int]]:
    """The bends of each edge, and the level of each bend."""
    routes: dict[Edge, tuple[int, ...]] = {}
    shared: dict[Edge, int] = {}  # by the box that the edge leaves, and the level
    for a, b in edges:
        routes[a, b] = tuple(
            shared.setdefault((a, at), boxes + len(shared)) for at in range(level[a] + 1, level[b])
        )
    return routes, [at for _, at in shared]


def _depth_first(below: Sequence[Sequence[int]], boxes: int) -> list[int]:
    """All boxes and bends, branches one after the other: an order that crosses little."""
    seen = [False] * len(below)
    found: list[int] = []
    for start in range(boxes):
        pending = [start]
        while pending:
            vertex = pending.pop()
            if not seen[vertex]:
                seen[vertex] = True
                found.append(vertex)
                pending.extend(reversed(below[vertex]))
    return found


def _ordered(
    layers: list[list[int]], above: Sequence[Sequence[int]], below: Sequence[Sequence[int]]
) -> list[list[int]]:
    """The order with the fewest crossings that some sweeps come across."""
    best, fewest = layers, _crossings(layers, below)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        neighbours = below if sweep % 2 else above
        walk = list(reversed(layers)) if sweep % 2 else layers
        swept = [walk[0]]
        for layer in walk[1:]:
            swept.append(_by_barycenter(layer, swept[-1], neighbours))
        layers = swept[::-1] if sweep % 2 else swept
        crossings = _crossings(layers, below)
        if crossings < fewest:
            best, fewest = layers, crossings
    return best


def _by_barycenter(
    layer: Sequence[int], fixed: Sequence[int], neighbours: Sequence[Sequence[int]]
) -> list[int]:
    """A layer in the order of its neighbours' mean positions; what has none stays."""
    at = {vertex: index for index, vertex in enumerate(fixed)}
    means: dict[int, float] = {}
    for index, vertex in enumerate(layer):
        places = [at[n] for n in neighbours[vertex]]
        means[vertex] = sum(places) / len(places) if places else float(index)
    return sorted(layer, key=means.__getitem__)


def _crossings(layers: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    """Pairs of edges between neighbouring layers that cross."""
    total = 0
    for upper, lower in pairwise(layers):
        at = {vertex: index for index, vertex in enumerate(lower)}
        ends: list[int] = []
        for vertex in upper:
            own = sorted(at[n] for n in below[vertex])
            total += sum(len(ends) - bisect_right(ends, end) for end in own)
            for end in own:
                insort(ends, end)
    return total
