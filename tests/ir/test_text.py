"""The text form: what is printed, that it reads back, and what the parser says of errors."""

# ruff: noqa: E501 - the text form has one line a node

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from gie_core.ir.graph import Graph
from gie_core.ir.lexer import TextError
from gie_core.ir.op import Op, OpError, OpRegistry
from gie_core.ir.parser import parse_graph
from gie_core.ir.quantization import Quantization
from gie_core.ir.text import blobs, format_graph, identity_key
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.activation import Relu
from gie_core.ops.foreign import Foreign
from gie_core.ops.group import Group
from gie_core.ops.identity import Dropout, Identity
from gie_core.ops.pointwise import Pointwise
from gie_core.ops.shape import Concat

OPS = OpRegistry([Concat, Foreign, Group, Identity, Dropout, Pointwise, Relu])

EVERYTHING = r"""graph "my net" {
  metadata {producer = "torch 2.0", "odd key" = "\u00e9"}
  input %x: f32[n, 3, h // 2]
  input %"a:b": seq<opt<i64[*]>>
  const %s: f32[1] = [0.1]
  %y: f32[n, 3, h // 2] = pointwise(%x, %s) {program = `(x[a,b,c]: f32, s[1]: f32) -> max(x * s, 0.0)`} from "Mul_0", "Relu 1"
  %z: f32[n, 3, h // 2] quant(u8, scale = [0.5], zero_point = [128], binding) = dropout(%y) {ratio = 0.3}
  %p: f32[*], %q: seq<f32[2]> = foreign(%z, _, %"a:b") {domain = "ai.onnx", op = "Foo", version = 9, attributes = {a = 1, b = [1.0, inf], c = i64[2] [1, -2], d = b"AAEC", e = {f = [[true], []]}}} metadata {k = "v"}
  %g: f32[n, 3, h // 2] = group(%x) {kind = "epilogue", body = graph inner {
    input %x: f32[n, 3, h // 2]
    %y: f32[n, 3, h // 2] = identity(%x)
    return %y
  }} from "Id"
  state %x -> %g
  return %z as "out", %g
}"""


def test_everything_round_trips() -> None:
    graph = parse_graph(EVERYTHING, OPS)
    assert format_graph(graph) == EVERYTHING


def test_result_types_may_be_left_out() -> None:
    graph = parse_graph("graph g { input %x: f32[n] %y = identity(%x) return %y }", OPS)
    assert graph.outputs[0].type == TensorType.of("f32", ["n"])


ELEMENTS: list[tuple[Any, list[Any]]] = [
    (np.float32, [0.1, -0.0, 1e-45, 3.4028235e38, math.inf]),
    (np.float64, [0.1, 5e-324, 1e300]),
    (np.float16, [0.1, 6e-8, 65504]),
    (ml_dtypes.bfloat16, [0.1, 3e38]),
    (ml_dtypes.float8_e4m3fn, [0.1, 448]),
    (np.int64, [2**63 - 1, -(2**63)]),
    (np.uint64, [2**64 - 1]),
    (ml_dtypes.int4, [-8, 7]),
    (np.bool_, [True, False]),
    (np.complex64, [1 + 2j, -0.5j, complex(math.inf, 1)]),
    (object, ["a", 'b"\\\n', ""]),
    (np.float32, []),
]


@pytest.mark.parametrize(("dtype", "values"), ELEMENTS)
def test_small_constants_stand_in_the_text_bit_for_bit(dtype: Any, values: list[Any]) -> None:
    graph = Graph()
    array: Array = np.array(values, dtype)
    graph.set_outputs([graph.add_constant(array, "c")])
    assert not blobs(graph)
    again = parse_graph(format_graph(graph), OPS).outputs[0].data
    assert again is not None
    assert again.dtype == array.dtype
    assert (
        again.tolist() == array.tolist() if dtype is object else again.tobytes() == array.tobytes()
    )


def test_large_constants_and_odd_nans_are_named_by_content() -> None:
    graph = Graph()
    large = np.arange(100, dtype=np.float32)
    odd_nan = np.array([0x7FC00001], np.uint32).view(np.float32)
    graph.set_outputs([graph.add_constant(large, "a"), graph.add_constant(odd_nan, "b")])
    text, stored = format_graph(graph), blobs(graph)
    assert len(stored) == 2
    again = parse_graph(text, OPS, stored)
    assert format_graph(again) == text
    assert again.outputs[1].data is not None
    assert again.outputs[1].data.tobytes() == odd_nan.tobytes()


def test_content_and_not_the_name_decides_the_key() -> None:
    def text(fill: float) -> str:
        graph = Graph()
        graph.set_outputs([graph.add_constant(np.full(100, fill), "c")])
        return format_graph(graph)

    assert text(1.0) == text(1.0)
    assert text(1.0) != text(2.0)


def test_changing_a_quantization_changes_the_text() -> None:
    graph = parse_graph("graph g { input %x: f32[4] return %x }", OPS)
    before = format_graph(graph)
    graph.inputs[0].quantization = Quantization(DType.I8, (0.5, 0.25), (0, 0), axis=0)
    text = format_graph(graph)
    assert "quant(i8, scale = [0.5, 0.25], zero_point = [0, 0], axis = 0)" in text
    assert text != before
    assert format_graph(parse_graph(text, OPS)) == text


