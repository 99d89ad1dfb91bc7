"""Whole networks: imported, optimized and run, beside onnxruntime.

The light networks come with the ``onnx`` package: full topologies whose weights are
one number. They are replaced by seeded random ones, scaled so that activations stay
of order one through all layers.
"""

from __future__ import annotations

import gzip
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

import gie_core
from gie_core.builder.pipeline import installed_passes
from gie_core.plugin.host import default_host
from gie_core.testing.models import models_dir

Array = NDArray[Any]

LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"
NETWORKS = [
    "light_resnet50",
    "light_inception_v1",
    "light_vgg19",
    "light_bvlc_alexnet",
    "light_squeezenet",
    "light_densenet121",
    "light_shufflenet",
    "keras_stem",
]
MODELS = models_dir()
needs_models = pytest.mark.skipif(
    MODELS is None, reason="the folder of real models is not beside the checkout"
)


@cache
def randomized(name: str) -> onnx.ModelProto:
    """A light network with seeded, well-scaled random weights in place of its constant ones."""
    model = onnx.ModelProto.FromString((LIGHT / f"{name}.onnx").read_bytes())
    rng = np.random.default_rng(7)
    shapes = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    readers = {
        (name, node.op_type, index)
        for node in model.graph.node
        for index, name in enumerate(node.input)
    }
    constant_nodes = [n for n in model.graph.node if n.op_type == "ConstantOfShape"]
    for node in constant_nodes:
        shape = [int(d) for d in shapes[node.input[0]]]
        weights = _weights(node.output[0], shape, readers, rng)
        model.graph.initializer.append(numpy_helper.from_array(weights, node.output[0]))
        model.graph.node.remove(node)
        # The shape that the removed node read; onnxruntime warns of what nobody reads.
        for values in (model.graph.initializer, model.graph.input):
            for value in [v for v in values if v.name == node.input[0]]:
                values.remove(value)  # pyright: ignore[reportArgumentType] - each list holds its own type
    for initializer in model.graph.initializer:
        array = numpy_helper.to_array(initializer)
        if array.dtype == np.float32 and np.ptp(array) == 0 and array.size > 1:
            weights = _weights(initializer.name, list(array.shape), readers, rng)
            initializer.CopyFrom(numpy_helper.from_array(weights, initializer.name))
    return model


def _weights(
    name: str, shape: list[int], readers: set[tuple[str, str, int]], rng: np.random.Generator
) -> Array:
    roles = {(op, index) for value, op, index in readers if value == name}
    if ("BatchNormalization", 1) in roles:
        # Small factors, or every residual sum would double the variance.
        return rng.uniform(0.1, 0.4, shape).astype(np.float32)
    if roles & {("BatchNormalization", 4), ("Mul", 1), ("Unsqueeze", 0)}:
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if len(shape) < 2:
        return 0.1 * rng.standard_normal(shape, np.float32)
    # A tenth for the classifier, whose softmax would else be all or nothing.
    gain = 0.1 if ("Gemm", 1) in roles else 1.0
    scale = np.float32(gain * np.sqrt(2 / np.prod(shape[1:])))
    return scale * rng.standard_normal(shape, np.float32)


