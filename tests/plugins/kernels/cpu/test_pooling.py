"""Pools of every geometry against double precision."""

from __future__ import annotations

import numpy as np
import pytest

from gie_core.ops.pool import MaxPool
from gie_core.testing.kernels import check_node, check_unsupported
from gie_kernels_cpu import pooling
from gie_kernels_cpu.provider import METHODS, CpuProvider

# name, attributes, x
GEOMETRIES = [
    ("plain", "kernel = [2, 2]", "n, 3, 5, 6"),
    ("strides", "kernel = [2, 2], strides = [2, 2]", "n, 3, 6, 6"),
    ("overlapping", "kernel = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]", "2, 3, 8, 9"),
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
    ("1-d", "kernel = [3], strides = [2], pads = [1, 1]", "n, 3, 9"),
    ("3-d", "kernel = [2, 1, 3], strides = [2, 1, 1], pads = [1, 0, 1, 0, 0, 1]", "1, 2, 4, 3, 5"),
    ("one element", "kernel = [1, 1]", "2, 3, 4, 4"),
    ("no images", "kernel = [2, 2]", "0, 3, 5, 6"),
]
CASES = pytest.mark.parametrize(
    ("attributes", "x"), [case[1:] for case in GEOMETRIES], ids=[case[0] for case in GEOMETRIES]
)
PARTS = pytest.mark.parametrize("block", [pooling.BLOCK, 50], ids=["at once", "in parts"])


@CASES
@PARTS
@pytest.mark.parametrize("dtype", ["f32", "f16", "i8"])
def test_max_pool(
    attributes: str, x: str, block: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooling, "BLOCK", block)
    inputs = {"x": f"{dtype}[{x}]"}
    check_node(CpuProvider(), f"max_pool(%x) {{{attributes}}}", inputs, exact=True)


@CASES
@PARTS
@pytest.mark.parametrize("count", ["", ", count_include_pad = true"])
def test_average_pool(
    attributes: str, x: str, block: int, count: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooling, "BLOCK", block)
    check_node(CpuProvider(), f"average_pool(%x) {{{attributes}{count}}}", {"x": f"f32[{x}]"})


@pytest.mark.parametrize("op", ["max_pool", "average_pool"])
@pytest.mark.parametrize("dtype", ["f64", "f16", "bf16"])
def test_types(op: str, dtype: str) -> None:
    check_node(CpuProvider(), f"{op}(%x) {{kernel = [3, 3]}}", {"x": f"{dtype}[2, 3, 6, 6]"})


def test_nan_wins_and_padding_does_not() -> None:
    op = MaxPool(kernel=(3,), pads=(1, 1))
    kernel = METHODS[MaxPool][0].kernel(None, lambda _: None)  # pyright: ignore[reportArgumentType] - it looks at no node
    x = np.array([[[-5, -np.inf, -7, -8, np.nan, -1]]], np.float32)
    (y,) = kernel(op, [x])
    np.testing.assert_array_equal(y, [[[-5, -5, -7, np.nan, np.nan, np.nan]]])


def test_i4_is_left_to_the_reference() -> None:
    check_unsupported(
        CpuProvider(), "max_pool(%x) {kernel = [2]}", {"x": "i4[1, 1, 4]"}, match="%x is i4, not"
    )
