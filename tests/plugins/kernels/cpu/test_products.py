"""Matrix products against double precision."""

from __future__ import annotations

import numpy as np
import pytest

from gie_core.ir.parser import parse_graph
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST
from gie_core.testing.kernels import check_node, check_unsupported
from gie_kernels_cpu import gemm
from gie_kernels_cpu.provider import CpuProvider

# a, b
MATMULS = [
    ("n, 5", "5, 7"),
    ("1, 5", "5, 7"),
    ("2, n, 4", "2, 4, 3"),
    ("3, 1, 2, 4", "5, 4, 3"),
    ("4", "4"),
    ("4", "2, 4, 3"),
    ("4", "4, 3"),
    ("2, 3, 4", "4"),
    ("2, 3, 4", "4, 2"),
    ("0, 5", "5, 7"),
    ("3, 0", "0, 2"),
]


@pytest.mark.parametrize(("a", "b"), MATMULS)
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "input"])
def test_matmul(a: str, b: str, constant: bool) -> None:
    left, right = {"a": f"f32[{a}]"}, {"b": f"f32[{b}]"}
    if constant:
        check_node(CpuProvider(), "matmul(%a, %b)", left, right)
    else:
        check_node(CpuProvider(), "matmul(%a, %b)", left | right)


def test_matmul_with_a_constant_left_side() -> None:
    check_node(CpuProvider(), "matmul(%a, %b)", {"b": "f32[4, 3]"}, {"a": "f32[2, 4]"})


# attributes, a, b, c
GEMMS = [
    ("", "n, 5", "5, 7", "7"),
    ("transpose_b = true", "n, 5", "7, 5", "7"),
    ("transpose_a = true", "5, 3", "5, 7", "3, 7"),
    ("transpose_a = true, transpose_b = true", "5, 3", "7, 5", "3, 1"),
    ("alpha = 0.5, beta = 2.0", "3, 5", "5, 7", ""),
    ("alpha = 0.25, transpose_b = true", "3, 5", "7, 5", "1, 7"),
    ("beta = -1.0", "1, 5", "5, 7", "7"),
    ("", "0, 5", "5, 7", "7"),
    ("", "3, 0", "0, 7", "7"),
]


@pytest.mark.parametrize(("attributes", "a", "b", "c"), GEMMS)
@pytest.mark.parametrize("constant", [(), ("b",), ("c",), ("b", "c")], ids="".join)
def test_gemm(attributes: str, a: str, b: str, c: str, constant: tuple[str, ...]) -> None:
    types = {"a": f"f32[{a}]", "b": f"f32[{b}]", "c": f"f32[{c}]"}
    inputs = {name: type_ for name, type_ in types.items() if name not in constant}
    constants = {name: types[name] for name in constant}
    check_node(CpuProvider(), f"gemm(%a, %b, %c) {{{attributes}}}", inputs, constants)


def test_gemm_without_addend() -> None:
    check_node(CpuProvider(), "gemm(%a, %b)", {"a": "f32[3, 4]"}, {"b": "f32[4, 5]"})


def test_weights_that_need_not_change_are_not_copied() -> None:
    text = """graph g {
      input %x: f32[2, 3]
      const %w: f32[2, 3] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
      const %c: f32[2] = [1.0, 2.0]
      %y = gemm(%x, %w, %c) {transpose_b = true}
      return %y
    }"""
    (node,) = parse_graph(text, core_ops()).nodes
    (candidate, *_) = CpuProvider().candidates(node, HOST)
    packed = CpuProvider().prepack(node, candidate.name)
    constants = [v.data for v in node.operands if v is not None and v.data is not None]
    assert [np.may_share_memory(*pair) for pair in zip(packed, constants, strict=True)] == [
        True
    ] * 2


def test_narrow_weights_are_widened_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemm, "BLOCK", 32)
    for columns in "f32[16, 5]", "f32[5, 16]":
        transposed = str(columns == "f32[5, 16]").lower()
        call = f"gemm(%a, %b) {{transpose_b = {transposed}}}"
        check_node(CpuProvider(), call, {"a": "f32[3, 16]"}, {"b": columns}, only="16")


@pytest.mark.parametrize("dtype", ["f64", "f16", "bf16"])
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "input"])
@pytest.mark.parametrize("call", ["matmul(%a, %b)", "gemm(%a, %b) {alpha = 1.5}"])
def test_types(call: str, dtype: str, constant: bool) -> None:
    left, right = {"a": f"{dtype}[3, 16]"}, {"b": f"{dtype}[16, 5]"}
    if constant:
        check_node(CpuProvider(), call, left, right)
    else:
        check_node(CpuProvider(), call, left | right)


@pytest.mark.parametrize("call", ["matmul(%a, %b)", "gemm(%a, %b)"])
def test_integers_are_left_to_the_reference(call: str) -> None:
    inputs = {"a": "i32[2, 3]", "b": "i32[3, 2]"}
    check_unsupported(CpuProvider(), call, inputs, match="%a is i32, not f16, bf16, f32")
