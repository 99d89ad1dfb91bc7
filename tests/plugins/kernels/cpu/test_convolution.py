"""Convolutions of every geometry, by every method, against double precision."""

from __future__ import annotations

import pytest

from gie_core.ops.conv import Conv
from gie_core.testing.kernels import check_node
from gie_kernels_cpu import convolution, depthwise, transposed
from gie_kernels_cpu.convolution import Im2colConvolution, PointwiseConvolution
from gie_kernels_cpu.depthwise import DepthwiseConvolution
from gie_kernels_cpu.provider import CpuProvider

# name, attributes, x, weight
GEOMETRIES = [
    ("plain", "", "n, 3, 7, 8", "4, 3, 3, 3"),
    ("asymmetric pads", "{pads = [0, 1, 2, 3]}", "2, 3, 7, 8", "4, 3, 3, 2"),
    ("strides", "{strides = [2, 3], pads = [1, 1, 1, 1]}", "1, 3, 9, 11", "5, 3, 3, 3"),
    ("dilations", "{dilations = [2, 3], pads = [2, 3, 2, 3]}", "n, 2, 9, 9", "4, 2, 3, 3"),
    ("both", "{dilations = [3, 2], strides = [2, 3]}", "2, 2, 9, 9", "4, 2, 2, 3"),
    ("one window", "", "3, 2, 4, 5", "7, 2, 4, 5"),
    ("gaps", "{strides = [4, 4]}", "1, 2, 8, 9", "3, 2, 2, 2"),
    ("pads larger than x", "{pads = [3, 3, 3, 3]}", "1, 2, 1, 2", "3, 2, 3, 3"),
    ("1-d", "{strides = [2], pads = [1, 2]}", "n, 3, 11", "4, 3, 4"),
    (
        "3-d",
        "{pads = [1, 0, 1, 0, 1, 1], strides = [1, 2, 1]}",
        "1, 2, 5, 6, 4",
        "3, 2, 2, 3, 2",
    ),
    ("groups", "{groups = 3, pads = [1, 1, 1, 1]}", "n, 6, 5, 5", "9, 2, 3, 3"),
    ("wide groups", "{groups = 2, strides = [2, 2]}", "2, 64, 6, 6", "8, 32, 3, 3"),
    ("channels last", "{pads = [1, 1, 1, 1]}", "n, 40, 6, 6", "5, 40, 3, 3"),
    ("channels last, dilated", "{dilations = [2, 2]}", "1, 60, 6, 6", "5, 60, 2, 2"),
    ("symbolic extents", "{strides = [2, 2]}", "n, 2, h + 4, 2*h + 5", "3, 2, 3, 3"),
    ("no images", "{pads = [1, 1, 1, 1]}", "0, 3, 5, 5", "4, 3, 3, 3"),
]

POINTWISE = [
    ("1x1", "", "n, 5, 4, 3", "7, 5, 1, 1"),
    ("1x1, strides", "{strides = [2, 3]}", "2, 5, 5, 7", "4, 5, 1, 1"),
    ("1x1, groups", "{groups = 2}", "n, 6, 4, 4", "8, 3, 1, 1"),
    ("1x1, 1-d", "{strides = [3]}", "1, 6, 10", "8, 6, 1"),
    ("1x1, no images", "", "0, 3, 5, 5", "4, 3, 1, 1"),
]

DEPTHWISE = [
    ("depthwise", "{groups = 4, pads = [1, 1, 1, 1]}", "n, 4, 6, 7", "4, 1, 3, 3"),
    ("depthwise, 2 each", "{groups = 3, strides = [2, 1]}", "2, 3, 6, 7", "6, 1, 3, 2"),
    (
        "depthwise, all at once",
        "{groups = 3, strides = [2, 3], dilations = [3, 2], pads = [3, 1, 0, 2]}",
        "1, 3, 11, 9",
        "3, 1, 3, 2",
    ),
    ("depthwise, pads", "{groups = 2, pads = [4, 4, 4, 4]}", "1, 2, 1, 2", "2, 1, 3, 3"),
    ("depthwise, 1-d", "{groups = 3, strides = [3], pads = [2, 0]}", "n, 3, 14", "3, 1, 5"),
    ("depthwise, 3-d", "{groups = 2, strides = [2, 1, 2]}", "1, 2, 5, 4, 6", "4, 1, 2, 3, 3"),
    ("depthwise, no images", "{groups = 3}", "0, 3, 5, 5", "3, 1, 3, 3"),
]

