"""Random graphs print as text that reads back to a graph that prints and runs the same."""

from __future__ import annotations

from hypothesis import HealthCheck, given, note, settings

from gie_core.ir.graph import Graph
from gie_core.ir.parser import parse_graph
from gie_core.ir.text import blobs, format_graph
from gie_core.ir.verify import verify
from gie_core.ops import core_ops
from gie_core.testing.graphs import random_graphs
from gie_core.testing.passes import assert_same_answers

SETTINGS = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@SETTINGS
@given(random_graphs())
def test_round_trip(graph: Graph) -> None:
    text = format_graph(graph)
    note(text)
    again = parse_graph(text, core_ops(), blobs(graph))
    verify(again)
    assert format_graph(again) == text
    assert_same_answers(graph, again, seeds=(0,))
