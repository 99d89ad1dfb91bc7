"""Normalizations and sums against double precision."""

from __future__ import annotations

import pytest

from gie_core.testing.kernels import check_node, check_unsupported
from gie_kernels_cpu import lrn, normalization, softmax
from gie_kernels_cpu.provider import CpuProvider

# call, inputs by name
CASES: list[tuple[str, dict[str, str]]] = [
    ("softmax(%x) {axis = 1}", {"x": "n, 10"}),
    ("softmax(%x) {axis = 1}", {"x": "2, 5, 3, 4"}),
    ("softmax(%x) {axis = 3}", {"x": "2, 5, 3, 4"}),
    ("softmax(%x) {axis = 0}", {"x": "0, 3"}),
    ("softmax(%x) {axis = 0}", {"x": "3"}),
    ("layer_norm(%x, %s, %b) {axis = 2}", {"x": "n, 3, 8", "s": "8", "b": "8"}),
    ("layer_norm(%x, %s) {axis = 1}", {"x": "4, 3, 8", "s": "3, 8"}),
    ("layer_norm(%x, %s) {axis = 0, epsilon = 0.5}", {"x": "4, 3", "s": "1, 3"}),
    ("layer_norm(%x, %s) {axis = 1}", {"x": "0, 3", "s": "3"}),
    ("instance_norm(%x, %s, %b)", {"x": "n, 3, 4, 5", "s": "3", "b": "3"}),
    ("instance_norm(%x, %s, %b) {epsilon = 0.1}", {"x": "2, 3, 7", "s": "3", "b": "3"}),
    ("group_norm(%x, %s, %b) {groups = 2}", {"x": "n, 6, 4, 3", "s": "6", "b": "6"}),
    ("group_norm(%x, %s, %b) {groups = 3}", {"x": "2, 6", "s": "6", "b": "6"}),
    ("lrn(%x) {size = 5}", {"x": "n, 8, 3, 4"}),
    ("lrn(%x) {size = 4, alpha = 0.5, beta = 0.5, bias = 2.0}", {"x": "2, 5, 3"}),
    ("lrn(%x) {size = 9, alpha = 2.0, beta = 1.25}", {"x": "2, 3, 3"}),
    ("lrn(%x) {size = 1}", {"x": "2, 3"}),
    ("lrn(%x) {size = 3}", {"x": "0, 3, 4, 4"}),
    ("reduce_sum(%x) {axes = [2, 3]}", {"x": "n, 3, 4, 5"}),
    ("reduce_mean(%x) {axes = [2, 3]}", {"x": "n, 3, 7, 7"}),
    ("reduce_mean(%x) {axes = [1], keep_dims = false}", {"x": "6, 9"}),
    ("reduce_sum(%x) {axes = [0, 1], keep_dims = false}", {"x": "6, 9"}),
    ("reduce_mean(%x) {axes = [2, 3], keep_dims = false}", {"x": "2, 3, 4, 5"}),
    ("reduce_mean(%x) {axes = [1]}", {"x": "0, 9"}),
]


@pytest.mark.parametrize(("call", "shapes"), CASES)
@pytest.mark.parametrize("block", [softmax.BLOCK, 20], ids=["at once", "in parts"])
@pytest.mark.parametrize("dtype", ["f32", "f64", "f16"])
def test_normalization(
    call: str, shapes: dict[str, str], dtype: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (normalization, lrn, softmax):
        monkeypatch.setattr(module, "BLOCK", block)
    check_node(CpuProvider(), call, {n: f"{dtype}[{dims}]" for n, dims in shapes.items()})


@pytest.mark.parametrize("x", ["n, 3, 4, 5", "n, 3", "7", "0, 3, 2"])
@pytest.mark.parametrize("dtype", ["f32", "f64", "bf16"])
@pytest.mark.parametrize("known", [0, 2, 4], ids="{} constants".format)
def test_batch_norm(x: str, dtype: str, known: int) -> None:
    channels = 3 if "," in x else 1
    names = ["scale", "bias", "mean", "variance"]
    constants = dict.fromkeys(names[:known], f"{dtype}[{channels}]")
    others = dict.fromkeys(names[known:], f"{dtype}[{channels}]")
    # The variance is random too, so a large epsilon keeps it positive.
    call = "batch_norm(%x, %scale, %bias, %mean, %variance) {epsilon = 9.0}"
    check_node(CpuProvider(), call, {"x": f"{dtype}[{x}]", **others}, constants)


def test_constant_scales() -> None:
    inputs, constants = {"x": "f32[2, 3, 4]"}, {"s": "f32[3]", "b": "f32[3]"}
    check_node(CpuProvider(), "instance_norm(%x, %s, %b)", inputs, constants)


@pytest.mark.parametrize(
    ("call", "x", "reason"),
    [
        ("reduce_sum(%x) {axes = [0]}", "f32[2, 3]", "the axes [0] are not the last ones"),
        ("reduce_sum(%x)", "f32[2, 3]", "the axes [] are not the last ones"),
        ("reduce_mean(%x) {axes = [1]}", "f32[2, 0]", "a row has not 1 to 4096 elements"),
        ("reduce_mean(%x) {axes = [1]}", "i32[2, 3]", "%x is i32"),
        ("reduce_max(%x) {axes = [1]}", "f32[2, 3]", "its reference is as fast"),
    ],
)
def test_what_is_left_to_the_reference(call: str, x: str, reason: str) -> None:
    check_unsupported(CpuProvider(), call, {"x": x}, match=reason)
