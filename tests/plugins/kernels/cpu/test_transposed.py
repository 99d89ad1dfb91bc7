"""Transposed convolutions of every geometry, against double precision."""

from __future__ import annotations

import pytest

from gie_core.testing.kernels import check_node
from gie_kernels_cpu import shifted
from gie_kernels_cpu.provider import CpuProvider

# name, attributes, x, weight
GEOMETRIES = [
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
    ("attributes", "x", "weight"), [c[1:] for c in GEOMETRIES], ids=[c[0] for c in GEOMETRIES]
)
@pytest.mark.parametrize("small", [False, True], ids=["at once", "in parts"])
def test_transposed_convolution(
    attributes: str, x: str, weight: str, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small:
        monkeypatch.setattr(shifted, "WORKSPACE", 700)
    groups = 3 if "groups" in attributes else 1
    channels = int(weight.split(",")[1]) * groups
    check_node(
        CpuProvider(),
        f"conv_transpose(%x, %w, %b) {attributes}",
        {"x": f"f32[{x}]"},
        {"w": f"f32[{weight}]", "b": f"f32[{channels}]"},
        tolerance=1.5e-2,  # weights may be bf16
    )


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16", "bf16"])
def test_types(dtype: str) -> None:
    inputs = {"x": f"{dtype}[2, 3, 4, 5]", "w": f"{dtype}[3, 4, 3, 3]"}
    check_node(CpuProvider(), "conv_transpose(%x, %w) {strides = [2, 2]}", inputs)
