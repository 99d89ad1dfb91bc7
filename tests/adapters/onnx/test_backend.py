"""ONNX's own backend test suite, through the adapter.

Every case must pass. ``foreign_cases.txt`` names those that need ``onnx.reference`` for
some node; all others run with that provider blocked. ``EXCEPTIONS`` names the few that
can't pass, with the reason. After a change that makes cases native, run this file with
``GIE_UPDATE_FOREIGN_CASES=1`` to rewrite the list.
"""

from __future__ import annotations

import os
import unittest
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
import pytest
from onnx import TensorProto, helper
from onnx.backend.test.loader import load_model_tests

from gie_adapter_onnx import backend
from gie_adapter_onnx.backend import GieBackend, GieBackendRep
from gie_core.errors import GieError
from gie_core.plugin.host import PluginHost, default_host

SUITE_VERSION = "1.23.2"
PASSED_BY_ONNX_REFERENCE = 2003
REQUIRED = 1972
FOREIGN_LIST = Path(__file__).with_name("foreign_cases.txt")
UPDATE = bool(os.environ.get("GIE_UPDATE_FOREIGN_CASES"))

RANDOM = "draws random numbers, which no two implementations draw alike"
ROUNDING = "the stored answer rounds within softmax; ours is nearer to the exact one, see below"
EQUAL_CHANNELS = "asks 1,000 equal sums near 1e10 to round alike, to the last bit; see below"
NOBODY = "needs what onnx.reference lacks as well"
EXCEPTIONS = {
    "test_bernoulli_cpu": RANDOM,
    "test_bernoulli_double_cpu": RANDOM,
    "test_bernoulli_double_expanded_cpu": RANDOM,
    "test_bernoulli_expanded_cpu": RANDOM,
    "test_bernoulli_seed_cpu": RANDOM,
    "test_bernoulli_seed_expanded_cpu": RANDOM,
    "test_attention_4d_causal_fp16_cpu": ROUNDING,
    "test_attention_4d_causal_fp16_expanded_cpu": ROUNDING,
    "test_gradient_of_add_and_mul_cpu": NOBODY,
    "test_gradient_of_add_cpu": NOBODY,
    "test_loop16_seq_none_cpu": "the suite cannot compare the answer it stored with any other",
    "test_scan_sum_cpu": NOBODY,
    "test_squeezenet_cpu": EQUAL_CHANNELS,
}


@cache
def native_host() -> PluginHost:
    """All plugins, without the provider that runs foreign nodes."""
    return PluginHost(block=["gie-importer-onnx:onnx-reference"])


class Recording(GieBackend):
    """The backend under test; remembers the last model that it built."""

    host: PluginHost
    built: GieBackendRep | None = None

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> GieBackendRep:
        cls.built = super().prepare(model, device, host=cls.host, **kwargs)
        return cls.built


