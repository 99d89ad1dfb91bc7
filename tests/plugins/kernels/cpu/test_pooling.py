"""Pools of every geometry against double precision."""

from __future__ import annotations

import numpy as np
import pytest

from gie_core.kernels.provider import Memory
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST
from gie_core.testing.kernels import check_node, check_unsupported, graph_text
from gie_core.testing.passes import parse_with_blobs
from gie_kernels_cpu import sliding
from gie_kernels_cpu.provider import CpuProvider

# name, attributes, x
GEOMETRIES = [
    ("plain", "kernel = [2, 2]", "n, 3, 5, 6"),
    ("strides", "kernel = [2, 2], strides = [2, 2]", "n, 3, 6, 6"),
    ("overlapping", "kernel = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]", "2, 3, 8, 9"),
    ("same size", "kernel = [3, 3], pads = [1, 1, 1, 1]", "2, 3, 8, 9"),
    ("asymmetric pads", "kernel = [3, 2], pads = [0, 1, 2, 0]", "2, 3, 5, 5"),
    ("ceil mode", "kernel = [3, 3], strides = [2, 2], ceil_mode = true", "2, 2, 6, 8"),
    (
        "ceil mode, pads",
        "kernel = [2, 3], strides = [3, 2], pads = [1, 1, 0, 1], ceil_mode = true",
        "1, 2, 6, 7",
    ),
    ("dilations", "kernel = [3, 2], dilations = [2, 3], strides = [1, 2]", "1, 2, 8, 9"),
    ("everything", "kernel = [4, 5]", "3, 2, 4, 5"),
    ("gaps", "kernel = [1, 2], strides = [3, 4]", "1, 2, 8, 9"),
    ("wide pads", "kernel = [2, 1], pads = [1, 3, 4, 0]", "1, 2, 3, 4"),
    ("1-d", "kernel = [3], strides = [2], pads = [1, 1]", "n, 3, 9"),
    ("3-d", "kernel = [2, 1, 3], strides = [2, 1, 1], pads = [1, 0, 1, 0, 0, 1]", "1, 2, 4, 3, 5"),
    ("one element", "kernel = [1, 1]", "2, 3, 4, 4"),
    ("no images", "kernel = [2, 2]", "0, 3, 5, 6"),
]
CASES = pytest.mark.parametrize(
    ("attributes", "x"), [case[1:] for case in GEOMETRIES], ids=[case[0] for case in GEOMETRIES]
)
PARTS = pytest.mark.parametrize("block", [sliding.BLOCK, 50], ids=["at once", "in parts"])


@CASES
@PARTS
@pytest.mark.parametrize("dtype", ["f32", "f16", "i8"])
def test_max_pool(
    attributes: str, x: str, block: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sliding, "BLOCK", block)
    inputs = {"x": f"{dtype}[{x}]"}
    check_node(CpuProvider(), f"max_pool(%x) {{{attributes}}}", inputs, exact=True)


@CASES
@PARTS
@pytest.mark.parametrize("count", ["", ", count_include_pad = true"])
def test_average_pool(
    attributes: str, x: str, block: int, count: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sliding, "BLOCK", block)
    check_node(CpuProvider(), f"average_pool(%x) {{{attributes}{count}}}", {"x": f"f32[{x}]"})


@pytest.mark.parametrize("op", ["max_pool", "average_pool"])
@pytest.mark.parametrize("dtype", ["f64", "f16", "bf16"])
def test_types(op: str, dtype: str) -> None:
    check_node(CpuProvider(), f"{op}(%x) {{kernel = [3, 3]}}", {"x": f"{dtype}[2, 3, 6, 6]"})


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize("candidate", ["NCHW", "NHWC", "NCHW f16", "NHWC bf16"])
def test_nan_wins_and_padding_does_not(candidate: str) -> None:
    text = graph_text("max_pool(%x) {kernel = [1, 3], pads = [0, 1, 0, 1]}", {"x": "f32[1,1,1,6]"})
    (node,) = parse_with_blobs(text, core_ops()).nodes
    provider = CpuProvider()
    (found,) = (c for c in provider.candidates(node, HOST) if c.name == candidate)
    assert found.operands[0] is not None
    x = np.array([[[[-5, -INF, -7, -8, NAN, -1]]]], found.operands[0].dtype.numpy)
    y = np.empty_like(x)
    memory = Memory((x,), (y,), (), np.empty(found.workspace, np.uint8))
    for launch in provider.bind(node, candidate, memory):
        launch()
    wanted = np.array([[[[-5, -5, -7, NAN, NAN, NAN]]]])
    np.testing.assert_array_equal(y.astype(np.float64), wanted)


def test_i4_is_left_to_the_reference() -> None:
    check_unsupported(
        CpuProvider(), "max_pool(%x) {kernel = [2]}", {"x": "i4[1, 1, 4]"}, match="%x is i4, not"
    )
