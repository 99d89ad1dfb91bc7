"""Copies of every kind."""

from __future__ import annotations

import numpy as np
import pytest

from gie_core.testing.kernels import check_graph, check_node, check_unsupported
from gie_kernels_cpu import moving
from gie_kernels_cpu.launches import in_order
from gie_kernels_cpu.moving import MOVING, copies
from gie_kernels_cpu.provider import CpuProvider

PROVIDER = CpuProvider({op: {"": method} for op, method in MOVING.items()})

# call, shapes by name
CASES: list[tuple[str, dict[str, str]]] = [
    ("concat(%x, %y) {axis = 1}", {"x": "2, 3, 4, 5", "y": "2, 1, 4, 5"}),
    ("concat(%x, %y, %x) {axis = 0}", {"x": "2, 3", "y": "4, 3"}),
    ("concat(%x) {axis = 0}", {"x": "3"}),
    ("concat(%x, %y) {axis = 2}", {"x": "2, 3, 0", "y": "2, 3, 2"}),
    ("pad(%x) {pads = [0, 0, 1, 2, 0, 0, 3, 0]}", {"x": "2, 3, 4, 5"}),
    ("pad(%x) {pads = [1, -1, 0, 2]}", {"x": "3, 4"}),
    ("pad(%x, %y) {pads = [1, -1, 0, 2]}", {"x": "3, 4", "y": ""}),
    ("pad(%x, %y) {pads = [2, 1]}", {"x": "3", "y": "1"}),
    ("pad(%x) {pads = [1, 2]}", {"x": "0"}),
    ("transpose(%x) {permutation = [0, 2, 3, 1]}", {"x": "2, 3, 4, 5"}),
    ("transpose(%x) {permutation = [1, 0]}", {"x": "7, 9"}),
    ("transpose(%x) {permutation = []}", {"x": ""}),
    ("reshape(%x) {shape = [6, 20]}", {"x": "2, 3, 4, 5"}),
    ("reshape(%x) {shape = [2, 3, 4, 5]}", {"x": "120"}),
    ("slice(%x) {axes = [1], starts = [2], ends = [-1], steps = [-1]}", {"x": "3, 4"}),
    ("slice(%x) {axes = [2], starts = [0], ends = [4], steps = [2]}", {"x": "1, 2, 4, 3"}),
    ("expand(%x) {shape = [2, 3, 4]}", {"x": "3, 1"}),
    ("identity(%x)", {"x": "2, 3, 4, 5"}),
    ("dropout(%x)", {"x": "2"}),
]


@pytest.mark.parametrize(("call", "shapes"), CASES)
@pytest.mark.parametrize("dtype", ["f32", "i8", "bool", "bf16", "i4"])
def test_moving(call: str, shapes: dict[str, str], dtype: str) -> None:
    types = {name: f"{dtype}[{shape}]" for name, shape in shapes.items()}
    check_node(PROVIDER, call, types, exact=True)
    if "y" in types:
        check_node(PROVIDER, call, {"x": types["x"]}, {"y": types["y"]}, exact=True)


def test_split() -> None:
    call = "split(%x) {axis = 1, sizes = [2, 3]}"
    text = f"graph main {{ input %x: f32[2, 5] %a, %b = {call} return %a, %b }}"
    check_graph(PROVIDER, text, exact=True)


@pytest.mark.parametrize("shape", [(), (3,), (5, 7), (2, 9, 4), (6, 1, 5, 3), (0, 4)])
@pytest.mark.parametrize("tile", [(256, 64), (2, 3)])
def test_copies(
    shape: tuple[int, ...], tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "TILE", tile)
    rng = np.random.default_rng(0)
    source = rng.standard_normal(shape)
    for target_order in range(4):
        order = rng.permutation(len(shape)) if target_order else np.arange(len(shape))
        target = np.empty(np.array(shape, int)[order]).transpose(np.argsort(order))
        in_order(copies(target, source))()
        np.testing.assert_array_equal(target, source)


@pytest.mark.parametrize(
    ("call", "x", "reason"),
    [
        ('pad(%x) {pads = [1, 1], mode = "edge"}', "f32[3]", "the mode is edge, not constant"),
        ("concat(%x) {axis = 0}", "str[3]", "%x holds strings"),
    ],
)
def test_what_is_left_to_the_reference(call: str, x: str, reason: str) -> None:
    check_unsupported(PROVIDER, call, {"x": x}, match=reason)
