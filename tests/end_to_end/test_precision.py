"""Reduced precision: the error stays within its budget, and a smaller budget costs memory.

Everything is compared with onnxruntime, on the calibration input and on others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

import gie_core
from gie_core.builder.report import PlanRecord
from gie_core.builder.tuner import TunerOptions
from gie_core.engine.plan import Plan, Region
from gie_core.ir.types import DType
from gie_core.testing.models import models_dir

Array = NDArray[Any]

MODELS = models_dir()
BUDGETS = (1e-1, 1e-2, 1e-3, 1e-5)
TOLERANCE = 2e-6
"""How far two right answers in f32 differ."""
MARGIN = 2
"""How many times the budget the error may be on inputs that nobody calibrated with."""


@dataclass(frozen=True)
class Network:
    """A model with f32 values.

    Args:
        model: serialized ONNX.
        feeds: inputs to compare on; the first one calibrates.
    """

    model: bytes
    feeds: tuple[Array, ...]

    @cached_property
    def session(self) -> Any:
        peer: Any = onnxruntime
        options = peer.SessionOptions()
        options.log_severity_level = 3  # errors: some models list their weights as inputs
        return peer.InferenceSession(self.model, options, ["CPUExecutionProvider"])

    @cached_property
    def input(self) -> str:
        name: str = self.session.get_inputs()[0].name
        return name

    @cached_property
    def expected(self) -> list[dict[str, Array]]:
        """onnxruntime's outputs for every feed."""
        names = [output.name for output in self.session.get_outputs()]
        return [
            dict(zip(names, self.session.run(None, {self.input: feed}), strict=True))
            for feed in self.feeds
        ]


