"""Copies in other terms compute the same."""

from __future__ import annotations

import numpy as np
import pytest

from gie_core.builder.recast import all_ops, anonymous, in_double, one_node
from gie_core.ir.graph import Graph
from gie_core.ir.text import format_graph
from gie_core.ops import core_ops
from gie_core.ops.run import run_graph
from gie_core.testing.inputs import random_inputs
from gie_core.testing.passes import parse_with_blobs

CONV = """graph main {
  input %x: f32[1, 3, 8, 8]
  const %w: f32[4, 3, 3, 3] = blob "w"
  %y: f32[1, 4, 6, 6] = conv(%x, %w)
  return %y
}"""
GROUP = """graph main {
  input %x: f32[2, 3]
  const %c: f32[3] = [0.1, 0.2, 0.3]
  %y: f32[2, 3] = group(%x, %c) {kind = "epilogue", body = graph tail {
    input %p: f32[2, 3]
    input %q: f32[3]
    %s: f32[2, 3] = add(%p, %q)
    %t: f32[2, 3] = pointwise(%s, %s) {program = `(a[i,j]: f32, b[i,j]: f32) -> a * b + 0.5`}
    return %t
  }}
  return %y
}"""
GATHER = """graph main {
  input %x: f16[8, 3]
  const %i: i64[2] = [1, 5]
  %y: f16[2, 3] = gather(%x, %i) {axis = 0}
  return %y
}"""
TWICE = """graph main {
  input %x: f32[2, 3]
  %y: f32[2, 3] = add(%x, %x)
  return %y
}"""


@pytest.mark.parametrize("text", [CONV, GROUP, GATHER, TWICE])
def test_a_node_alone_computes_what_it_did(text: str) -> None:
    graph = parse_with_blobs(text, core_ops())
    (node,) = graph.nodes
    inputs = random_inputs(graph, np.random.default_rng(0))
    (alone,), (right,) = run_graph(one_node(node), inputs), run_graph(graph, inputs)
    np.testing.assert_array_equal(alone, right)


@pytest.mark.parametrize(("text", "error"), [(CONV, 1e-6), (GROUP, 1e-6), (GATHER, 0), (TWICE, 0)])
def test_in_double_is_the_same_but_more_exact(text: str, error: float) -> None:
    graph = parse_with_blobs(text, core_ops())
    wide = in_double(graph)
    inputs = random_inputs(graph, np.random.default_rng(0))
    (exact,) = run_graph(wide, [array.astype(np.float64) for array in inputs])
    (rounded,) = run_graph(graph, inputs)
    assert exact.dtype == np.float64
    np.testing.assert_allclose(exact, rounded, rtol=error, atol=error)
    assert (exact != rounded).any() == bool(error)


def test_in_double_leaves_no_other_float() -> None:
    text = format_graph(in_double(parse_with_blobs(GROUP, core_ops())))
    assert "f32" not in text
    assert "0.10000000149011612" in text  # what the f32 was, not what its shortest digits say


def test_ops_inside_are_found() -> None:
    names = [op.name for op in all_ops(parse_with_blobs(GROUP, core_ops()))]
    assert names == ["group", "add", "pointwise"]


def test_long_strings_are_forgotten_too() -> None:
    graph = Graph("g")
    constant = graph.add_constant(np.array([f"{n}" for n in range(100)], np.object_))
    graph.set_outputs([constant])
    [data] = [value.data for value in anonymous(graph).constants]
    assert data is not None
    assert set(data) == {""}