def cases() -> Iterator[tuple[str, type[unittest.TestCase]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite computes its cases as it is loaded
        suite = onnx.backend.test.BackendTest(Recording, __name__)
    for case in suite.test_cases.values():
        for name in sorted(vars(case)):
            if name.startswith("test_") and not name.endswith("_cuda"):
                yield name, case


CASES = dict(cases())
FOREIGN = frozenset(FOREIGN_LIST.read_text(encoding="utf-8").split())
now_foreign: set[str] = set()


@pytest.mark.skipif(onnx.__version__ != SUITE_VERSION, reason=f"the lists are for {SUITE_VERSION}")
@pytest.mark.filterwarnings("ignore")  # what onnx.reference warns of is not ours
@pytest.mark.parametrize("name", CASES)
def test_backend_suite(name: str) -> None:
    if name in EXCEPTIONS:
        pytest.skip(EXCEPTIONS[name])
    foreign = UPDATE or name in FOREIGN
    Recording.host = default_host() if foreign else native_host()
    result = unittest.TestResult()
    CASES[name](name).run(result)
    problems = [text for _, text in (*result.errors, *result.failures, *result.skipped)]
    assert not problems, problems[0]
    assert Recording.built is not None
    report = Recording.built.engine.report
    assert report is not None
    assert report.imported is not None
    if report.imported.foreign:
        now_foreign.add(name)
    assert UPDATE or bool(report.imported.foreign) == (name in FOREIGN), (
        f"{name} changed sides; see above"
    )


@pytest.mark.skipif(not UPDATE, reason="only where the list is rewritten")
def test_update_the_list() -> None:
    FOREIGN_LIST.write_text("".join(f"{n}\n" for n in sorted(now_foreign)), encoding="utf-8")


@pytest.mark.skipif(onnx.__version__ != SUITE_VERSION, reason=f"the lists are for {SUITE_VERSION}")
def test_enough_cases_pass() -> None:
    """The counts that the README states; each case above is one of them."""
    assert len(CASES) == 2033
    assert set(EXCEPTIONS) <= set(CASES)
    assert set(CASES) >= FOREIGN
    assert len(CASES) - len(EXCEPTIONS) >= REQUIRED


@pytest.mark.filterwarnings("ignore")
def test_the_rounding_exceptions_are_nearer_to_the_exact_answer() -> None:
    """Causal attention (Vaswani et al. 2017, section 3.2.1) in float64 is the judge."""
    found = {case.name: case for case in load_model_tests(kind="node")}
    case = found["test_attention_4d_causal_fp16"]
    assert case.model is not None
    assert case.data_sets is not None
    data: Any = case.data_sets[0]
    inputs, [stored] = data
    [ours] = backend.run_model(case.model, inputs)
    q, k, v = (tensor.astype(np.float64) for tensor in inputs[:3])
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    scores[..., ~np.tri(*scores.shape[-2:], dtype=bool)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    exact = weights / weights.sum(-1, keepdims=True) @ v
    error = [np.abs(y / exact - 1).max() for y in (ours, stored)]
    assert error[0] < error[1] < 1e-3


def test_the_equal_channels_exception_is_right_before_its_softmax() -> None:
    """All weights of the suite's SqueezeNet are equal, and so are its logits, near 1e10.

    One unit in the last place between two of them is 1,024, which softmax turns into 0 and 1.
    """
    ort = pytest.importorskip("onnxruntime")
    folder = Path(onnx.backend.test.__file__).parent / "data" / "light"
    model = onnx.ModelProto.FromString((folder / "light_squeezenet.onnx").read_bytes())
    softmax = model.graph.node.pop()
    assert softmax.op_type == "Softmax"
    model.graph.output[0].name = softmax.input[0]
    x = np.random.default_rng(0).random((1, 3, 224, 224), np.float32)
    session = ort.InferenceSession(model.SerializeToString())
    [expected] = session.run(None, {session.get_inputs()[0].name: x})
    [found] = backend.run_model(model, [x])
    assert expected.size == 1000
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_run_node_on_arrays() -> None:
    node = helper.make_node("Gemm", ["a", "b", ""], ["y"], transB=1)
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((4, 3), np.float32)
    [y] = backend.run_node(node, [a, b])
    np.testing.assert_array_equal(y, a @ b.T)


def model_of(*nodes: onnx.NodeProto, outputs: list[str]) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    infos = [helper.make_tensor_value_info(o, TensorProto.FLOAT, ["n"]) for o in outputs]
    graph = helper.make_graph(list(nodes), "g", [x], infos)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_ways_to_give_inputs_and_to_read_outputs() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    prepared = backend.prepare(model_of(*nodes, outputs=["y", "z"]))
    x = np.array([-1, 2], np.float32)
    for inputs in ([x], x, {"x": x}):
        outputs: Any = prepared.run(inputs)
        np.testing.assert_array_equal(outputs.y, [0, 2])
        np.testing.assert_array_equal(outputs[1], [1, -2])


def test_devices() -> None:
    assert backend.supports_device("CPU")
    assert backend.supports_device("CPU:0")
    assert not backend.supports_device("CUDA")
    assert not backend.supports_device("abacus")
    model = model_of(helper.make_node("Relu", ["x"], ["y"]), outputs=["y"])
    assert backend.is_compatible(model)
    assert not backend.is_compatible(model, "CUDA")
    with pytest.raises(GieError, match="there is no device 'CUDA'; use 'CPU'"):
        backend.prepare(model, "CUDA")


def test_a_model_that_cannot_run_is_not_compatible() -> None:
    model = model_of(helper.make_node("NoSuchOp", ["x"], ["y"]), outputs=["y"])
    assert not backend.is_compatible(model)
