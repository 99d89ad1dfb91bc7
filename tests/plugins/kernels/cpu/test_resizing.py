"""Images resized by every mode, against double precision."""

from __future__ import annotations

import pytest

from gie_core.ops.resize import Resize
from gie_core.testing.kernels import check_node, check_unsupported
from gie_kernels_cpu.provider import CpuProvider
from gie_kernels_cpu.resizing import ImageResize

PROVIDER = CpuProvider({Resize: {"": ImageResize()}})

# attributes, x
CASES = [
    ("sizes = [2, 3, 8, 10]", "2, 3, 4, 5"),
    ("sizes = [2, 3, 3, 7]", "2, 3, 4, 5"),
    ("sizes = [1, 2, 4, 5]", "1, 2, 4, 5"),
    ('sizes = [1, 2, 6, 5], coordinates = "asymmetric", nearest = "floor"', "1, 2, 4, 3"),
    ("sizes = [1, 2, 6, 5], scales = [1.0, 1.0, 1.6, 1.7]", "1, 2, 4, 3"),
    ("sizes = [0, 2, 6, 5]", "0, 2, 4, 3"),
]
MODES = [
    'mode = "nearest"',
    'mode = "linear"',
    'mode = "linear", antialias = true',
    'mode = "cubic", exclude_outside = true',
]


@pytest.mark.parametrize(("attributes", "x"), CASES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["f32", "f64", "f16"])
def test_resize(attributes: str, x: str, mode: str, dtype: str) -> None:
    check_node(PROVIDER, f"resize(%x) {{{attributes}, {mode}}}", {"x": f"{dtype}[{x}]"})


def test_nearest_is_exact() -> None:
    inputs = {"x": "f32[2, 3, 4, 5]"}
    check_node(PROVIDER, "resize(%x) {sizes = [2, 3, 9, 7]}", inputs, exact=True)


@pytest.mark.parametrize(
    ("attributes", "x", "reason"),
    [
        ("sizes = [2, 3]", "f32[2, 4]", "it does not keep the first two of four axes"),
        ("sizes = [1, 2, 4, 4]", "f32[1, 1, 4, 4]", "it does not keep the first two of four axes"),
        ("sizes = [1, 1, 4, 4]", "i8[1, 1, 2, 2]", "%x is i8"),
    ],
)
def test_what_is_left_to_the_reference(attributes: str, x: str, reason: str) -> None:
    check_unsupported(PROVIDER, f"resize(%x) {{{attributes}}}", {"x": x}, match=reason)
