"""What an import keeps of a model: names, symbols, metadata, functions, foreign nodes."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run
from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import defs

from gie_core.builder.importing import ModelError
from gie_core.errors import GieError
from gie_core.ir.parser import parse_graph
from gie_core.ir.text import blobs, format_graph
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST
from gie_importer_onnx.importer import OnnxImporter
from gie_importer_onnx.provider import OnnxReferenceProvider
from gie_importer_onnx.registry import find_handler, handled_ops
from gie_importer_onnx.testing import compare_with_peer, run_imported

HEADER = '<ir_version: 8, opset_import: ["" : 17, "own" : 1], producer_name: "p">\n'


def load(text: str, **options: Any) -> Any:
    return OnnxImporter().load(onnx.parser.parse_model(HEADER + text), **options)


CHAIN = """g (float[N, 3] x) => (float[N, 3] y) {
  [first] a = Relu (x)
  y = Neg (a)
}"""


def test_names_sources_and_metadata() -> None:
    graph = load(CHAIN).graph
    assert [v.name for v in graph.values()] == ["x", "a", "y"]
    assert [node.sources for node in graph.nodes] == [("first",), ("Neg_1",)]
    assert graph.output_names == ("y",)
    assert graph.metadata == {"producer": "p", "opset": "ai.onnx 17, own 1", "ir_version": "8"}


def test_report() -> None:
    report = load(CHAIN).report
    assert report.framework == "ONNX opset 17"
    assert report.native == {"Relu": 1, "Neg": 1}


def test_sources(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(HEADER + CHAIN)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    before = model.SerializeToString()
    texts = {format_graph(OnnxImporter().load(s).graph) for s in (model, path, path.read_bytes())}
    assert len(texts) == 1
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    ("source", "accepted"),
    [
        (Path("m.onnx"), True),
        (Path("m.txt"), False),
        (b"\x08\x07", True),
        (b"PK", False),
        (3, False),
    ],
)
def test_accepts(source: Any, accepted: bool) -> None:
    assert OnnxImporter().accepts(source) is accepted


WITH_DEFAULT = """g (float[2] x, float[2] w) => (y) <float[2] w = {1, 2}> { y = Add (x, w) }"""


def test_inputs_with_initializers_become_constants_unless_kept() -> None:
    imported = load(WITH_DEFAULT)
    assert [v.name for v in imported.graph.inputs] == ["x"]
    assert imported.report.notes == [
        "1 input is a constant because of an initializer ('w' first); "
        "keep_initializer_inputs=True, or -O keep_initializer_inputs=true on the command line, "
        "leaves inputs what they are"
    ]
    kept = load(WITH_DEFAULT, keep_initializer_inputs=True)
    assert kept.report.notes == []
    assert [v.name for v in kept.graph.inputs] == ["x", "w"]


def test_shapes_replace_symbols_everywhere() -> None:
    text = "g (float[K, M] x, float[N, K] z) => (y) { y = MatMul (z, x) }"
    graph = load(text, shapes={"z": (5, None), "x": (3, None)}).graph
    assert [str(v.type) for v in graph.values()] == ["f32[3, M]", "f32[5, 3]", "f32[5, M]"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"shapes": "x:1,3"}, "shapes must be shapes by input, such as .*, not 'x:1,3'"),
        ({"shapes": [1, 3]}, "shapes must be shapes by input"),
        ({"shapes": {"x": 3}}, "shapes gives 'x' 3, but must give a list of extents"),
        ({"shapes": {"x": "13"}}, "shapes gives 'x' '13'"),
        ({"shapes": {"x": [1.5, 3]}}, "shapes gives 'x'"),
        ({"shapes": {"x": [-1, 3]}}, "shapes gives 'x'"),
        ({"shapes": {"x": [True, 3]}}, "shapes gives 'x'"),
        ({"keep_initializer_inputs": "maybe"}, "must be true or false, not 'maybe'"),
        ({"keep_initializer_inputs": 1}, "must be true or false, not 1"),
        ({"shape": {}}, "no option 'shape'; did you mean 'shapes'?"),
    ],
)
def test_wrong_options(options: dict[str, Any], error: str) -> None:
    with pytest.raises(GieError, match=error):
        load(CHAIN, **options)


@pytest.mark.parametrize("shape", [(5, 3), [5, None], np.array([5, 3]).tolist(), [np.int64(5), 3]])
def test_shapes_of_any_integers(shape: Any) -> None:
    [x] = load(CHAIN, shapes={"x": shape}).graph.inputs
    assert str(x.type) == "f32[5, 3]"


# ── Shape computations ──────────────────────────────────────────────────────────────

FLATTEN_BY_SHAPE = """g (float[N, C, H, W] x) => (y) {
  zero = Constant <value = int64 {0}> ()
  axis = Constant <value = int64[1] {0}> ()
  rest = Constant <value = int64[1] {-1}> ()
  s = Shape (x)
  n = Gather (s, zero)
  first = Unsqueeze (n, axis)
  shape = Concat <axis = 0> (first, rest)
  y = Reshape (x, shape)
}"""
HALVE = """g (float[N, C, H, W] x) => (y) {
  s = Shape <start = 2> (x)
  two = Constant <value = int64 {2}> ()
  half = Div (s, two)
  front = Shape <end = 2> (x)
  sizes = Concat <axis = 0> (front, half)
  y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric"> (x, , , sizes)
}"""
SCALE = """g (float[N, C, H, W] x) => (y) {
  s = Shape <start = 2> (x)
  real = Cast <to = 1> (s)
  two = Constant <value = float {2.0}> ()
  twice = Mul (real, two)
  whole = Floor (twice)
  size = Cast <to = 7> (whole)
  front = Shape <end = 2> (x)
  sizes = Concat <axis = 0> (front, size)
  y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric"> (x, , , sizes)
}"""
BROADCAST = """g (float[N, C, H, W] x) => (y) {
  s = Shape (x)
  r = Shape (s)
  ones = ConstantOfShape <value = int64[1] {1}> (r)
  minus = Constant <value = int64 {-1}> ()
  given = Equal (s, minus)
  shape = Where (given, ones, s)
  one = Constant <value = float[1] {1.0}> ()
  filled = Expand (one, shape)
  y = Add (filled, x)
}"""
CROP = """g (float[N, C, H, W] x) => (y) {
  s = Shape <start = 2> (x)
  one = Constant <value = int64[1] {1}> ()
  ends = Sub (s, one)
  starts = Constant <value = int64[2] {1, 1}> ()
  axes = Constant <value = int64[2] {2, 3}> ()
  y = Slice (x, starts, ends, axes)
}"""
HALF_CHANNELS = """g (float[N, C, H, W] x) => (y) {
  s = Shape <start = 1, end = 2> (x)
  two = Constant <value = int64[1] {2}> ()
  half = Div (s, two)
  zero = Constant <value = int64[1] {0}> ()
  one = Constant <value = int64[1] {1}> ()
  y = Slice (x, zero, half, one)
}"""
COUNT = """g (float[N, C, H, W] x) => (y) {
  n = Size (x)
  flat = Constant <value = int64[1] {-1}> ()
  f = Reshape (x, flat)
  zero = Constant <value = int64 {0}> ()
  one = Constant <value = int64 {1}> ()
  r = Range (zero, n, one)
  real = Cast <to = 1> (r)
  y = Add (f, real)
}"""
COMPUTED = [FLATTEN_BY_SHAPE, HALVE, SCALE, BROADCAST, CROP, HALF_CHANNELS, COUNT]


@pytest.mark.parametrize("text", COMPUTED)
@pytest.mark.parametrize("shape", [(2, 4, 6, 8), (1, 2, 5, 3)])
def test_shapes_that_the_model_computes_become_attributes(
    text: str, shape: tuple[int, ...]
) -> None:
    x = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    compare_with_peer(onnx.parser.parse_model(HEADER + text), [x])


def test_extents_that_only_data_tells_get_symbols() -> None:
    text = """g (float[2, 3] x) => (z) {
      n = NonZero (x)
      t = Transpose (n)
      z = GatherND (x, t)
    }"""
    x = np.array([[0, 1, 2], [3, 0, 0]], np.float32)
    imported = compare_with_peer(onnx.parser.parse_model(HEADER + text), [x])
    assert str(imported.graph.outputs[0].type) == "f32[n_1]"


# ── Functions ───────────────────────────────────────────────────────────────────────

FUNCTIONS = """g (float[2, 3] x) => (float[2, 3] y) {
  [outer] y = own.twice <slope = 0.5> (x)
}
<domain: "own", opset_import: ["" : 17, "own" : 1]>
twice <slope> (a) => (c) {
  [one] b = LeakyRelu <alpha : float = @slope> (a)
  [two] c = own.once (b)
}
<domain: "own", opset_import: ["" : 17]>
once (a) => (b) { b = Neg (a) }"""


def test_functions_of_the_model_are_inlined() -> None:
    model = onnx.parser.parse_model(HEADER + FUNCTIONS)
    x = np.array([[1, -2, 3], [-4, 5, -6]], np.float32)
    imported = compare_with_peer(model, [x])
    assert [(n.result.name, n.sources) for n in imported.graph.nodes] == [
        ("y.b", ("outer/one",)),
        ("y", ("outer/two/Neg_0",)),
    ]


def test_an_op_of_an_unknown_domain_needs_declared_types() -> None:
    text = "g (float[2] x) => (%s y) { y = own.mystery (x) }"
    with pytest.raises(ModelError, match=r"node 'y' \(mystery\) of the domain 'own' cannot"):
        OnnxImporter().load(onnx.parser.parse_model(HEADER + text.replace("%s ", "")))
    (foreign,) = load(text % "float[2]").report.foreign
    assert (foreign.op, foreign.reason) == ("own::mystery", "GIE has no such op")


# ── Foreign nodes ───────────────────────────────────────────────────────────────────

LSTM = """g (float[4, 1, 3] x, float[1, 8, 3] w, float[1, 8, 2] r) => (y, h) {
  y, h = LSTM <hidden_size = 2, activations = ["Sigmoid", "Tanh", "Tanh"]> (x, w, r)
}"""


def test_a_foreign_node_runs_by_the_reference_and_survives_the_text_form() -> None:
    model, rng = onnx.parser.parse_model(HEADER + LSTM), np.random.default_rng(8)
    inputs = [rng.standard_normal(s).astype(np.float32) for s in ((4, 1, 3), (1, 8, 3), (1, 8, 2))]
    imported = compare_with_peer(model, inputs, native=False)
    assert [str(v.type) for v in imported.graph.outputs] == ["f32[4, 1, 1, 2]", "f32[1, 1, 2]"]
    text = format_graph(imported.graph)
    again = parse_graph(text, core_ops(), blobs(imported.graph))
    assert format_graph(again) == text
    imported.graph = again
    run_imported(imported, *inputs)


@pytest.mark.parametrize(
    ("op", "reason"),
    [("relu", "only foreign nodes need onnx.reference"), ("foreign", "cannot run own::mystery")],
)
def test_the_provider_says_why_it_does_not_run_a_node(op: str, reason: str) -> None:
    graph = load("g (float[2] x) => (float[2] y) { a = Relu (x)  y = own.mystery (a) }").graph
    (node,) = [node for node in graph.nodes if node.op.name == op]
    assert reason in OnnxReferenceProvider().supports(node, HOST).reason


# ── Handlers ────────────────────────────────────────────────────────────────────────


def test_every_handled_op_of_onnx_exists_in_onnx() -> None:
    known = {schema.name for schema in defs.get_all_schemas_with_history() if not schema.domain}
    assert {op for domain, op in handled_ops() if domain == "ai.onnx"} <= known


def test_the_handler_is_the_newest_that_is_not_too_new() -> None:
    names = [
        getattr(find_handler("ai.onnx", "Softmax", v), "__name__", "") for v in (1, 12, 13, 25)
    ]
    assert names == ["softmax_before_13", "softmax_before_13", "softmax", "softmax"]
    assert find_handler("ai.onnx", "Softmax", 0) is None
    assert find_handler("ai.onnx", "Nothing", 13) is None


def test_declaring_the_plugin_imports_neither_onnx_nor_numpy() -> None:
    code = (
        "import sys, gie_importer_onnx.plugin as p; "
        "assert p.gie_importers() and p.gie_kernel_providers(); "
        "sys.exit(any(m in sys.modules for m in ('onnx', 'numpy')))"
    )
    assert run([sys.executable, "-c", code], check=False).returncode == 0
