"""On random graphs, every pass alone and all of them together leave the answers as they were."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, note, settings

from gie_core.builder.passes import run_passes, sort_passes
from gie_core.ir.clone import clone_graph
from gie_core.ir.graph import Graph
from gie_core.ir.text import format_graph
from gie_core.ir.types import DType
from gie_core.testing.graphs import random_graphs
from gie_core.testing.passes import assert_same_answers
from gie_passes_fusion.plugin import gie_passes

PASSES = {declaration.name: declaration for declaration in gie_passes()}


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def tolerance(graph: Graph) -> float:
    """Graphs compute in f64; where they cast to f32 and back, its roundings count."""
    return 1e-4 if any(v.tensor.dtype is DType.F32 for v in graph.values()) else 1e-9


def check(graph: Graph, names: list[str]) -> None:
    original = clone_graph(graph)
    note(format_graph(original))
    run_passes(graph, sort_passes([PASSES[name].load()() for name in names]))
    note(format_graph(graph))
    assert_same_answers(original, graph, tolerance(original))


@pytest.mark.parametrize("name", PASSES)
@examples(40)
@given(graph=random_graphs(max_nodes=8))
def test_alone(name: str, graph: Graph) -> None:
    check(graph, [name])


@examples(200)
@given(graph=random_graphs(max_nodes=16))
def test_together(graph: Graph) -> None:
    check(graph, list(PASSES))
