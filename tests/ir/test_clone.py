"""Copies of graphs: equal in text, and nothing of them is shared that could change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from gie_core.ir.clone import clone_graph
from gie_core.ir.graph import Graph, GraphError
from gie_core.ir.op import Op
from gie_core.ir.parser import parse_graph
from gie_core.ir.text import format_graph
from gie_core.ir.types import TensorType
from gie_core.ir.verify import verify
from gie_core.ops import core_ops
from gie_core.testing.graphs import random_graphs

TEXT = """graph g {
  metadata {a = "b"}
  input %x: f32[n] quant(i8, scale = [0.5], zero_point = [0])
  const %c: f32[1] = [0.5]
  %y: f32[n] = add(%x, %c) from "Add_0" metadata {k = "v"}
  %z: f32[n] quant(u8, scale = [0.5], zero_point = [3], binding) = group(%y) {kind = "epilogue", body = graph b {
    input %x: f32[n]
    %y: f32[n] = relu(%x)
    return %y
  }}
  state %x -> %z
  return %z as "out", %y
}"""  # noqa: E501 - the text form has one line a node


class Unregistered(Op, name="test.unregistered"):
    """An op that no registry knows."""

    def infer(self, x: TensorType) -> TensorType:
        return x


def test_everything_is_copied() -> None:
    assert format_graph(clone_graph(parse_graph(TEXT, core_ops()))) == TEXT


@given(random_graphs(max_nodes=5))
def test_random_graphs_are_copied(graph: Graph) -> None:
    copy = clone_graph(graph)
    verify(copy)
    assert format_graph(copy) == format_graph(graph)


def test_changes_do_not_reach_the_original() -> None:
    graph = parse_graph(TEXT, core_ops())
    copy = clone_graph(graph)
    node = copy.value("z").node
    assert node is not None
    node.op.subgraphs()["body"].metadata["new"] = "1"
    node.metadata["new"] = "1"
    copy.metadata["new"] = "1"
    copy.rename(copy.value("y"), "w")
    assert format_graph(graph) == TEXT


def test_ops_and_symbols_without_text_are_copied_too() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType.of("f32", ["n"]))
    graph.set_outputs([graph.add(Unregistered(), x).result])
    assert isinstance(next(clone_graph(graph).nodes).op, Unregistered)


def test_constants_are_shared() -> None:
    graph = Graph()
    data = graph.add_constant(np.arange(100.0), "c").data
    assert clone_graph(graph).constants[0].data is data


def test_what_is_read_before_it_is_defined_is_named() -> None:
    graph = parse_graph(
        "graph g { input %x: f32[1] %a = relu(%x) %b = relu(%a) return %b }", core_ops()
    )
    first, second = graph.nodes
    graph.move_before(second, first)
    with pytest.raises(GraphError, match="%a is used before it is defined"):
        clone_graph(graph)