def wrap(line: str) -> str:
    return f"graph g {{\n  input %x: f32[n]\n  {line}\n  return\n}}"


ERRORS = [
    ("%y = idenity(%x)", "line 3, column 8: there is no op 'idenity'; did you mean 'identity'?"),
    ("%y = identity(%z)", "line 3, column 17: %z is not defined before this line"),
    ("%x = identity(%x)", "line 3, column 3: %x is defined twice"),
    ("%y = identity()", "identity needs the operand 'x'"),
    ("input %q: seq<f32[2]> %y = relu(%q)", "relu does not take (seq<f32[2]>)"),
    ("%y = concat(%x, _, %x) {axis = 0}", "concat does not take (f32[n], _, f32[n])"),
    ("input %i: f32[-1]", "cannot be negative"),
    ("const %c: f32[-1] = [1.0]", "cannot be negative"),
    (r'input %"a\q": f32[1]', "Invalid \\escape"),
    ('input %"a\tb": f32[1]', "Invalid control character"),
    ('%y: f32[*] = foreign() {domain = "d", op = "o", attributes = {b = b"a"}}', "Invalid base64"),
    ("const %c: c64[1] = [(einj)]", "complex"),
    ("const %c: str[1] = [{a = 1}]", "is not a str"),
    ("const %c: i32[1] = [1.5]", "1.5 is not a i32"),
    ('const %c: i32[1] = ["1"]', "'1' is not a i32"),
    ("const %c: i4[1] = [300]", "outside the range of i4"),
    ("const %c: u64[1] = [-1]", "these elements do not make a u64[1]"),
    ("const %c: bool[1] = [7]", "7 is not a bool"),
    ("const %c: f32[1] = [true]", "True is not a f32"),
    ("const %c: f16[1] = [1e6]", "outside the range of f16"),
    ("const %c: f32[1] = [" + "9" * 5000 + "]", "Exceeds the limit"),
    ("input %i: f32[n" + " // m" * 150 + "]", "is not a dimension"),
    ("%y, %y = identity(%x)", "%y is defined twice"),
    ("%y, %z = identity(%x)", "identity has 1 results, not 2"),
    ("%y = dropout(%x) {rate = 1.0}", "dropout has no attribute 'rate'"),
    ("%y = dropout(%x) {ratio = 1.0, ratio = 2.0}", "dropout has twice the attribute 'ratio'"),
    ('%y = dropout(%x) {ratio = "a"}', "expected float, got 'a'"),
    ('%y = foreign(%x) {op = "A"}', "foreign needs the attribute 'domain'"),
    ("const %c: f32[2] = [1.0]", "these elements do not make a f32[2]"),
    ("const %c: u8[1] = [300]", "these elements do not make a u8[1]"),
    ("const %c: f32[n] = [1.0]", "a constant has a tensor type with a known shape"),
    ('const %c: f32[2] = blob "k"', "no blob 'k' was given"),
    ("input %i: f33[2]", "'f33' is not an element type"),
    ("input %i: f32[n+]", "is not a dimension"),
    ("input %i: f32[2", "'2 return' is not a dimension"),
    ("%y = pointwise(%x) {program = `(x[a]: f32) -> x +`}", "line 3"),
    ("input %i: f32[2] quant(u8, scale = [-1.0], zero_point = [0])", "must be positive"),
    ("state %x -> _", "a value is needed here"),
    ("return ?", "unexpected character '?'"),
]


@pytest.mark.parametrize(("line", "message"), ERRORS)
def test_errors_say_where_and_what(line: str, message: str) -> None:
    with pytest.raises(TextError) as error:
        parse_graph(wrap(line), OPS)
    assert message in str(error.value)
    assert str(error.value).startswith("graph text, line ")


def test_nesting_is_bounded() -> None:
    with pytest.raises(TextError, match="nested deeper"):
        parse_graph(wrap("%y = foreign(%x) {attributes = {a = " + "[" * 100_000), OPS)


@pytest.mark.parametrize("name", ["inf", "nan", "inf.x", "nan.y", "infinite", "a b", "true"])
def test_odd_names_are_read_back(name: str) -> None:
    graph = Graph(name)
    graph.metadata[name] = "v"
    again = parse_graph(format_graph(graph), OPS)
    assert (again.name, again.metadata) == (name, {name: "v"})


@pytest.mark.parametrize("value", [None, {1, 2}, 1j, [None], {"a": object()}])
def test_attributes_without_text_are_refused(value: Any) -> None:
    with pytest.raises(OpError, match="cannot stand in a mapping"):
        Foreign(domain="d", op="Op", attributes={"a": value})


def test_printing_never_fails() -> None:
    class Broken(Op, name="test.broken"):
        def infer(self, x: TensorType) -> TensorType:
            return x

    graph = parse_graph(EVERYTHING, OPS)
    node = graph.add(Broken(), graph.inputs[0])
    graph.set_operand(node, 0, None)
    assert "test.broken(_)" in format_graph(graph, identity_key)