@cache
def keras_stem() -> onnx.ModelProto:
    """The stem of a ResNet as Keras pads it: by itself, before a convolution and a pool without."""
    rng = np.random.default_rng(3)
    helper = onnx.helper
    w = numpy_helper.from_array(0.1 * rng.standard_normal((8, 3, 7, 7), np.float32), "w")
    pads = [numpy_helper.from_array(np.array([0, 0, p, p] * 2), f"pads{p}") for p in (3, 1)]
    nodes = [
        helper.make_node("Pad", ["x", "pads3"], ["padded"]),
        helper.make_node("Conv", ["padded", "w"], ["features"], strides=[2, 2]),
        helper.make_node("Relu", ["features"], ["active"]),
        helper.make_node("Pad", ["active", "pads1"], ["framed"]),
        helper.make_node("MaxPool", ["framed"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "keras_stem",
        [value("x", onnx.TensorProto.FLOAT, [2, 3, 32, 32])],
        [value("y", onnx.TensorProto.FLOAT, None)],
        [w, *pads],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def relative_error(actual: Array, expected: Array) -> float:
    a, e = actual.astype(np.float64), expected.astype(np.float64)
    return float(np.linalg.norm(a - e) / np.linalg.norm(e))


def network(name: str) -> onnx.ModelProto:
    return keras_stem() if name == "keras_stem" else randomized(name)


@cache
def built(name: str) -> gie_core.Engine:
    return gie_core.build(network(name))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_match_onnxruntime(name: str) -> None:
    engine = built(name)
    assert engine.report is not None
    assert engine.report.imported is not None
    assert not engine.report.imported.foreign
    [info] = engine.inputs
    assert info.shape is not None
    x = np.random.default_rng(1).standard_normal([int(d) for d in info.shape]).astype(np.float32)
    session: Any = onnxruntime.InferenceSession(
        network(name).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected: Array = session.run(None, {info.name: x})[0]
    assert np.isfinite(expected).all()
    assert np.std(expected) > 0
    assert np.max(np.abs(expected)) != 1, "a saturated softmax compares nothing"
    assert relative_error(engine(x), expected) < 1e-4


def model(path: str) -> Path:
    assert MODELS is not None
    return MODELS / path


def stored(path: str) -> Any:
    return np.load(model(path))


@cache
def engine_of(path: str) -> gie_core.Engine:
    return gie_core.build(model(path))


def protobuf(path: str) -> Array:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(model(path).read_bytes())
    return numpy_helper.to_array(tensor)


def crops() -> Array:
    """Eight pictures, BGR, [8, 224, 224, 3], float32 0..255."""
    return stored("images/crops224_bgr_u8.npy").astype(np.float32)


@needs_models
@pytest.mark.parametrize("path", ["mnist_ort_ccxx.onnx", "mnist_winml.onnx", "model.onnx"])
@pytest.mark.parametrize("case", range(3))
def test_mnist_matches_its_stored_outputs(path: str, case: int) -> None:
    pair = np.load(model(f"onnx-mnist/test_data_{case}.npz"), allow_pickle=False)
    x, expected = pair["inputs"], pair["outputs"]
    engine = engine_of(f"onnx-mnist/{path}")
    actual = engine(x.reshape(1, 1, 28, 28).astype(np.float32))
    assert relative_error(actual.ravel(), expected.ravel()) < 1e-4


@needs_models
def test_mnist_reads_digits() -> None:
    with gzip.open(model("mnist/t10k-images-idx3-ubyte.gz")) as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 1, 28, 28)[:500]
    expected = stored("onnx-mnist/mnist_ort_ccxx_expected_logits_first500.npy").reshape(500, 10)
    engine = engine_of("onnx-mnist/mnist_ort_ccxx.onnx")
    actual = np.concatenate([engine(image.astype(np.float32)) for image in images])
    assert relative_error(actual, expected) < 1e-4
    np.testing.assert_array_equal(actual.argmax(1), expected.argmax(1))


@needs_models
def test_super_resolution_matches_its_stored_output() -> None:
    folder = "onnx-super-resolution/test_data_set_0"
    x = protobuf(f"{folder}/input_0.pb").reshape(1, 1, 224, 224)
    engine = engine_of("onnx-super-resolution/super_resolution.onnx")
    assert relative_error(engine(x), protobuf(f"{folder}/output_0.pb")) < 1e-4


@needs_models
@pytest.mark.parametrize("name", ["yunet_n_320_320", "yunet_n_dynamic", "yunet_s_320_320"])
def test_yunet_matches_its_stored_outputs(name: str) -> None:
    image = stored("onnx-yunet/input_astronauts_bgr_u8_320x320.npy").astype(np.float32)
    x = image.reshape(320, 320, 3).transpose(2, 0, 1)[None] if image.shape[-1] == 3 else image
    expected = np.load(model(f"onnx-yunet/{name}_expected.npz"))
    outputs = engine_of(f"onnx-yunet/{name}.onnx").run(
        {engine_of(f"onnx-yunet/{name}.onnx").inputs[0].name: np.ascontiguousarray(x)}
    )
    assert sorted(outputs) == sorted(expected.files)
    for output, values in outputs.items():
        assert relative_error(values, expected[output]) < 1e-4, output
    scores = np.sqrt(
        np.concatenate([(outputs[f"cls_{s}"] * outputs[f"obj_{s}"]).ravel() for s in (8, 16, 32)])
    )
    assert (scores > 0.7).sum() == {"n": 164, "s": 152}[name[6]]


@needs_models
@pytest.mark.parametrize("name", ["version-RFB-320", "version-slim-320_simplified"])
def test_ultraface_matches_its_stored_outputs(name: str) -> None:
    image = stored("ultraface/input_astronauts_rgb_u8_240x320.npy").astype(np.float32)
    x = ((image - 127) / 128).transpose(2, 0, 1)[None].astype(np.float32)
    engine = engine_of(f"ultraface/{name}.onnx")
    outputs = engine(x)
    for output in ("scores", "boxes"):
        assert (
            relative_error(outputs[output], stored(f"ultraface/{name}_expected_{output}.npy"))
            < 1e-4
        )


@needs_models
def test_squeezenet_fp16_names_the_pictures() -> None:
    bgr = crops() - np.array([104, 117, 123], np.float32)
    x = bgr.transpose(0, 3, 1, 2).astype(np.float16)
    engine = engine_of("onnx-squeezenet-fp16/SqueezeNet_fp16.onnx")
    actual = np.stack([np.asarray(engine(picture[None])).ravel() for picture in x])
    expected = stored("onnx-squeezenet-fp16/expected_softmax_crops224.npy").reshape(8, 1000)
    assert relative_error(actual, expected) < 1e-2
    np.testing.assert_array_equal(actual.argmax(1), expected.argmax(1))
    labels: list[str] = model("images/synset_words.txt").read_text(encoding="utf-8").splitlines()
    winners: list[int] = actual.argmax(1).tolist()
    named = [labels[i].partition(" ")[2] for i in winners]
    for index, word in {
        3: "orangutan",
        4: "pretzel",
        5: "aircraft carrier",
        6: "lemon",
        7: "daisy",
    }.items():
        assert named[index].startswith(word)


@needs_models
def test_shufflenet_int8_names_the_pictures() -> None:
    rgb = crops()[..., ::-1] / 255
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = ((rgb - mean) / deviation).transpose(0, 3, 1, 2).astype(np.float32)
    engine = engine_of("onnx-shufflenet-v2-int8/shufflenet-v2-12-int8.onnx")
    actual = np.concatenate([engine(np.ascontiguousarray(picture[None])) for picture in x])
    expected = stored("onnx-shufflenet-v2-int8/expected_logits_crops224.npy").reshape(8, 1000)
    np.testing.assert_array_equal(actual.argmax(1), expected.argmax(1))
    assert relative_error(actual, expected) < 0.05


@needs_models
def test_every_pass_is_hit_by_a_real_network() -> None:
    """A pass that no network needs is not worth its code, or has stopped working."""
    real = [
        "onnx-mnist/mnist_ort_ccxx.onnx",
        "onnx-super-resolution/super_resolution.onnx",
        "onnx-yunet/yunet_n_dynamic.onnx",
        "ultraface/version-RFB-320.onnx",
        "onnx-squeezenet-fp16/SqueezeNet_fp16.onnx",
        "onnx-shufflenet-v2-int8/shufflenet-v2-12-int8.onnx",
    ]
    hits: Counter[str] = Counter()
    for engine in [*map(built, NETWORKS), *map(engine_of, real)]:
        assert engine.report is not None
        hits.update(engine.report.hits())
    idle = [each.name for each in installed_passes(default_host()) if not hits[each.name]]
    assert not idle
