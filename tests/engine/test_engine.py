"""Engines: how they are called, what they say of wrong calls, and the pipeline behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gie_core
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.parser import parse_graph
from gie_core.ir.text import format_graph
from gie_core.ops import core_ops
from gie_core.ops.run import ExecutionError
from gie_core.plugin.host import PluginHost

HOST = PluginHost(entry_points=[])
ONE = """graph g { input %x: f32[n, 2] input %k: f32[] %y = mul(%x, %k) return %y as "out" }"""
TWO = """graph g { input %x: f32[n, 2] %y = neg(%x) %z = exp(%x) return %y, %z }"""


def graph_of(text: str) -> Graph:
    return parse_graph(text, core_ops())


def engine_of(text: str) -> gie_core.Engine:
    return gie_core.build(graph_of(text), host=HOST)


X = np.array([[1, 2]], np.float32)
K = np.array(3, np.float32)

CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    ((X, K), {}),
    (({"x": X, "k": K},), {}),
    ((X,), {"k": K}),
    ((), {"k": K, "x": X}),
    ((X, 3), {}),
    (([[1, 2]], 3.0), {}),
]


@pytest.mark.parametrize(("arrays", "named"), CALLS)
def test_ways_to_call(arrays: tuple[Any, ...], named: dict[str, Any]) -> None:
    np.testing.assert_array_equal(engine_of(ONE)(*arrays, **named), [[3, 6]])


def test_several_outputs_come_by_name() -> None:
    outputs = engine_of(TWO)(X)
    assert list(outputs) == ["y", "z"]
    np.testing.assert_array_equal(outputs["y"], -X)


WRONG: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    ((X,), {}, r"input 'k' is missing; the inputs are x: f32\[n, 2\], k: f32\[\]"),
    ((X, K, K), {}, "the network has 2 inputs, but got 3"),
    ((X, K), {"k": K}, "input 'k' was given twice"),
    ((X, K), {"q": K}, "unknown input 'q'; the inputs are"),
    ((X.astype(np.float64), K), {}, r"but got float64; convert it with \.astype\('float32'\)"),
    ((X[0], K), {}, r"%x is f32\[n, 2\], but got an array of shape \[2\]"),
    (("abc", K), {}, "str does not convert to it"),
    ((None, K), {}, r"input 'x' is f32\[n, 2\], but got None"),
]


@pytest.mark.parametrize(("arrays", "named", "message"), WRONG)
def test_wrong_calls(arrays: tuple[Any, ...], named: dict[str, Any], message: str) -> None:
    with pytest.raises(ExecutionError, match=message):
        engine_of(ONE)(*arrays, **named)


def test_an_engine_describes_itself() -> None:
    engine = engine_of(ONE)
    assert [str(info) for info in engine.inputs] == ["x: f32[n, 2]", "k: f32[]"]
    assert engine.inputs[0].shape == ("n", 2)
    assert engine.outputs[0].name == "out"
    assert repr(engine) == "<Engine g on host: (x: f32[n, 2], k: f32[]) -> (out: f32[n, 2])>"


def test_what_prints() -> None:
    engine = engine_of(ONE)
    assert str(engine.graph) == format_graph(engine.graph)
    assert repr(engine.graph) == "<Graph g(%x, %k) -> (out), 1 nodes>"
    assert str(engine.inputs) == "(x: f32[n, 2], k: f32[])"
    assert str(engine.report) == "1 nodes became 1; rewrites: none\nkernels: 1 reference"


def test_a_graph_given_to_build_is_not_changed() -> None:
    graph = graph_of(ONE)
    before = format_graph(graph)
    engine = gie_core.build(graph, host=HOST)
    assert engine.graph is not graph
    assert format_graph(graph) == before


def test_the_report_tells_what_was_done() -> None:
    stages: list[str] = []
    engine = gie_core.build(graph_of(TWO), host=HOST, progress=stages.append)
    assert engine.report is not None
    assert stages == ["importing", "optimizing", "choosing kernels"]
    assert (engine.report.nodes_before, engine.report.nodes_after) == (2, 2)
    assert [c.provider for c in engine.report.choices] == ["reference", "reference"]
    assert engine.report.to_json()["choices"][0]["op"] == "neg"


BAD_SOURCES = [
    ("missing.onnx", "there is no file missing.onnx"),
    (b"abc", "no importer accepts 3 bytes: no importer is installed; try: pip install"),
    (object(), "no importer accepts a object"),
]


@pytest.mark.parametrize(("source", "message"), BAD_SOURCES)
def test_bad_sources(source: object, message: str) -> None:
    with pytest.raises(GieError, match=message):
        gie_core.build(source, host=HOST)


def test_unknown_targets() -> None:
    with pytest.raises(GieError, match="there is no target 'tpu'; use 'host' or 'auto'"):
        gie_core.build(graph_of(ONE), host=HOST, target="tpu")


def test_unknown_names_of_the_package() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        gie_core.nothing  # noqa: B018  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue] - that is the test
    assert set(gie_core.__all__) <= set(dir(gie_core))
