"""Trained models of many exporters give the outputs that were stored with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from gie_core.builder.importing import Imported
from gie_core.ir.verify import verify
from gie_core.testing.models import models_dir
from gie_importer_onnx.importer import OnnxImporter
from gie_importer_onnx.testing import load_tensor, run_imported

MODELS = models_dir()
needs_models = pytest.mark.skipif(
    MODELS is None,
    reason="no folder of trained models: set GIE_MODELS, or put it at ../shared/models",
)
LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("light_*.onnx"))


def path_of(*parts: str) -> Path:
    assert MODELS is not None
    return MODELS.joinpath(*parts)


def import_native(path: Path, **options: Any) -> Imported:
    """Import a model all of whose nodes GIE has ops for."""
    imported = OnnxImporter().load(path, **options)
    verify(imported.graph)
    assert imported.report.foreign == []
    return imported


def check(model: str, inputs: Any, expected: Any, rtol: float = 1e-4, **options: Any) -> None:
    """Import, run, and compare all outputs by ‖y − expected‖ / ‖expected‖."""
    results = run_imported(import_native(path_of(model), **options), *inputs)
    for result, wanted in zip(results, expected, strict=True):
        assert result.shape == wanted.shape
        difference = (result - wanted).astype(np.float64)
        assert np.linalg.norm(difference) <= rtol * np.linalg.norm(wanted.astype(np.float64))


@needs_models
@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("model", ["mnist_ort_ccxx.onnx", "mnist_winml.onnx"])
def test_mnist(model: str, index: int) -> None:
    folder = path_of("onnx-mnist", f"test_data_set_{index}")
    image, logits = load_tensor(folder / "input_0.pb"), load_tensor(folder / "output_0.pb")
    check(f"onnx-mnist/{model}", [image], [logits])


@needs_models
@pytest.mark.parametrize("index", [0, 1, 2])
def test_mnist_of_opset_1(index: int) -> None:
    with np.load(path_of("onnx-mnist", f"test_data_{index}.npz")) as data:
        image, logits = data["inputs"].astype(np.float32), data["outputs"].astype(np.float32)
    check("onnx-mnist/model.onnx", [image.reshape(1, 1, 28, 28)], [logits.reshape(1, 10)])


@needs_models
def test_super_resolution() -> None:
    folder = path_of("onnx-super-resolution", "test_data_set_0")
    image, enlarged = load_tensor(folder / "input_0.pb"), load_tensor(folder / "output_0.pb")
    check(
        "onnx-super-resolution/super_resolution.onnx", [image.reshape(1, 1, 224, 224)], [enlarged]
    )


@needs_models
@pytest.mark.parametrize("name", ["yunet_n_320_320", "yunet_n_dynamic", "yunet_s_320_320"])
def test_yunet(name: str) -> None:
    image = np.load(path_of("onnx-yunet", "input_astronauts_bgr_u8_320x320.npy")).astype(np.float32)
    image = image.transpose(2, 0, 1)[None]
    with np.load(path_of("onnx-yunet", f"{name}_expected.npz")) as stored:
        names = import_native(path_of("onnx-yunet", f"{name}.onnx")).graph.output_names
        expected = [stored[output] for output in names]
    check(f"onnx-yunet/{name}.onnx", [image], expected)


@needs_models
@pytest.mark.parametrize("name", ["version-RFB-320", "version-slim-320_simplified"])
def test_ultraface(name: str) -> None:
    image = np.load(path_of("ultraface", "input_astronauts_rgb_u8_240x320.npy")).astype(np.float32)
    image = ((image - 127) / 128).transpose(2, 0, 1)[None]
    expected = [
        np.load(path_of("ultraface", f"{name}_expected_{kind}.npy")) for kind in ("scores", "boxes")
    ]
    check(f"ultraface/{name}.onnx", [image], expected)


@needs_models
def test_squeezenet_in_half_precision() -> None:
    crops = np.load(path_of("images", "crops224_bgr_u8.npy"))
    expected = np.load(path_of("onnx-squeezenet-fp16", "expected_softmax_crops224.npy"))
    images = crops.transpose(0, 3, 1, 2)
    images = (images.astype(np.float32) - np.reshape([104, 117, 123], (1, 3, 1, 1))).astype(
        np.float16
    )
    imported = import_native(path_of("onnx-squeezenet-fp16/SqueezeNet_fp16.onnx"))
    for image, wanted in list(zip(images, expected, strict=True))[:3]:
        (result,) = run_imported(imported, image[None])
        np.testing.assert_allclose(result.ravel().astype(np.float32), wanted.ravel(), atol=1e-2)


@needs_models
def test_shufflenet_in_8_bit_integers() -> None:
    crops = np.load(path_of("images", "crops224_bgr_u8.npy"))
    expected = np.load(path_of("onnx-shufflenet-v2-int8", "expected_logits_crops224.npy"))
    images = crops.transpose(0, 3, 1, 2)
    images = images[:2, ::-1].astype(np.float32) / np.float32(255)
    mean, deviation = (
        np.reshape(v, (1, 3, 1, 1)) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    images = ((images - mean.astype(np.float32)) / deviation.astype(np.float32)).astype(np.float32)
    imported = import_native(path_of("onnx-shufflenet-v2-int8/shufflenet-v2-12-int8.onnx"))
    for image, wanted in zip(images, expected, strict=False):
        (result,) = run_imported(imported, image[None])
        np.testing.assert_array_equal(result.ravel(), wanted.ravel())


@needs_models
def test_dynamic_batch_becomes_a_symbol_that_runs_with_any_number() -> None:
    imported = import_native(path_of("onnx-super-resolution/super_resolution.onnx"))
    assert [str(v.type) for v in imported.graph.inputs] == ["f32[batch_size, 1, 224, 224]"]
    fixed = import_native(
        path_of("onnx-super-resolution/super_resolution.onnx"), shapes={"input": (2, 1, 224, 224)}
    )
    assert [str(v.type) for v in fixed.graph.outputs] == ["f32[2, 1, 672, 672]"]


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_light_classifiers_are_native(path: Path) -> None:
    import_native(path)


def test_there_are_light_classifiers() -> None:
    assert len(LIGHT) >= 8
