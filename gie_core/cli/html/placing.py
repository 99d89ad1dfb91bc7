"""Coordinates of a layered drawing: boxes below what they read, edges as straight as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from gie_core.cli.html.layers import Layered

__all__ = ["BOX_HEIGHT", "BOX_WIDTH", "Placed", "place", "spread"]

BOX_WIDTH, BOX_HEIGHT = 184, 42
GAP, BEND_WIDTH, LEVEL, MARGIN = 20, 14, 70, 14
"""Pixels between boxes of a layer, around a bend, from layer to layer, around the drawing."""
ROUNDS = 12
STRAIGHT = 4.0
"""How much more a bend pulls than a box, so that long edges are straight."""


@dataclass(frozen=True)
class Placed:
    """Where everything is, in pixels.

    Args:
        width, height: of the drawing.
        centers: x of each box's middle, and of each bend.
        tops: y of each box's and each bend's upper edge.
        paths: of each drawn edge, as SVG.
    """

    width: int
    height: int
    centers: tuple[int, ...]
    tops: tuple[int, ...]
    paths: dict[tuple[int, int], str]


def place(drawing: Layered) -> Placed:
    """Give everything its place."""
    centers = _straightened(drawing, _centers(drawing))
    widths = [_width(drawing, vertex) for vertex in range(len(centers))]
    left = min((x - w / 2 for x, w in zip(centers, widths, strict=True)), default=0.0)
    right = max((x + w / 2 for x, w in zip(centers, widths, strict=True)), default=0.0)
    xs = tuple(round(x - left) + MARGIN for x in centers)
    ys = [0] * len(xs)
    for level, layer in enumerate(drawing.layers):
        for vertex in layer:
            ys[vertex] = MARGIN + level * LEVEL
    paths = {
        (a, b): _path([a, *route, b], xs, ys, drawing.boxes)
        for (a, b), route in drawing.routes.items()
    }
    height = max(0, len(drawing.layers) - 1) * LEVEL + BOX_HEIGHT + 2 * MARGIN
    return Placed(round(right - left) + 2 * MARGIN, height, xs, tuple(ys), paths)


def spread(wanted: Sequence[float], gaps: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Places as close to the wanted ones as the gaps allow: the least weighted squares.

    With the gaps taken off this is isotonic regression, solved by pooling adjacent violators
    (Ayer et al. 1955).

    Args:
        wanted: from left to right.
        gaps: the least distance from each place to the next one: one fewer.
        weights: of the places.
    """
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    pools: list[tuple[float, float, int]] = []  # weighted sum, weight, members
    for place, offset, weight in zip(wanted, offsets, weights, strict=False):
        pool = (weight * (place - offset), weight, 1)
        while pools and pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]:
            before = pools.pop()
            pool = (before[0] + pool[0], before[1] + pool[1], before[2] + pool[2])
        pools.append(pool)
    means = [total / weight for total, weight, members in pools for _ in range(members)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _centers(drawing: Layered) -> list[float]:
    """Every layer is spread around its neighbours, downwards and upwards in turn."""
    centers = [0.0] * len(drawing.above)
    for layer in drawing.layers:
        for x, vertex in zip(_packed(drawing, layer), layer, strict=True):
            centers[vertex] = x
    for turn in range(ROUNDS):
        last = turn >= ROUNDS - 2
        for layer in reversed(drawing.layers) if turn % 2 else drawing.layers:
            wanted: list[float] = []
            for vertex in layer:
                near = drawing.below[vertex] if turn % 2 else drawing.above[vertex]
                if last or not near:
                    near = (*drawing.above[vertex], *drawing.below[vertex])
                wanted.append(_mean(drawing, near, centers, centers[vertex]))
            weights = [1.0 if vertex < drawing.boxes else STRAIGHT for vertex in layer]
            gaps = _gaps(drawing, layer)
            for vertex, x in zip(layer, spread(wanted, gaps, weights), strict=True):
                centers[vertex] = x
    return centers


def _straightened(drawing: Layered, centers: list[float]) -> list[float]:
    """Whatever has one neighbour above, whose only one below it is, follows it if there is room."""
    for layer in drawing.layers * 3:  # what stood in the way may have moved
        gaps = [0.0, *_gaps(drawing, layer), 0.0]
        for index, vertex in enumerate(layer):
            near = drawing.above[vertex]
            if len(near) != 1 or len(drawing.below[near[0]]) != 1:
                continue
            low = centers[layer[index - 1]] + gaps[index] if index else -inf
            high = centers[layer[index + 1]] - gaps[index + 1] if index + 1 < len(layer) else inf
            if low <= high:
                centers[vertex] = min(max(centers[near[0]], low), high)
    return centers


def _packed(drawing: Layered, layer: Sequence[int]) -> list[float]:
    return spread([0.0] * len(layer), _gaps(drawing, layer), [1.0] * len(layer))


def _gaps(drawing: Layered, layer: Sequence[int]) -> list[float]:
    widths = [_width(drawing, vertex) for vertex in layer]
    return [(a + b) / 2 + GAP for a, b in pairwise(widths)]


def _width(drawing: Layered, vertex: int) -> int:
    return BOX_WIDTH if vertex < drawing.boxes else BEND_WIDTH


def _mean(
    drawing: Layered, near: Sequence[int], centers: Sequence[float], otherwise: float
) -> float:
    if not near:
        return otherwise
    pulls = [1.0 if vertex < drawing.boxes else STRAIGHT for vertex in near]
    total = sum(p * centers[v] for p, v in zip(pulls, near, strict=True))
    return total / sum(pulls)


def _path(way: Sequence[int], xs: Sequence[int], ys: Sequence[int], boxes: int) -> str:
    """Curves from layer to layer; straight lines where nothing has to move aside."""
    x, y = xs[way[0]], ys[way[0]] + BOX_HEIGHT
    parts = [f"M{x} {y}"]
    straight = y
    for vertex in way[1:]:
        end_x, end_y = xs[vertex], ys[vertex]
        if end_x != x:
            if straight != y:
                parts.append(f"V{straight}")
            middle = (straight + end_y) // 2
            parts.append(f"C{x} {middle} {end_x} {middle} {end_x} {end_y}")
            x = end_x
            y = end_y
        straight = end_y + (BOX_HEIGHT if vertex >= boxes else 0)
    if straight != y:
        parts.append(f"V{straight}")
    return "".join(parts)
