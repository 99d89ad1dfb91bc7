"""New weights for real networks: the same as building them anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

import gie_core
from gie_core.builder.refit import RefitError
from gie_core.testing.models import models_dir

Array = NDArray[Any]


def batch_norm_model() -> onnx.ModelProto:
    """Two convolutions, each with its batch normalization, that are added up."""
    rng = np.random.default_rng(4)
    helper, arrays = onnx.helper, list[onnx.TensorProto]()

    def tensor(name: str, *shape: int, low: float = -0.5, high: float = 0.5) -> str:
        array = rng.uniform(low, high, shape).astype(np.float32)
        arrays.append(numpy_helper.from_array(array, name))
        return name

    nodes: list[onnx.NodeProto] = []
    for branch, kernel in (("a", 3), ("b", 1)):
        weight = tensor(f"{branch}.weight", 6, 3, kernel, kernel)
        pads = [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", ["x", weight], [f"{branch}.conv"], pads=pads))
        statistics = [
            *(tensor(f"{branch}.scale", 6), tensor(f"{branch}.bias", 6)),
            *(tensor(f"{branch}.mean", 6), tensor(f"{branch}.variance", 6, low=0.5, high=2)),
        ]
        nodes.append(
            helper.make_node(
                "BatchNormalization", [f"{branch}.conv", *statistics], [f"{branch}.bn"]
            )
        )
    nodes.append(helper.make_node("Add", ["a.bn", "b.bn"], ["sum"]))
    nodes.append(helper.make_node("Relu", ["sum"], ["y"]))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "branches",
        [value("x", TensorProto.FLOAT, [1, 3, 9, 9])],
        [value("y", TensorProto.FLOAT, [1, 6, 9, 9])],
        arrays,
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def ultraface() -> onnx.ModelProto:
    models = models_dir()
    if models is None:
        pytest.skip("the folder of real models is not beside the checkout")
    path = models / "ultraface" / "version-slim-320_simplified.onnx"
    return onnx.ModelProto.FromString(path.read_bytes())


def digits() -> onnx.ModelProto:
    path = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"
    return onnx.ModelProto.FromString(path.read_bytes())


MODELS = {"batch norm": batch_norm_model, "digits": digits, "ultraface": ultraface}


def weights_of(model: onnx.ModelProto) -> dict[str, Array]:
    """The weights of layers: floats of several elements."""
    arrays = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    return {n: a for n, a in arrays.items() if a.dtype == np.float32 and a.size > 4 and a.ndim}


def other_weights(model: onnx.ModelProto) -> dict[str, Array]:
    rng = np.random.default_rng(9)
    return {
        name: (array * rng.uniform(0.5, 1.5, array.shape)).astype(np.float32)
        for name, array in weights_of(model).items()
    }


def with_weights(model: onnx.ModelProto, weights: Mapping[str, Array]) -> onnx.ModelProto:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for each in changed.graph.initializer:
        if each.name in weights:
            each.CopyFrom(numpy_helper.from_array(weights[each.name], each.name))
    return changed


def answers(engine: gie_core.Engine) -> list[Array]:
    rng = np.random.default_rng(6)
    feeds: dict[str, Array] = {}
    for info in engine.inputs:
        assert info.shape is not None
        shape = [extent if isinstance(extent, int) else 2 for extent in info.shape]
        feeds[info.name] = rng.standard_normal(shape, np.float32)
    return list(engine.run(feeds).values())


def assert_close(found: list[Array], wanted: list[Array]) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert np.linalg.norm(one - other) <= 1e-5 * np.linalg.norm(other)


CASES = [*((name, False) for name in MODELS), ("batch norm", True), ("digits", True)]


@pytest.mark.parametrize(("name", "timing"), CASES)
def test_a_refit_is_a_new_build(name: str, timing: bool, tmp_path: Path) -> None:
    model = MODELS[name]()
    weights = other_weights(model)
    assert weights
    engine = gie_core.build(model, refit=True, timing=timing)
    before = answers(engine)
    engine.save(tmp_path / "old.gie")
    expected = answers(gie_core.build(with_weights(model, weights)))
    engine.refit(weights)
    assert_close(answers(engine), expected)
    loaded = gie_core.load(tmp_path / "old.gie")
    assert_close(answers(loaded), before)
    loaded.refit(weights)
    assert_close(answers(loaded), expected)
    assert any(np.linalg.norm(a - b) > 1e-3 for a, b in zip(before, expected, strict=True))


def test_one_weight_at_a_time() -> None:
    model = batch_norm_model()
    engine = gie_core.build(model, refit=True)
    known: dict[str, Array] = {}
    for name, array in other_weights(model).items():
        known[name] = array
        engine.refit({name: array})
        assert_close(answers(engine), answers(gie_core.build(with_weights(model, known))))


def test_bound_contexts_keep_their_weights() -> None:
    model = batch_norm_model()
    engine = gie_core.build(model, refit=True)
    x, y = np.ones((1, 3, 9, 9), np.float32), np.zeros((1, 6, 9, 9), np.float32)
    run = engine.context().bind({"x": x}, {"y": y})
    before = run()["y"].copy()
    engine.refit(other_weights(model))
    np.testing.assert_array_equal(run()["y"], before)
    assert np.linalg.norm(engine(x) - before) > 1e-3


def test_a_weight_of_another_shape_changes_nothing() -> None:
    model = batch_norm_model()
    engine = gie_core.build(model, refit=True)
    before = answers(engine)
    with pytest.raises(RefitError, match=r"'a\.scale' is f32\[6\], but got f32\[5\]"):
        engine.refit({"a.scale": np.ones(5, np.float32)})
    assert_close(answers(engine), before)
