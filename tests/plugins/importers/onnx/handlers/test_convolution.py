"""Convolutions and pools: geometry attributes, with numbers and with symbols for extents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gie_importer_onnx.testing import Constant, check_node

RNG = np.random.default_rng(0)


def f32(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def u8(*shape: int) -> Any:
    return RNG.integers(0, 256, shape).astype(np.uint8)


CONVOLUTIONS: list[tuple[Any, Any, dict[str, Any]]] = [
    (f32(2, 3, 7), f32(4, 3, 3), {}),
    (f32(1, 2, 8, 7), f32(4, 2, 3, 3), {"pads": [1, 0, 2, 1], "strides": [2, 1]}),
    (f32(1, 4, 9, 9), f32(6, 2, 3, 2), {"group": 2, "dilations": [2, 3]}),
    (f32(1, 2, 5, 6, 4), f32(3, 2, 2, 3, 2), {"kernel_shape": [2, 3, 2]}),
    (f32(1, 2, 7, 8), f32(3, 2, 3, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    (f32(1, 2, 7, 8), f32(3, 2, 3, 4), {"auto_pad": "SAME_LOWER", "strides": [2, 3]}),
    (f32(1, 2, 7, 8), f32(3, 2, 3, 4), {"auto_pad": "VALID"}),
]


@pytest.mark.parametrize("opset", [7, 11, 22])
@pytest.mark.parametrize(("x", "weight", "attributes"), CONVOLUTIONS)
def test_conv(x: Any, weight: Any, attributes: dict[str, Any], opset: int) -> None:
    check_node("Conv", x, Constant(weight), opset=opset, **attributes)


def test_conv_with_bias_and_computed_weight() -> None:
    check_node("Conv", f32(1, 2, 5, 5), f32(3, 2, 3, 3), f32(3), opset=11, symbolic=False)


@pytest.mark.parametrize(
    ("attributes", "symbolic"),
    [
        ({}, True),
        ({"strides": [2, 3], "pads": [1, 0, 0, 1]}, True),
        ({"strides": [3, 2], "output_padding": [1, 1], "dilations": [2, 1]}, True),
        ({"strides": [2, 2], "auto_pad": "SAME_UPPER"}, True),
        ({"strides": [2, 2], "auto_pad": "SAME_LOWER"}, True),
        ({"strides": [3, 2], "output_shape": [10, 8]}, False),
    ],
)
@pytest.mark.parametrize("opset", [8, 11])
def test_conv_transpose(attributes: dict[str, Any], symbolic: bool, opset: int) -> None:
    operands = (f32(1, 3, 4, 4), Constant(f32(3, 2, 3, 3)), f32(2))
    check_node("ConvTranspose", *operands, opset=opset, symbolic=symbolic, **attributes)


def test_conv_integer() -> None:
    zero = Constant(np.uint8(7))
    check_node(
        "ConvInteger", u8(1, 2, 5, 5), Constant(u8(3, 2, 3, 3)), zero, opset=10, pads=[1, 1, 1, 1]
    )


POOLS: list[dict[str, Any]] = [
    {"kernel_shape": [3, 3]},
    {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [1, 1, 0, 1]},
    {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"kernel_shape": [3, 2], "auto_pad": "SAME_LOWER", "strides": [2, 2]},
    {"kernel_shape": [3, 2], "auto_pad": "VALID", "strides": [2, 2]},
]
CEIL: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}


@pytest.mark.parametrize("attributes", POOLS)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize("opset", [7, 11, 18])
def test_pools(op: str, attributes: dict[str, Any], opset: int) -> None:
    check_node(op, f32(1, 2, 7, 8), opset=opset, **attributes)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_ceil_mode(op: str) -> None:
    check_node(op, f32(1, 2, 8, 7), opset=11, **CEIL)


def test_dilated_max_pool() -> None:
    check_node("MaxPool", f32(1, 1, 9, 9), opset=11, kernel_shape=[2, 3], dilations=[3, 2])


def test_average_over_padding() -> None:
    check_node(
        "AveragePool", f32(1, 1, 5), opset=7, kernel_shape=[3], pads=[1, 1], count_include_pad=1
    )


@pytest.mark.parametrize("order", [0, 1])
def test_indices_of_maxima(order: int) -> None:
    check_node(
        "MaxPool", f32(2, 2, 5, 6), opset=11, outputs=2, kernel_shape=[2, 2], storage_order=order
    )


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
def test_global_pools(op: str) -> None:
    check_node(op, f32(2, 3, 4, 5), opset=7)


def test_a_kernel_that_contradicts_its_weight_is_foreign() -> None:
    operands = (f32(1, 2, 5, 5), Constant(f32(3, 2, 3, 3)))
    with pytest.raises(AssertionError, match="is not its weight's"):
        check_node("Conv", *operands, opset=11, kernel_shape=[2, 2])
