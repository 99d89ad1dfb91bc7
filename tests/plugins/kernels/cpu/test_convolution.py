"""Convolutions of every geometry, by every candidate, against double precision."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gie_core.ir.graph import Node
from gie_core.ir.types import DType
from gie_core.kernels.candidate import Candidate
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST, Target
from gie_core.testing.kernels import check_node, graph_text
from gie_core.testing.passes import parse_with_blobs
from gie_kernels_cpu import (
    depthwise_planes,
    depthwise_rows,
    im2col,
    pointwise_convolution,
    shifted,
    winograd,
)
from gie_kernels_cpu.provider import CpuProvider

EXACT, F16, BF16 = "exact", "f16", "bf16"
TOLERANCES = {EXACT: {DType.F32: 3e-6}, F16: 2e-3, BF16: 1.5e-2}


class Storing(CpuProvider):
    """Offers only candidates that store floats in a type, or in their own."""

    def __init__(self, storage: str) -> None:
        super().__init__()
        self._storage = storage

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        return [c for c in super().candidates(node, target) if storage_of(c) == self._storage]


def storage_of(candidate: Candidate) -> str:
    narrow = [word for word in candidate.name.split() if word in (F16, BF16)]
    return narrow[0] if narrow else EXACT


def check(call: str, inputs: dict[str, str], constants: dict[str, str] | None = None) -> None:
    for storage, tolerance in TOLERANCES.items():
        if storage == EXACT or (constants and "f32" in inputs["x"]):
            check_node(Storing(storage), call, inputs, constants, tolerance=tolerance)


def make_parts_small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (im2col, pointwise_convolution, shifted):
        monkeypatch.setattr(module, "WORKSPACE", 700)
    for module in (depthwise_planes, depthwise_rows):
        monkeypatch.setattr(module, "BLOCK", 50)
    monkeypatch.setattr(winograd, "CHUNK", 10_000)


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
    ("3-d", "{pads = [1, 0, 1, 0, 1, 1]}", "1, 2, 5, 6, 4", "3, 2, 2, 3, 2"),
    ("groups", "{groups = 3, pads = [1, 1, 1, 1]}", "n, 6, 5, 5", "9, 2, 3, 3"),
    ("wide groups", "{groups = 2, strides = [2, 2]}", "2, 64, 6, 6", "8, 32, 3, 3"),
    ("patches channels last", "{dilations = [2, 2]}", "1, 60, 6, 6", "61, 60, 2, 2"),
    ("no images", "{pads = [1, 1, 1, 1]}", "0, 3, 5, 5", "4, 3, 3, 3"),
    ("winograd", "{pads = [1, 1, 1, 1]}", "n, 8, 8, 12", "9, 8, 3, 3"),
    ("winograd, cut tiles", "{pads = [0, 1, 2, 3]}", "1, 9, 9, 6", "8, 9, 3, 3"),
    ("winograd, one tile", "", "2, 8, 3, 4", "8, 8, 3, 3"),
    ("winograd, no images", "", "0, 8, 5, 5", "8, 8, 3, 3"),
    ("few results", "{pads = [1, 1, 0, 2]}", "n, 5, 6, 5", "2, 5, 3, 3"),
    ("few results, dilated", "{dilations = [2, 3]}", "1, 5, 6, 8", "3, 5, 3, 2"),
    ("few results, 1-d", "{pads = [3, 0]}", "2, 4, 7", "1, 4, 4"),
    ("1x1", "", "n, 5, 4, 3", "7, 5, 1, 1"),
    ("1x1, strides", "{strides = [2, 3]}", "2, 5, 5, 7", "4, 5, 1, 1"),
    ("1x1, groups", "{groups = 2}", "n, 6, 4, 4", "8, 3, 1, 1"),
    ("1x1, 1-d", "{strides = [3]}", "1, 6, 10", "8, 6, 1"),
    ("1x1, pads", "{pads = [1, 0, 0, 1]}", "1, 3, 4, 4", "2, 3, 1, 1"),
    ("1x1, no images", "", "0, 3, 5, 5", "4, 3, 1, 1"),
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
    ("depthwise, 3-d", "{groups = 2, strides = [2, 1, 2]}", "1, 2, 5, 4, 6", "2, 1, 2, 3, 3"),
    ("depthwise, no images", "{groups = 3}", "0, 3, 5, 5", "3, 1, 3, 3"),
]
CASES = [pytest.param(*case, id=name) for name, *case in GEOMETRIES]


@pytest.mark.parametrize(("attributes", "x", "weight"), CASES)
@pytest.mark.parametrize("small", [False, True], ids=["at once", "in parts"])
def test_convolution(
    attributes: str, x: str, weight: str, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small:
        make_parts_small(monkeypatch)
    channels = weight.split(",", maxsplit=1)[0]
    constants = {"w": f"f32[{weight}]", "b": f"f32[{channels}]"}
    check(f"conv(%x, %w, %b) {attributes}", {"x": f"f32[{x}]"}, constants)


@pytest.mark.parametrize("dtype", ["f64", "f16", "bf16"])
@pytest.mark.parametrize(("attributes", "x", "weight"), CASES[-7::3] + CASES[::8])
def test_types(attributes: str, x: str, weight: str, dtype: str) -> None:
    constants = {"w": f"{dtype}[{weight}]"}
    check(f"conv(%x, %w) {attributes}", {"x": f"{dtype}[{x}]"}, constants)


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize(("attributes", "x", "weight"), CASES[::2])
def test_weight_and_bias_that_are_inputs(attributes: str, x: str, weight: str, dtype: str) -> None:
    channels = weight.split(",", maxsplit=1)[0]
    inputs = {"x": x, "w": weight, "b": channels}
    typed = {name: f"{dtype}[{shape}]" for name, shape in inputs.items()}
    check(f"conv(%x, %w, %b) {attributes}", typed)


def names(attributes: str, x: str, weight: str, constant: bool = True) -> list[str]:
    """Of the candidates, from the best guess on."""
    inputs, constants = {"x": f"f32[{x}]"}, {"w": f"f32[{weight}]"}
    if not constant:
        inputs, constants = inputs | constants, {}
    text = graph_text(f"conv(%x, %w) {attributes}", inputs, constants)
    (node,) = parse_with_blobs(text, core_ops()).nodes
    return [candidate.name for candidate in CpuProvider().candidates(node, HOST)]


@pytest.mark.parametrize(
    ("attributes", "x", "weight", "best"),
    [
        ("", "1, 256, 14, 14", "1024, 256, 1, 1", "gemm"),
        ("{pads = [1, 1, 1, 1]}", "1, 64, 56, 56", "64, 64, 3, 3", "winograd 4x4"),
        ("{pads = [1, 1, 1, 1]}", "1, 256, 14, 14", "256, 256, 3, 3", "winograd 2x2"),
        ("{pads = [1, 1, 1, 1]}", "1, 16, 28, 28", "32, 16, 3, 3", "im2col"),
        ("{pads = [1, 1, 1, 1], groups = 96}", "1, 96, 56, 56", "96, 1, 3, 3", "depthwise rows"),
        ("{pads = [1, 1, 1, 1]}", "1, 128, 15, 15", "6, 128, 3, 3", "shifted"),
    ],
)
def test_best_guess(attributes: str, x: str, weight: str, best: str) -> None:
    found = names(attributes, x, weight)
    assert found[0].startswith(best)
    assert len(set(found)) == len(found)


def test_own_types_come_before_narrow_ones() -> None:
    narrow = [" f16" in name or " bf16" in name for name in names("", "1, 8, 9, 9", "8, 8, 3, 3")]
    assert any(narrow)
    assert narrow == sorted(narrow)


def test_weights_that_are_inputs_are_not_stored_or_transformed_beforehand() -> None:
    found = names("", "1, 8, 9, 9", "8, 8, 3, 3", constant=False)
    assert not [name for name in found if "winograd" in name or "weights" in name]
