"""The provider as the host meets it."""

from __future__ import annotations

import pytest

from gie_core.builder.kernels import KernelError
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
        ("concat(%x) {axis = 0}", {"x": "f32[2]"}, "its reference is as fast"),
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
    provider = CpuProvider({Conv: METHODS[Conv][:2]})
    inputs = {"x": "f32[1, 2, 4, 4]", "w": "f32[2, 2, 3, 3]"}
    check_unsupported(provider, "conv(%x, %w)", inputs, match="1×1; a group has more than one")


def test_kernel_of_an_unsupported_node() -> None:
    text = graph_text("concat(%x) {axis = 0}", {"x": "f32[2]"})
    (node,) = parse_with_blobs(text, core_ops()).nodes
    with pytest.raises(KernelError, match="no kernel for concat: "):
        CpuProvider().kernel(node, HOST)
