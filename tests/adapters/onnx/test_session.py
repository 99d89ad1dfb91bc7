"""``InferenceSession`` beside ONNX Runtime's: the same calls, the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import gie_adapter_onnx as ort
from gie_core.errors import GieError


def model() -> onnx.ModelProto:
    """Two inputs, two outputs, a symbolic batch."""
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w"], ["h"]),
            helper.make_node("Relu", ["h"], ["y"]),
            helper.make_node("Cast", ["k"], ["kf"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["y", "kf"], ["z"]),
        ],
        "two",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("k", TensorProto.INT64, [1]),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 2]),
        ],
        [helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [1, -1, 2, 0.5, 0, 3])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    proto.producer_name = "test"
    return proto


FEED: dict[str, Any] = {
    "x": np.array([[1, 2, -3], [0, -1, 1]], np.float32),
    "k": np.array([2], np.int64),
}


def sessions() -> tuple[Any, Any]:
    data = model().SerializeToString()
    theirs = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return ort.InferenceSession(data, providers=["CPUExecutionProvider"]), theirs


@pytest.mark.parametrize("names", [None, ["z"], ["z", "y"]])
def test_run(names: list[str] | None) -> None:
    ours, theirs = sessions()
    mine, expected = ours.run(names, FEED), theirs.run(names, FEED)
    assert len(mine) == len(expected)
    for a, b in zip(mine, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_descriptions_are_the_same() -> None:
    ours, theirs = sessions()
    for mine, expected in zip(
        [*ours.get_inputs(), *ours.get_outputs()],
        [*theirs.get_inputs(), *theirs.get_outputs()],
        strict=True,
    ):
        assert (mine.name, mine.shape, mine.type) == (expected.name, expected.shape, expected.type)
    assert ours.get_providers() == theirs.get_providers()
    assert ours.get_overridable_initializers() == []
    assert ours.get_modelmeta().producer_name == theirs.get_modelmeta().producer_name == "test"
    assert ours.get_modelmeta().graph_name == theirs.get_modelmeta().graph_name == "two"


@pytest.mark.parametrize("form", ["path", "text", "bytes", "proto"])
def test_sources(tmp_path: Path, form: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model().SerializeToString())
    source: Any = {
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "proto": model(),
    }[form]
    assert ort.InferenceSession(source).run(["y"], FEED)[0].shape == (2, 2)


def test_optimization_can_be_switched_off() -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model().SerializeToString(), options)
    assert session.get_session_options() is options
    plain = ort.InferenceSession(model().SerializeToString())
    for each, optimized in ((session, False), (plain, True)):
        assert each.engine.report is not None
        assert bool(each.engine.report.passes) == optimized


ERRORS: list[tuple[Any, Any, str]] = [
    (["q"], FEED, "there is no output 'q'; the outputs are y, z"),
    (None, {"x": FEED["x"]}, "input 'k' is missing"),
    (None, {**FEED, "q": 1}, "unknown input 'q'"),
    (None, {**FEED, "x": np.zeros((1, 3))}, "but got float64"),
]


@pytest.mark.parametrize(("names", "feed", "message"), ERRORS)
def test_errors(names: Any, feed: Any, message: str) -> None:
    with pytest.raises(GieError, match=message):
        ort.InferenceSession(model().SerializeToString()).run(names, feed)


def test_providers() -> None:
    data = model().SerializeToString()
    both = ["NoSuchProvider", ("CPUExecutionProvider", {"a": "b"})]
    assert ort.InferenceSession(data, providers=both).get_providers() == ["CPUExecutionProvider"]
    with pytest.raises(GieError, match="none of the providers"):
        ort.InferenceSession(data, providers=["NoSuchProvider"])
    assert ort.get_available_providers() == ["CPUExecutionProvider"]
    assert ort.get_device() == "CPU"
