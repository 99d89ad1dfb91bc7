"""Normalizations, softmax and resizing, over the opsets in which their meaning changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.parser
import pytest

from gie_importer_onnx.importer import OnnxImporter
from gie_importer_onnx.testing import Constant, check_node

RNG = np.random.default_rng(4)


def f32(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def weights(*shape: int) -> Constant:
    return Constant(np.abs(f32(*shape)) + 0.5)


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
def test_batch_norm(opset: int) -> None:
    check_node(
        "BatchNormalization",
        f32(2, 3, 4, 4),
        *(weights(3) for _ in range(4)),
        opset=opset,
        epsilon=1e-3,
    )


def test_batch_norm_in_training_mode_is_foreign() -> None:
    operands = (f32(2, 3, 4), *(weights(3) for _ in range(4)))
    check_node(
        "BatchNormalization",
        *operands,
        opset=14,
        outputs=3,
        native=False,
        peer="reference",
        symbolic=False,
        training_mode=1,
    )


def test_a_node_with_an_output_too_many_is_foreign_as_a_whole() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[2, 3] x) => (float[2, 3] y, float[2, 3] z) { y, z = Relu (x) }"""
    report = OnnxImporter().load(onnx.parser.parse_model(text)).report
    assert [(node.op, node.reason) for node in report.foreign] == [("Relu", "its output 1 is used")]


def test_instance_norm() -> None:
    check_node("InstanceNormalization", f32(2, 3, 4, 4), weights(3), weights(3), opset=7)


@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_layer_norm(axis: int) -> None:
    scale = weights(*(2, 3, 4)[axis:])
    check_node("LayerNormalization", f32(2, 3, 4), scale, scale, opset=17, axis=axis)


def test_layer_norm_with_its_statistics_by_its_definition() -> None:
    check_node("LayerNormalization", f32(2, 3, 4), weights(4), opset=17, outputs=3, symbolic=False)


@pytest.mark.parametrize(("opset", "extent"), [(18, 2), (21, 6)])
def test_group_norm(opset: int, extent: int) -> None:
    operands = (f32(2, 6, 4), weights(extent), weights(extent))
    check_node(
        "GroupNormalization", *operands, opset=opset, peer="reference", symbolic=False, num_groups=2
    )


def test_rms_norm() -> None:
    check_node("RMSNormalization", f32(2, 3, 4), weights(4), opset=23, peer="reference")


@pytest.mark.parametrize("size", [3, 5])
def test_lrn(size: int) -> None:
    check_node("LRN", f32(1, 7, 3, 3), opset=7, size=size, alpha=0.2, beta=0.6, bias=1.5)


@pytest.mark.parametrize("p", [1, 2])
def test_lp_normalization(p: int) -> None:
    check_node("LpNormalization", f32(3, 4), opset=7, axis=1, p=p)


def test_mean_variance_normalization_by_its_definition() -> None:
    check_node("MeanVarianceNormalization", f32(2, 3, 4, 4), opset=13, axes=[0, 2, 3])


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(("opset", "axis"), [(7, 1), (11, 0), (11, 2), (11, -1), (13, 1), (13, -1)])
def test_softmax_took_all_axes_from_one_on_before_opset_13(op: str, opset: int, axis: int) -> None:
    check_node(op, f32(2, 3, 4), opset=opset, axis=axis)


@pytest.mark.parametrize("scales", [(1, 1, 2, 3), (1, 1, 0.5, 0.5)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resize_of_opset_10(scales: tuple[float, ...], mode: str) -> None:
    check_node(
        "Resize", f32(1, 2, 4, 6), Constant(np.array(scales, np.float32)), opset=10, mode=mode
    )


def test_upsample() -> None:
    check_node("Upsample", f32(1, 2, 3, 4), opset=7, scales=[1.0, 1.0, 2.0, 3.0])
    check_node(
        "Upsample",
        f32(1, 2, 3, 4),
        Constant(np.array([1, 1, 2, 2], np.float32)),
        opset=9,
        mode="linear",
    )


COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("scales", [(1, 1, 2, 2), (1, 1, 0.75, 0.6)])
def test_resize_by_scales(coordinates: str, mode: str, scales: tuple[float, ...]) -> None:
    operands = (f32(1, 2, 4, 5), None, Constant(np.array(scales, np.float32)))
    check_node(
        "Resize",
        *operands,
        opset=13,
        symbolic=scales[2] == 2,
        rtol=1e-4,
        coordinate_transformation_mode=coordinates,
        mode=mode,
    )


@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_resize_to_sizes(nearest: str) -> None:
    operands = (f32(1, 2, 4, 5), None, None, Constant(np.array([1, 2, 7, 9])))
    check_node("Resize", *operands, opset=13, symbolic=False, nearest_mode=nearest)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_resize_that_keeps_the_aspect_ratio(policy: str) -> None:
    operands = (f32(1, 2, 4, 5), None, None, Constant(np.array([9, 7])))
    check_node(
        "Resize",
        *operands,
        opset=18,
        peer="reference",
        symbolic=False,
        keep_aspect_ratio_policy=policy,
        axes=[2, 3],
    )


def test_resize_crops() -> None:
    roi = Constant(np.array([0, 0, 0.2, 0.4, 1, 1, 0.6, 1.3], np.float32))
    operands = (f32(1, 1, 5, 6), roi, None, Constant(np.array([1, 1, 3, 4])))
    check_node(
        "Resize",
        *operands,
        opset=13,
        symbolic=False,
        mode="linear",
        rtol=1e-4,
        extrapolation_value=9.0,
        coordinate_transformation_mode="tf_crop_and_resize",
    )
