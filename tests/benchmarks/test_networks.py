"""The networks of the benchmarks: as large as published, sound numbers, and the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="the networks are ONNX models")
onnxruntime = pytest.importorskip("onnxruntime", reason="it is what GIE is compared with")

import onnx  # noqa: E402
from networks import NETWORKS  # noqa: E402

import gie_core  # noqa: E402
from gie_core.cli.deviation import relative_error  # noqa: E402

Array = NDArray[Any]

PARAMETERS = {
    "alexnet": 60_965_224,  # the Caffe model zoo's, with the paper's two groups
    "vgg19": 143_667_240,
    "googlenet": 6_998_552,  # the Caffe model zoo's, without auxiliary classifiers
    "resnet50": 25_557_032,
    "mobilenet-v2": 3_504_872,
    "squeezenet": 1_235_496,
}
"""Trained numbers, as published with the trained weights (torchvision's, if nothing is said)."""
STATISTICS = ("/mean", "/variance")
"""Not trained, but measured: those of batch normalizations."""


@dataclass(frozen=True)
class Built:
    """A network, and what onnxruntime finds in it."""

    name: str
    model: onnx.ModelProto
    image: Array
    values: dict[str, Array]
    """Results of all nodes."""

    @property
    def output(self) -> Array:
        return self.values[self.model.graph.output[0].name]


@pytest.fixture(scope="module", params=NETWORKS)
def built(request: pytest.FixtureRequest) -> Built:
    model = NETWORKS[request.param](1, 0)
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    image = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    return Built(request.param, model, image, run_in_onnxruntime(model, image))


def run_in_onnxruntime(model: onnx.ModelProto, image: Array) -> dict[str, Array]:
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(
        onnx.ValueInfoProto(name=name) for node in model.graph.node for name in node.output
    )
    session: Any = onnxruntime.InferenceSession(
        watched.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": image}), strict=True))


def test_it_has_as_many_parameters_as_published(built: Built) -> None:
    trained = [
        each
        for each in built.model.graph.initializer
        if not each.name.endswith(STATISTICS) and "relu6" not in each.name
    ]
    assert sum(int(np.prod(each.dims)) for each in trained) == PARAMETERS[built.name]


def test_activations_stay_of_order_one(built: Built) -> None:
    sizes = {
        name: float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))
        for name, array in built.values.items()
        if not name.endswith("/softmax")
    }
    assert {name: size for name, size in sizes.items() if not 0.3 < size < 4} == {}


def test_the_classes_differ_and_none_has_it_all(built: Built) -> None:
    assert built.output.shape == (1, 1000)
    assert built.output.sum() == pytest.approx(1, abs=1e-5)
    assert built.output.max() < 0.2
    assert built.output.std() > 0.3 * built.output.mean()


def test_gie_computes_the_same(built: Built) -> None:
    engine = gie_core.build(built.model.SerializeToString())
    assert relative_error(engine(built.image), built.output) < 1e-4


def test_the_seed_and_the_batch_are_what_is_asked_for() -> None:
    build = NETWORKS["squeezenet"]
    assert build(1, 0).SerializeToString() == build(1, 0).SerializeToString()
    assert build(1, 0).SerializeToString() != build(1, 1).SerializeToString()
    assert build(3, 0).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 3