METHODS = {
    "chosen": (CpuProvider(), GEOMETRIES + POINTWISE + DEPTHWISE),
    "im2col": (CpuProvider({Conv: (Im2colConvolution(),)}), GEOMETRIES + POINTWISE + DEPTHWISE),
    "pointwise": (CpuProvider({Conv: (PointwiseConvolution(),)}), POINTWISE),
    "depthwise": (CpuProvider({Conv: (DepthwiseConvolution(),)}), DEPTHWISE),
}
CASES = [
    pytest.param(method, *case, id=f"{name}-{label}")
    for name, (method, geometries) in METHODS.items()
    for label, *case in geometries
]


@pytest.mark.parametrize(("provider", "attributes", "x", "weight"), CASES)
@pytest.mark.parametrize("small", [False, True], ids=["at once", "in parts"])
def test_convolution(
    provider: CpuProvider,
    attributes: str,
    x: str,
    weight: str,
    small: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if small:
        monkeypatch.setattr(convolution, "WORKSPACE", 700)
        monkeypatch.setattr(depthwise, "BLOCK", 50)
    channels = weight.split(",", maxsplit=1)[0]
    constants = {"w": f"f32[{weight}]", "b": f"f32[{channels}]"}
    check_node(provider, f"conv(%x, %w, %b) {attributes}", {"x": f"f32[{x}]"}, constants)


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16", "bf16"])
@pytest.mark.parametrize("method", METHODS)
def test_types_of_a_convolution_whose_weight_is_an_input(method: str, dtype: str) -> None:
    provider, geometries = METHODS[method]
    _, attributes, x, weight = geometries[0]
    inputs = {"x": f"{dtype}[{x}]", "w": f"{dtype}[{weight}]"}
    check_node(provider, f"conv(%x, %w) {attributes}", inputs)


# name, attributes, x, weight
TRANSPOSED = [
    ("plain", "", "n, 3, 4, 5", "3, 4, 3, 3"),
    ("asymmetric pads", "{pads = [0, 1, 2, 1]}", "2, 3, 4, 5", "3, 4, 3, 2"),
    ("upsampling", "{strides = [2, 2]}", "n, 6, 4, 3", "6, 3, 2, 2"),
    ("gaps", "{strides = [3, 3], output_pads = [2, 1]}", "1, 2, 3, 3", "2, 3, 2, 2"),
    ("dilations", "{strides = [2, 1], dilations = [2, 3]}", "1, 2, 3, 4", "2, 3, 3, 2"),
    ("groups", "{groups = 3, pads = [1, 1, 1, 1]}", "2, 6, 4, 4", "6, 2, 3, 3"),
    ("pads that cut all of a tap", "{pads = [2, 2, 2, 2]}", "1, 2, 3, 3", "2, 2, 3, 3"),
    ("1-d", "{strides = [3]}", "n, 2, 4", "2, 3, 5"),
    ("3-d", "{strides = [2, 1, 2]}", "1, 2, 3, 2, 3", "2, 2, 2, 2, 3"),
    ("no images", "", "0, 3, 4, 5", "3, 4, 3, 3"),
]


@pytest.mark.parametrize(
    ("attributes", "x", "weight"), [c[1:] for c in TRANSPOSED], ids=[c[0] for c in TRANSPOSED]
)
@pytest.mark.parametrize("small", [False, True], ids=["at once", "in parts"])
def test_transposed_convolution(
    attributes: str, x: str, weight: str, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small:
        monkeypatch.setattr(transposed, "WORKSPACE", 700)
    groups = 3 if "groups" in attributes else 1
    channels = int(weight.split(",")[1]) * groups
    check_node(
        CpuProvider(),
        f"conv_transpose(%x, %w, %b) {attributes}",
        {"x": f"f32[{x}]"},
        {"w": f"f32[{weight}]", "b": f"f32[{channels}]"},
    )


@pytest.mark.parametrize("dtype", ["f64", "f16", "bf16"])
def test_types_of_a_transposed_convolution(dtype: str) -> None:
    inputs = {"x": f"{dtype}[2, 3, 4, 5]", "w": f"{dtype}[3, 4, 3, 3]"}
    check_node(CpuProvider(), "conv_transpose(%x, %w) {strides = [2, 2]}", inputs)