def small() -> Network:
    """Two convolutions and a classifier, seeded."""
    rng = np.random.default_rng(5)
    helper = onnx.helper

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        scale = np.float32(np.sqrt(2 / np.prod(shape[1:])))
        return numpy_helper.from_array(scale * rng.standard_normal(shape, np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "w3"], ["y"], transB=1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "small",
        [value("x", TensorProto.FLOAT, [1, 3, 24, 24])],
        [value("y", TensorProto.FLOAT, [1, 10])],
        [weights("w1", 32, 3, 3, 3), weights("w2", 64, 32, 3, 3), weights("w3", 10, 64)],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    feeds = rng.standard_normal((3, 1, 3, 24, 24)).astype(np.float32)
    return Network(model.SerializeToString(), tuple(feeds))


def folder() -> Path:
    if MODELS is None:
        pytest.skip("the folder of real models is not beside the checkout")
    return MODELS


def mnist() -> Network:
    cases = [np.load(folder() / f"onnx-mnist/test_data_{n}.npz")["inputs"] for n in range(3)]
    feeds = tuple(case.reshape(1, 1, 28, 28).astype(np.float32) for case in cases)
    return Network((folder() / "onnx-mnist/mnist_ort_ccxx.onnx").read_bytes(), feeds)


def squeezenet() -> Network:
    """Its weights and values are f16 in the file; here they are the same numbers in f32."""
    path = folder() / "onnx-squeezenet-fp16/SqueezeNet_fp16.onnx"
    model = onnx.ModelProto.FromString(path.read_bytes())
    graph = model.graph
    for initializer in graph.initializer:
        if initializer.data_type == TensorProto.FLOAT16:
            wide = numpy_helper.to_array(initializer).astype(np.float32)
            initializer.CopyFrom(numpy_helper.from_array(wide, initializer.name))
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    crops = np.load(folder() / "images/crops224_bgr_u8.npy").astype(np.float32)
    pictures = (crops - np.array([104, 117, 123], np.float32)).transpose(0, 3, 1, 2)
    return Network(model.SerializeToString(), tuple(pictures[:4, None]))


def ultraface(name: str) -> Network:
    image = np.load(folder() / "ultraface/input_astronauts_rgb_u8_240x320.npy").astype(np.float32)
    x = ((image - 127) / 128).transpose(2, 0, 1)[None].astype(np.float32)
    mirrored, darker = np.ascontiguousarray(x[..., ::-1]), x / 2
    return Network((folder() / f"ultraface/{name}.onnx").read_bytes(), (x, mirrored, darker))


NETWORKS = {
    "small": small,
    "mnist": mnist,
    "squeezenet": squeezenet,
    "ultraface": lambda: ultraface("version-RFB-320"),
    "ultraface slim": lambda: ultraface("version-slim-320_simplified"),
}
PRECISIONS = {"fp16": ("fp32", "fp16"), "bf16": ("fp32", "fp16", "bf16")}


@cache
def network(name: str) -> Network:
    return NETWORKS[name]()


@pytest.fixture(scope="module")
def timings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("timings")


@dataclass(frozen=True)
class Built:
    """A network's engines: by their budgets, the loosest first, and one in f32 only."""

    name: str
    network: Network
    engines: Mapping[float, gie_core.Engine]
    wide: gie_core.Engine


CASES = [
    *((name, precision) for name in ("small", "mnist", "squeezenet") for precision in PRECISIONS),
    *(("ultraface", "fp16"), ("ultraface slim", "bf16")),
]


@pytest.fixture(scope="module", params=CASES, ids=" ".join)
def built(request: pytest.FixtureRequest, timings: Path) -> Built:
    name, precision = request.param
    net = network(name)

    def build(precision: Sequence[str], budget: float) -> gie_core.Engine:
        return gie_core.build(
            net.model,
            precision=precision,
            max_error=budget,
            prefer="memory",
            calibration={net.input: net.feeds[0]},
            timing=TunerOptions(seconds=5),
            timing_cache=timings / name,
        )

    engines = {budget: build(PRECISIONS[precision], budget) for budget in BUDGETS}
    return Built(name, net, engines, build(["fp32"], 1e-2))


def plan_of(engine: gie_core.Engine) -> Plan:
    [plan] = engine.package.plans
    return plan


def error(found: Mapping[str, Array], expected: Mapping[str, Array]) -> float:
    """The largest relative error of all outputs, in the Frobenius norm."""
    assert found.keys() == expected.keys()
    return max(
        float(np.linalg.norm(np.float64(found[name]) - wanted) / np.linalg.norm(wanted))
        for name, wanted in ((name, np.float64(array)) for name, array in expected.items())
    )


def narrow_bytes(plan: Plan) -> int:
    """Bytes of weights and values in 16 bits."""
    narrow = (DType.F16, DType.BF16)
    places = {p for step in plan.steps for p in step.results if isinstance(p, Region)}
    values = sum(p.layout.size * 2 for p in places if p.layout.dtype in narrow)
    return values + sum(w.nbytes for w in plan.weights if DType.of(w.dtype) in narrow)


def record_of(engine: gie_core.Engine) -> PlanRecord:
    assert engine.report is not None
    [record] = engine.report.plans
    return record


def size(engine: gie_core.Engine) -> int:
    """Bytes of values and weights."""
    return record_of(engine).arena + record_of(engine).weights


def test_errors_are_within_the_budget(built: Built) -> None:
    net = built.network
    for budget, engine in built.engines.items():
        record = record_of(engine)
        assert record.budget == budget
        assert record.error is not None
        assert record.error <= budget
        errors = [
            error(engine.run({net.input: feed}), expected)
            for feed, expected in zip(net.feeds, net.expected, strict=True)
        ]
        assert errors[0] == pytest.approx(record.error, rel=0.05, abs=TOLERANCE)
        assert max(errors) <= MARGIN * budget + TOLERANCE


def test_less_error_costs_memory(built: Built) -> None:
    sizes = [size(engine) for engine in built.engines.values()]
    assert sizes == sorted(sizes)
    assert sizes[0] <= size(built.wide)
    narrow = [narrow_bytes(plan_of(engine)) for engine in built.engines.values()]
    assert narrow == sorted(narrow, reverse=True)
    assert narrow_bytes(plan_of(built.wide)) == 0
    if built.name != "mnist":  # whose scratch memory for narrow weights takes more than they save
        assert sizes[0] < size(built.wide)
        assert narrow[0] > 0
