"""Damaged and hostile models give one sentence, in bounded time and memory."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

from gie_core.builder.importing import Imported, ModelError
from gie_core.errors import GieError
from gie_importer_onnx.importer import OnnxImporter
from gie_importer_onnx.symbols import Symbols

TEXT = """<ir_version: 8, opset_import: ["" : 13]>
g (float[n, 3, 8, 8] x) => (float[n, a, b, c] y) {
  w = Constant <value = float[4, 3, 1, 1] {1,2,3,4,5,6,7,8,9,10,11,12}> ()
  c = Conv <kernel_shape = [1, 1], strides = [2, 2], auto_pad = "SAME_UPPER"> (x, w)
  r = Relu (c)
  s = Shape (r)
  f = Flatten (r)
  b = Reshape (f, s)
  axes = Constant <value = int64[1] {1}> ()
  m = ReduceSum <keepdims = 1> (b, axes)
  p = MaxPool <kernel_shape = [2, 2]> (m)
  y = Softmax <axis = 1> (p)
}"""


def small_model() -> ModelProto:
    return onnx.parser.parse_model(TEXT)


def load(source: Any) -> Any:
    return OnnxImporter().load(source)


def with_initializer(tensor: TensorProto) -> ModelProto:
    """A model that adds an initializer called w to its input."""
    tensor.name = "w"
    shape = [1]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [tensor],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])


def test_truncated_files(tmp_path: Path) -> None:
    data = small_model().SerializeToString()
    for length in range(0, len(data), 7):
        path = tmp_path / "cut.onnx"
        path.write_bytes(data[:length])
        with pytest.raises(ModelError, match=r"cut\.onnx"):
            load(path)


def test_random_bytes() -> None:
    rng = np.random.default_rng(0)
    for length in (0, 1, 10, 1000, 10_000):
        with pytest.raises(ModelError):
            load(rng.bytes(length))


def outcome(data: bytes) -> str:
    """The error's message, or "" if the model could be imported."""
    try:
        load(data)
    except GieError as error:
        return str(error)
    return ""


def test_mutated_files_raise_nothing_but_one_sentence() -> None:
    data, rng = small_model().SerializeToString(), np.random.default_rng(1)
    messages: list[str] = []
    for _ in range(2000):
        mutated = bytearray(data)
        for position in rng.integers(0, len(data), rng.integers(1, 6)):
            mutated[position] = rng.integers(0, 256)
        messages.append(outcome(bytes(mutated)))
    assert not any("\n" in message for message in messages)
    assert messages.count("") > 20, "mutations should also leave models that can be read"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (b"", "has no graph"),
        (ModelProto().SerializeToString(), "has no graph"),
        (42, "is no ONNX model"),
        (Path("does-not-exist.onnx"), "is not a file"),
        (Path("."), "is not a file"),
    ],
)
def test_what_is_no_model(what: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(what)


def test_an_opset_of_the_future() -> None:
    model = small_model()
    model.opset_import[0].version = 999
    with pytest.raises(ModelError, match="uses ONNX opset 999"):
        load(model)


def test_an_unknown_option_names_the_one_that_was_meant() -> None:
    with pytest.raises(GieError, match="no option 'shape'; did you mean 'shapes'"):
        OnnxImporter().load(small_model(), shape={})


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (1,)}, "the model's inputs are x"),
        ({"x": (1, 3)}, "2 dimensions, but the model 4"),
        ({"x": (1, 4, 8, 8)}, "extent 4, but it is 3"),
    ],
)
def test_shapes_that_do_not_fit(shapes: Any, message: str) -> None:
    with pytest.raises(GieError, match=message):
        OnnxImporter().load(small_model(), shapes=shapes)


# ── Order ───────────────────────────────────────────────────────────────────────────


def chain(*nodes: tuple[str, str]) -> ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Relu", [a], [b], name=f"to_{b}") for a, b in nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])


