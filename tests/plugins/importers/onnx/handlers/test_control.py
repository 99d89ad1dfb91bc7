"""If, Loop and Scan: bodies, captures, and shapes that change from iteration to iteration."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.parser
import pytest

from gie_importer_onnx.importer import OnnxImporter
from gie_importer_onnx.testing import compare_with_peer

HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def model(text: str) -> Any:
    return onnx.parser.parse_model(HEADER + text)


IF = """g (bool c, float[n, 3] x) => (y) {
  two = Constant <value = float {2.0}> ()
  y = If (c) <
    then_branch = t () => (float[a, b] p) { s = Mul (x, two)  p = Neg (s) },
    else_branch = e () => (float[a, b] q) { q = Add (x, two) }
  >
}"""


@pytest.mark.parametrize("condition", [True, False])
def test_if_captures_values_and_copies_constants(condition: bool) -> None:
    imported = compare_with_peer(model(IF), [np.array(condition), X])
    (node,) = [node for node in imported.graph.nodes if node.op.name == "if"]
    assert [v.name for v in node.operands if v is not None] == ["c", "x"]
    assert str(node.result.type) == "f32[n, 3]"


def test_if_with_a_known_condition_keeps_one_branch() -> None:
    text = """g (float[1, 3] x) => (y) {
      one = Constant <value = int64 {1}> ()
      zero = Constant <value = int64 {0}> ()
      shape = Shape (x)
      extent = Gather (shape, zero)
      c = Equal (extent, one)
      y = If (c) <
        then_branch = t () => (float[a] p) {
          axes = Constant <value = int64[1] {0}> ()
          p = Squeeze (x, axes)
        },
        else_branch = e () => (float[a, b] q) { q = Identity (x) }
      >
    }"""
    imported = compare_with_peer(model(text), [X[:1]])
    assert "if" not in {node.op.name for node in imported.graph.nodes}


def test_branches_of_different_shapes_have_a_symbol_for_their_extent() -> None:
    text = """g (bool c, float[2, 3] x) => (y) {
      y = If (c) <
        then_branch = t () => (float[a, b] p) { p = Concat <axis = 0> (x, x) },
        else_branch = e () => (float[a, b] q) { q = Identity (x) }
      >
      z = Neg (y)
    }"""
    imported = compare_with_peer(model(text), [np.array(True), X])
    assert str(imported.graph.outputs[0].type) == "f32[y_0, 3]"


LOOP = """g (int64 n, float[2, 3] x) => (float[2, 3] last, float[k, 2, 3] all) {
  yes = Constant <value = bool {1}> ()
  last, all = Loop (n, yes, x) <
    body = b (int64 i, bool go, float[2, 3] v) => (bool on, float[2, 3] w, float[2, 3] s) {
      on = Identity (go)
      w = Add (v, x)
      s = Neg (w)
    }
  >
}"""


@pytest.mark.parametrize("count", [1, 3])
def test_loop_carries_and_stacks(count: int) -> None:
    imported = compare_with_peer(model(LOOP), [np.array(count), X])
    assert [str(v.type) for v in imported.graph.outputs] == ["f32[2, 3]", "f32[last_0, 2, 3]"]


def test_loop_stops_when_its_condition_says_so() -> None:
    text = """g (float x) => (y) {
      limit = Constant <value = float {100.0}> ()
      yes = Constant <value = bool {1}> ()
      y = Loop ("", yes, x) <
        body = b (int64 i, bool go, float v) => (bool on, float w) {
          w = Add (v, v)
          on = Less (w, limit)
        }
      >
    }"""
    compare_with_peer(model(text), [np.array(3, np.float32)])


def test_a_carried_tensor_may_grow() -> None:
    text = """g (int64 n, float[2] x) => (y) {
      yes = Constant <value = bool {1}> ()
      y = Loop (n, yes, x) <
        body = b (int64 i, bool go, float[k] v) => (bool on, float[j] w) {
          on = Identity (go)
          w = Concat <axis = 0> (v, x)
        }
      >
    }"""
    compare_with_peer(model(text), [np.array(3), np.array([1, 2], np.float32)])


def test_a_body_that_needs_the_extent_of_an_outer_value_captures_one_that_tells_it() -> None:
    text = """g (bool c, float[n, 3] x) => (y) {
      shape = Shape (x)
      flat = Flatten <axis = 0> (x)
      y = If (c) <
        then_branch = t () => (float[a, b] p) { p = Reshape (flat, shape) },
        else_branch = e () => (float[a, b] q) { r = Reshape (flat, shape) q = Neg (r) }
      >
    }"""
    compare_with_peer(model(text), [np.array(False), X])


SCAN = """g (float[3] state, float[2, 3] x) => (last, all) {
  last, all = Scan <num_scan_inputs = 1, %s
    body = b (float[3] s, float[3] e) => (float[3] t, float[3] o) { t = Add (s, e)  o = Neg (t) }
  > (state, x)
}"""


@pytest.mark.parametrize(
    "attributes",
    ["", "scan_input_directions = [1],", "scan_output_directions = [1], scan_output_axes = [1],"],
)
def test_scan_becomes_a_loop(attributes: str) -> None:
    imported = compare_with_peer(model(SCAN % attributes), [X[0], X])
    assert "loop" in {node.op.name for node in imported.graph.nodes}


def test_a_foreign_node_keeps_its_graphs_and_captures() -> None:
    # ONNX wants a trip count of 64 bits; its reference runs this one nevertheless.
    text = """g (int32 n, float[2, 3] x) => (float[2, 3] y) {
      yes = Constant <value = bool {1}> ()
      y = Loop (n, yes, x) <
        body = b (int64 i, bool go, float[2, 3] v) => (bool on, float[2, 3] w) {
          on = Identity (go)
          w = Add (v, x)
        }
      >
    }"""
    imported = compare_with_peer(
        model(text), [np.array(2, np.int32), X], native=False, peer="reference"
    )
    (node,) = [node for node in imported.graph.nodes if node.op.name == "foreign"]
    assert [v.name if v else "" for v in node.operands] == ["n", "yes", "x", "x"]


def test_sources_name_the_models_nodes() -> None:
    graph = OnnxImporter().load(model(LOOP)).graph
    assert [node.sources for node in graph.nodes] == [("Loop_1",)]
