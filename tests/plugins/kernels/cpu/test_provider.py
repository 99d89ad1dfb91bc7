"""The provider as the host meets it."""

from __future__ import annotations

import pytest

from gie_core.ops import core_ops
from gie_core.ops.conv import Conv
from gie_core.runtime.target import HOST, Target
from gie_core.testing.kernels import check_unsupported, graph_text
from gie_core.testing.passes import parse_with_blobs
from gie_kernels_cpu.plugin import gie_kernel_providers
from gie_kernels_cpu.provider import METHODS, CpuProvider


def test_declaration() -> None:
    (declaration,) = gie_kernel_providers()
    declaration.check()
    assert (declaration.name, declaration.order, declaration.targets) == ("cpu", 100, ("host",))
    assert declaration.load() is CpuProvider


@pytest.mark.parametrize(
    ("call", "inputs", "reason"),
    [
        ("cumsum(%x) {axis = 0}", {"x": "f32[2]"}, "its reference is as fast"),
        ("log_softmax(%x) {axis = 0}", {"x": "f32[2]"}, "its reference is as fast"),
        ("softmax(%x) {axis = 0}", {"x": "f8e4m3[2]"}, "%x is f8e4m3, not f16, bf16, f32 or f64"),
    ],
)
def test_rejections(call: str, inputs: dict[str, str], reason: str) -> None:
    check_unsupported(CpuProvider(), call, inputs, match=reason)


def test_another_target() -> None:
    match = "these kernels run on the host"
    inputs = {"x": "f32[2]"}
    check_unsupported(CpuProvider(), "relu(%x)", inputs, match=match, target=Target("cuda"))


def test_reasons_of_all_methods_are_given() -> None:
    provider = CpuProvider({Conv: dict(list(METHODS[Conv].items())[:2])})
    inputs = {"x": "f32[1, 2, 4, 4]", "w": "f32[2, 2, 3, 3]"}
    check_unsupported(provider, "conv(%x, %w)", inputs, match="1×1; a group has more than one")


def test_unknown_shapes() -> None:
    match = "its shapes are not known before it runs"
    check_unsupported(CpuProvider(), "relu(%x)", {"x": "f32[n]"}, match=match)


def test_names_tell_the_method() -> None:
    inputs, constants = {"x": "f32[1, 9, 6, 6]"}, {"w": "f32[8, 9, 3, 3]"}
    (node,) = parse_with_blobs(graph_text("conv(%x, %w)", inputs, constants), core_ops()).nodes
    found = {candidate.name for candidate in CpuProvider().candidates(node, HOST)}
    methods = {"winograd 4x4", "winograd 2x2", "shifted", "im2col"}
    assert {f"{method} {order}" for method in methods for order in ("NCHW", "NHWC")} <= found