def test_a_wrong_order_is_repaired() -> None:
    graph = load(chain(("b", "y"), ("a", "b"), ("x", "a"))).graph
    assert [node.result.name for node in graph.nodes] == ["a", "b", "y"]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("a", "b"), ("b", "a"), ("x", "y")], r"has a cycle: node 'to_\w' \(Relu\) → "),
        ([("y", "y")], "has a cycle"),
        ([("x", "a"), ("x", "a"), ("a", "y")], "writes 'a', which is already defined"),
        ([("x", "x"), ("x", "y")], "writes 'x', which is already defined"),
        ([("nowhere", "y")], "'nowhere', which nothing in it defines"),
        ([("x", "a")], "'y', which nothing in it defines"),
    ],
)
def test_broken_order(nodes: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(chain(*nodes))


def test_functions_that_call_themselves() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
    g (float[2] x) => (float[2] y) { y = own.f (x) }
    <domain: "own", opset_import: ["" : 17, "own" : 1]>
    f (a) => (b) { b = own.f (a) }"""
    with pytest.raises(ModelError, match="call themselves: f → f"):
        load(onnx.parser.parse_model(text))


def test_functions_that_grow_without_end() -> None:
    levels = 12
    body = "\n".join(
        f"""<domain: "own", opset_import: ["" : 17, "own" : 1]>
        f{i} (a0) => (a9) {{ {" ".join(f"a{k + 1} = own.f{i + 1} (a{k})" for k in range(9))} }}"""
        for i in range(levels)
    )
    last = f'<domain: "own", opset_import: ["" : 17]> f{levels} (a) => (b) {{ b = Relu (a) }}'
    text = f"""<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
    g (float[2] x) => (float[2] y) {{ y = own.f0 (x) }}
    {body}
    {last}"""
    with pytest.raises(ModelError, match="grow to"):
        load(onnx.parser.parse_model(text))


def test_graphs_too_deep_in_each_other() -> None:
    # Bytes can't hold so many: protobuf has a limit of its own.
    model = small_model()
    graph = model.graph
    for _ in range(60):
        node = graph.node.add(op_type="If", input=["x"], output=["z"])
        attribute = node.attribute.add(name="then_branch", type=AttributeProto.GRAPH)
        graph = attribute.g
        graph.output.add(name="z")
    with pytest.raises(ModelError, match="deep in each other"):
        load(model)


# ── Tensors ─────────────────────────────────────────────────────────────────────────


def claim(**fields: Any) -> TensorProto:
    return TensorProto(data_type=TensorProto.FLOAT, **fields)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (claim(dims=[1 << 29]), r"takes 536870912 values, but holds 0"),
        (claim(dims=[1 << 29], raw_data=b"1234"), r"takes 2147483648 bytes, but holds 4"),
        (claim(dims=[1 << 40, 1 << 40], raw_data=b""), "but holds 0"),
        (claim(dims=[0, 1 << 62], raw_data=b""), "initializer 'w'"),
        (claim(dims=[-1], raw_data=b"1234"), "the negative extent -1"),
        (claim(dims=[2], float_data=[1.0]), "takes 2 values, but holds 1"),
        (TensorProto(data_type=99, dims=[1]), "the element type 99"),
        (TensorProto(data_type=0, dims=[1]), "the element type UNDEFINED"),
    ],
)
def test_tensors_that_claim_what_they_do_not_hold(tensor: TensorProto, message: str) -> None:
    model = with_initializer(tensor)
    tracemalloc.start()
    with pytest.raises(ModelError, match=message):
        load(model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_sparse_tensor_too_large_to_be_dense() -> None:
    model = with_initializer(numpy_helper.from_array(np.zeros(1, np.float32)))
    values = numpy_helper.from_array(np.ones(1, np.float32), "s")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, indices, [1 << 20, 1 << 20])
    )
    with pytest.raises(ModelError, match="too large to be stored densely"):
        load(model)


# ── External data ───────────────────────────────────────────────────────────────────


def external(tmp_path: Path, location: str, **entries: Any) -> Path:
    """A model in a folder of its own whose weight [4] lies at ``location``."""
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    folder = tmp_path / "model"
    folder.mkdir()
    path = folder / "m.onnx"
    path.write_bytes(with_initializer(tensor).SerializeToString())
    (folder / "w.bin").write_bytes(np.arange(8, dtype=np.float32).tobytes())
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "loop.bin").symlink_to(folder / "loop.bin")
    return path


def test_external_data_is_mapped(tmp_path: Path) -> None:
    graph = load(external(tmp_path, "w.bin", offset=8, length=16)).graph
    (weight,) = graph.constants
    assert weight.data is not None
    np.testing.assert_array_equal(weight.data, np.arange(2, 6, dtype=np.float32))
    assert not weight.data.flags.owndata


@pytest.mark.parametrize(
    ("location", "entries", "message"),
    [
        ("../secret.bin", {}, "outside the model's folder"),
        ("sub/../../secret.bin", {}, "outside the model's folder"),
        ("/etc/hostname", {}, "outside the model's folder"),
        ("link.bin", {}, "outside the model's folder"),
        ("loop.bin", {}, "loop.bin"),
        (".", {}, "is not in"),
        ("", {}, "but not in which"),
        ("missing.bin", {}, "is not in"),
        ("x" * 5000, {}, "needs the file 'xxx"),
        ("w.bin", {"offset": 24}, "needs bytes 24 to 40 of w.bin, which has only 32"),
        ("w.bin", {"offset": -4}, "no length in bytes"),
        ("w.bin", {"offset": 1 << 70}, "no length in bytes"),
        ("w.bin", {"length": 20}, "says that its data in w.bin is 20 bytes long"),
    ],
)
def test_external_data_out_of_reach(
    tmp_path: Path, location: str, entries: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load(external(tmp_path, location, **entries))


def test_external_strings(tmp_path: Path) -> None:
    path = external(tmp_path, "w.bin")
    model = ModelProto.FromString(path.read_bytes())
    model.graph.initializer[0].data_type = TensorProto.STRING
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="'w' has strings in another file"):
        load(path)


def test_external_data_of_a_model_without_a_place(tmp_path: Path) -> None:
    data = external(tmp_path, "w.bin").read_bytes()
    with pytest.raises(ModelError, match="given as bytes"):
        load(data)


def test_an_external_tensor_that_claims_two_gigabytes(tmp_path: Path) -> None:
    path = external(tmp_path, "w.bin")
    model = ModelProto.FromString(path.read_bytes())
    model.graph.initializer[0].dims[0] = 1 << 29
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="which has only 32"):
        load(path)


# ── Growth: import takes bounded time ────────────────────────────────────────────────


def imported_within(seconds: float, text: str) -> Imported:
    """Import a model of opset 17; what the importer gives up to follow is left to run time."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}')
    start = time.process_time()
    imported = load(model)
    assert time.process_time() - start < seconds
    return imported


def test_numbers_that_square_beside_symbols() -> None:
    squares = "\n".join(
        f"r{i} = Div (s{i}, dn)  q{i} = Mul (s{i}, r{i})  s{i + 1} = Div (q{i}, dm)"
        for i in range(40)
    )
    imported_within(
        5,
        f"""g (float[n, 3, m] x) => (y) {{
          s0 = Shape (x)
          one = Constant <value = int64[2] {{1, 1}}> ()
          n = Shape <start = 0, end = 1> (x)
          m = Shape <start = 2, end = 3> (x)
          dn = Concat <axis = 0> (n, one)
          dm = Concat <axis = 0> (one, m)
          {squares}
          y = Identity (s40)
        }}""",
    )


def test_a_number_beyond_64_bits_is_left_to_run_time() -> None:
    imported = imported_within(
        5,
        """g (float[n] x) => (y) {
          n = Shape (x)
          large = Constant <value = int64[1] {4611686018427387904}> ()
          a = Concat <axis = 0> (large, n)
          b = Add (a, a)
          begin = Constant <value = int64[1] {0}> ()
          end = Constant <value = int64[1] {1}> ()
          y = Slice (b, begin, end)
        }""",
    )
    assert imported.report.foreign == []


@pytest.mark.parametrize("operands", ["wide, wide", "p, numbers"])
def test_many_long_dimensions(operands: str) -> None:
    # (s0 + … + s15) · (s16 + … + s31): 256 terms, in each of 1,024 elements.
    dims = ", ".join(f"s{i}" for i in range(32))
    sums = "\n".join(f"y{i} = Add ({operands})" for i in range(40))
    imported_within(
        5,
        f"""g (float[{dims}] x) => (y0) {{
          a = Shape <start = 0, end = 16> (x)
          b = Shape <start = 16, end = 32> (x)
          c = ReduceSum (a)
          d = ReduceSum (b)
          p = Mul (c, d)
          many = Constant <value = int64[1] {{1024}}> ()
          numbers = ConstantOfShape <value = int64[1] {{7}}> (many)
          wide = Expand (p, many)
          {sums}
        }}""",
    )


def test_many_dimensions_whose_names_become_alike() -> None:
    symbols, start = Symbols(), time.process_time()
    names = [str(symbols.named(chr(0x4E00 + i))) for i in range(20_000)]
    assert time.process_time() - start < 5
    assert names[:3] == ["d", "d_1", "d_2"]
    assert len(set(names)) == len(names)
    assert [str(symbols.fresh(hint)) for hint in ("d_1", "d", "e")] == ["d_1_1", "d_20000", "e"]


def nested_loops(levels: int) -> str:
    """Loops in each other, each of which carries a tensor that grows."""
    inner = "w0 = Identity (v0)"
    for i in range(levels):
        inner = f"""w{i + 1} = Loop (n, yes, v{i + 1}) <
          body = b{i} (int64 i{i}, bool go{i}, float[k] v{i}) => (bool on{i}, float[e] r{i}) {{
            {inner}
            on{i} = Identity (go{i})
            r{i} = Concat <axis = 0> (w{i}, w{i})
          }}
        >"""
    inner = inner.replace(f"(n, yes, v{levels})", "(n, yes, x)")
    return f"g (int64 n, bool yes, float[2] x) => (w{levels}) {{ {inner} }}"


def test_loops_in_each_other_that_grow() -> None:
    imported_within(5, nested_loops(4))
    with pytest.raises(ModelError, match="nested too deeply"):
        imported_within(5, nested_loops(16))
