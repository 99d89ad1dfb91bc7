"""Layers, places and edges of drawn graphs."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from gie_core.cli.html.collapse import collapse
from gie_core.cli.html.layers import Layered, layered
from gie_core.cli.html.placing import BOX_WIDTH, place, spread
from gie_core.cli.html.sketch import Box, Sketch

Edges = list[tuple[int, int]]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, Edges]:
    boxes = draw(st.integers(2, 14))
    possible = st.sampled_from(list(combinations(range(boxes), 2)))
    return boxes, draw(st.lists(possible, unique=True, max_size=24))


def level_of(drawing: Layered) -> dict[int, int]:
    return {v: level for level, layer in enumerate(drawing.layers) for v in layer}


@given(graphs(), st.sampled_from([None, 0, 5]))
def test_layers(graph: tuple[int, Edges], bends: int | None) -> None:
    boxes, edges = graph
    drawing = layered(boxes, edges, bends=bends)
    level = level_of(drawing)
    assert sorted(level) == list(range(len(drawing.above)))
    assert {*drawing.routes, *drawing.loose} == set(edges)
    for (a, b), route in drawing.routes.items():
        assert [level[v] for v in (a, *route, b)] == list(range(level[a], level[b] + 1))
    assert all(level[a] < level[b] for a, b in edges)
    if bends is not None:
        assert sum(map(len, drawing.routes.values())) <= bends


@given(graphs())
def test_nothing_overlaps(graph: tuple[int, Edges]) -> None:
    drawing = layered(*graph)
    placed = place(drawing)
    for layer in drawing.layers:
        for a, b in pairwise(layer):
            both = a < drawing.boxes and b < drawing.boxes
            assert placed.centers[b] - placed.centers[a] >= (BOX_WIDTH if both else 14)
    half = BOX_WIDTH // 2
    xs = placed.centers[: drawing.boxes]
    assert min(xs) >= half
    assert max(xs) + half <= placed.width
    assert placed.paths.keys() == drawing.routes.keys()


def crossings(drawing: Layered) -> int:
    at = {v: index for layer in drawing.layers for index, v in enumerate(layer)}
    total = 0
    for layer in drawing.layers:
        edges = [(at[a], at[b]) for a in layer for b in drawing.below[a]]
        total += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(edges, 2))
    return total


@pytest.mark.parametrize(
    ("boxes", "edges", "least"),
    [
        (7, [(0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (2, 6)], 0),
        (6, [(0, 5), (1, 4), (2, 3)], 0),
        (6, [(0, 3), (0, 4), (1, 4), (1, 5), (2, 3), (2, 5)], 2),
        (4, [(0, 2), (0, 3), (1, 2), (1, 3)], 1),
        (5, [(0, 1), (1, 2), (2, 4), (0, 3), (3, 4), (0, 4)], 0),
    ],
)
def test_few_edges_cross(boxes: int, edges: Edges, least: int) -> None:
    assert crossings(layered(boxes, edges)) == least


def test_a_chain_is_straight() -> None:
    assert len(set(place(layered(9, [(n, n + 1) for n in range(8)])).centers)) == 1


def test_inputs_stand_above_who_reads_them() -> None:
    level = level_of(layered(5, [(0, 2), (2, 3), (3, 4), (1, 4)]))
    assert level[1] == level[4] - 1


PLACES = st.lists(
    st.tuples(st.floats(-50, 50), st.floats(0, 9), st.floats(0.5, 4)), min_size=1, max_size=7
)


@given(PLACES)
def test_spread_is_the_least_squares_solution(places: list[tuple[float, float, float]]) -> None:
    wanted, gaps, weights = (np.array(column) for column in zip(*places, strict=True))
    found = np.array(spread(wanted.tolist(), gaps[:-1].tolist(), weights.tolist()))
    # x = offsets + first + steps, first = p − q, all unknowns ≥ 0
    count = len(wanted)
    offsets = np.concatenate([[0], np.cumsum(gaps[:-1])])
    unknowns = np.hstack([np.ones((count, 1)), -np.ones((count, 1)), np.tri(count)[:, 1:]])
    root = np.sqrt(weights)
    nnls: Any = getattr(scipy.optimize, "nnls")  # noqa: B009 - its types are unknown
    solution = nnls(unknowns * root[:, None], (wanted - offsets) * root)[0]
    np.testing.assert_allclose(found, offsets + unknowns @ solution, atol=1e-6)


# ── Large graphs ────────────────────────────────────────────────────────────────────────


def chain(boxes: int, extra: Edges | None = None) -> Sketch:
    made = tuple(Box(f"v{n}", "relu", "f32[4]", "pointwise", (), (f"R{n}",)) for n in range(boxes))
    return Sketch(made, ((*pairwise(range(boxes)), *(extra or []))), boxes)


def test_small_graphs_stay_as_they_are() -> None:
    whole = chain(400)
    assert collapse(whole).sketch is whole


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=30))
def test_collapsed_graphs_keep_their_edges(pairs: Edges) -> None:
    extra = {(a, b) for a, b in pairs if a + 1 < b}
    whole = chain(41, sorted(extra))
    reduced = collapse(whole, enough=3)
    home = {member: box for box, members in enumerate(reduced.members) for member in members}
    assert sorted(home) == list(range(41))
    outer = {(home[a], home[b]) for a, b in whole.edges if home[a] != home[b]}
    assert set(reduced.sketch.edges) == outer
    assert all(a < b for a, b in outer)


def test_a_long_chain_becomes_few_boxes() -> None:
    reduced = collapse(chain(1200))
    assert len(reduced.sketch.boxes) == 100
    assert reduced.sketch.boxes[0].label == "12 × relu"
    assert reduced.sketch.boxes[0].sources == tuple(f"R{n}" for n in range(12))


def test_what_is_left_out_is_counted() -> None:
    reduced = collapse(chain(1200), most=60)
    assert (len(reduced.sketch.boxes), reduced.left_out) == (60, 480)
