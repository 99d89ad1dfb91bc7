"""The passes in concert: order, settling, and groups that grow."""

from __future__ import annotations

import pytest

from gie_core.builder.passes import Pass, Phase, run_passes, sort_passes
from gie_core.ir.graph import Graph
from gie_core.ir.parser import parse_graph
from gie_core.ir.text import format_graph
from gie_core.ops import core_ops
from gie_core.testing.passes import check_pass_pair
from gie_passes_fusion.plugin import gie_passes


def all_passes() -> list[Pass]:
    return sort_passes([declaration.load()() for declaration in gie_passes()])


RESIDUAL = """
graph main {
  input %x: u8[n, 4, 4, 1]
  const %w: f32[1, 1, 1, 1] = [2.0]
  const %scale: f32[1] = [0.5]
  const %zero: f32[1] = [0.0]
  const %one: f32[1] = [1.0]
  %a = cast(%x) {to = f32} from "Cast"
  %b = transpose(%a) {permutation = [0, 3, 1, 2]} from "Transpose"
  %c = conv(%b, %w) from "Conv"
  %d = batch_norm(%c, %scale, %zero, %zero, %one) {epsilon = 0.0} from "Norm"
  %e = add(%d, %b) from "Add"
  %f = relu(%e) from "Relu"
  %y = reduce_mean(%f) {axes = [2, 3]} from "Mean"
  return %y
}
"""


def test_a_network_becomes_few_nodes() -> None:
    graph = parse_graph(RESIDUAL, core_ops())
    run_passes(graph, all_passes())
    assert [node.op.name for node in graph.nodes] == [
        "cast",
        "reshape",
        "group",
        "reduce_mean",
    ]
    covered = {source for node in graph.nodes for source in node.sources}
    assert covered == {"Cast", "Transpose", "Conv", "Norm", "Add", "Relu", "Mean"}


def test_a_second_run_finds_nothing_to_simplify() -> None:
    graph = parse_graph(RESIDUAL, core_ops())
    simplify = [each for each in all_passes() if each.phase is Phase.SIMPLIFY]
    run_passes(graph, simplify)
    text = format_graph(graph)
    assert not any(record.hits for record in run_passes(graph, simplify))
    assert format_graph(graph) == text


PROLOGUE_AND_EPILOGUE = """
# before
graph main {
  input %x: u8[n, 1, 4, 4]
  const %w: f32[2, 1, 1, 2] = [1.0, 2.0, 3.0, 4.0]
  %a = cast(%x) {to = f32} from "A"
  %b = conv(%a, %w) from "B"
  %y = relu(%b) from "C"
  return %y
}
# after
graph main {
  input %x: u8[n, 1, 4, 4]
  const %w: f32[2, 1, 1, 2] = [1.0, 2.0, 3.0, 4.0]
  %y = group(%x, %w) {kind = "prologue+epilogue", body = graph "prologue+epilogue" {
    input %x: u8[n, 1, 4, 4]
    input %w: f32[2, 1, 1, 2]
    %a = pointwise(%x) {program = `(x0[d0,d1,d2,d3]: u8) -> f32(x0)`} from "A"
    %b = conv(%a, %w) from "B"
    %y = pointwise(%b) {program = `(x0[d0,d1,d2,d3]: f32) -> max(x0, 0.0)`} from "C"
    return %y
  }} from "A", "B", "C"
  return %y
}
"""


def test_an_epilogue_group_grows_by_a_prologue() -> None:
    check_pass_pair(PROLOGUE_AND_EPILOGUE, all_passes())


GATE = """
# before
graph main {
  input %x: f32[n, 2, 4, 4]
  const %w: f32[2, 2, 1, 1] = [1.0, 2.0, 3.0, 4.0]
  %m = reduce_mean(%x) {axes = [2, 3]}
  %g = sigmoid(%m)
  %c = conv(%x, %w)
  %y = mul(%c, %g)
  return %y
}
# after
graph main {
  input %x: f32[n, 2, 4, 4]
  const %w: f32[2, 2, 1, 1] = [1.0, 2.0, 3.0, 4.0]
  %g = group(%x) {kind = "epilogue", body = graph epilogue {
    input %x: f32[n, 2, 4, 4]
    %m = reduce_mean(%x) {axes = [2, 3]}
    %g = pointwise(%m) {program = `(x0[d0,d1,d2,d3]: f32) -> f32(1.0) / (1.0 + exp(-x0))`}
    return %g
  }}
  %y = group(%x, %w, %g) {kind = "epilogue", body = graph epilogue {
    input %x: f32[n, 2, 4, 4]
    input %w: f32[2, 2, 1, 1]
    input %g: f32[n, 2, 1, 1]
    %c = conv(%x, %w)
    %y = pointwise(%c, %g) {program = `(x0[d0,d1,d2,d3]: f32, x1[d0,d1,1,1]: f32) -> x0 * x1`}
    return %y
  }}
  return %y
}
"""


def test_a_gate_stays_with_the_reduction_it_follows() -> None:
    check_pass_pair(GATE, all_passes())


@pytest.mark.parametrize("each", all_passes(), ids=lambda each: each.name)
def test_an_empty_graph_is_left_alone(each: Pass) -> None:
    graph = Graph("empty")
    assert not any(record.hits for record in run_passes(graph, [each]))
