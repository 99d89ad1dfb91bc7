"""Groups: the body's answers, by every candidate of its kernel."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gie_core.ir.graph import Node
from gie_core.ir.types import DType
from gie_core.kernels.candidate import Candidate
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST, Target
from gie_core.testing.kernels import check_graph
from gie_core.testing.passes import parse_with_blobs
from gie_kernels_cpu import (
    depthwise_planes,
    depthwise_rows,
    im2col,
    pointwise_convolution,
    winograd,
)
from gie_kernels_cpu.provider import CpuProvider


def group(
    body: str, inputs: dict[str, str], constants: dict[str, str] | None = None, result: str = "%y"
) -> str:
    """A graph with one group; the body's text ends before its ``return``."""
    constants = constants or {}
    types = inputs | constants
    return "\n".join(
        [
            "graph main {",
            *(f"input %{name}: {type_}" for name, type_ in inputs.items()),
            *(f'const %{name}: {type_} = blob "{name}"' for name, type_ in constants.items()),
            f"%y = group({', '.join(f'%{name}' for name in types)}) "
            '{kind = "epilogue", body = graph epilogue {',
            *(f"input %{name}: {type_}" for name, type_ in types.items()),
            body,
            f"return {result} }}}}",
            "return %y }",
        ]
    )


def pointwise(program: str, *operands: str) -> str:
    return f"pointwise({', '.join(operands)}) {{program = `{program}`}}"


X = "x[n,c,h,w]: f32"
RELU = f"({X}) -> max(x, 0.0)"
ADD_RELU = f"({X}, r[n,c,h,w]: f32) -> max(x + r, 0.0)"
SCALE = f"({X}, s[c]: f32) -> x * s"
LIKE = {"x": "f32[n, 8, 6, 7]"}
W3, W1, WD = {"w": "f32[9, 8, 3, 3]"}, {"w": "f32[9, 8, 1, 1]"}, {"w": "f32[8, 1, 3, 3]"}
CONV3 = "%a = conv(%x, %w) {pads = [1, 1, 1, 1]}"
CONV1 = "%a = conv(%x, %w)"
CONVD = "%a = conv(%x, %w) {pads = [1, 1, 1, 1], groups = 8}"
CONVT = "%a = conv_transpose(%x, %w) {strides = [2, 2]}"
BIAS = "%a = conv(%x, %w, %b) {pads = [1, 1, 1, 1]}"
TOLERANCE = {DType.F32: 3e-6}

# name, body, inputs, constants
GROUPS: list[tuple[str, str, dict[str, str], dict[str, str]]] = [
    ("3x3, relu", f"{CONV3} %y = {pointwise(RELU, '%a')}", LIKE, W3),
    ("1x1, relu", f"{CONV1} %y = {pointwise(RELU, '%a')}", LIKE, W1),
    ("depthwise, relu", f"{CONVD} %y = {pointwise(RELU, '%a')}", LIKE, WD),
    ("transposed, relu", f"{CONVT} %y = {pointwise(RELU, '%a')}", LIKE, {"w": "f32[8, 3, 2, 2]"}),
    ("bias, relu", f"{BIAS} %y = {pointwise(RELU, '%a')}", LIKE, W3 | {"b": "f32[9]"}),
    ("weight as input", f"{CONV3} %y = {pointwise(RELU, '%a')}", LIKE | W3, {}),
    (
        "residual",
        f"{CONV3} %y = {pointwise(ADD_RELU, '%a', '%r')}",
        LIKE | {"r": "f32[n, 9, 6, 7]"},
        W3,
    ),
    (
        "residual first",
        f"{CONV1} %y = {pointwise(ADD_RELU, '%r', '%a')}",
        LIKE | {"r": "f32[n, 9, 6, 7]"},
        W1,
    ),
    ("residual is x", f"{CONVD} %y = {pointwise(ADD_RELU, '%a', '%x')}", LIKE, WD),
    ("per channel", f"{CONV3} %y = {pointwise(SCALE, '%a', '%s')}", LIKE, W3 | {"s": "f32[9]"}),
    (
        "two programs",
        f"{CONV1} %b = {pointwise(RELU, '%a')} %y = {pointwise(ADD_RELU, '%b', '%r')}",
        LIKE | {"r": "f32[n, 9, 6, 7]"},
        W1,
    ),
]
CASES = [pytest.param(*case, id=name) for name, *case in GROUPS]


class Only(CpuProvider):
    """Offers the candidates that store something in 16 bits, or the others."""

    def __init__(self, narrow: bool) -> None:
        super().__init__()
        self._narrow = narrow

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        found = super().candidates(node, target)
        return [c for c in found if ("f16" in c.name) == self._narrow]  # bf16 has it too


@pytest.mark.parametrize(("body", "inputs", "constants"), CASES)
@pytest.mark.parametrize("small", [False, True], ids=["at once", "in parts"])
def test_group(
    body: str,
    inputs: dict[str, str],
    constants: dict[str, str],
    small: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if small:
        for module in (im2col, pointwise_convolution):
            monkeypatch.setattr(module, "WORKSPACE", 1500)
        for module in (depthwise_planes, depthwise_rows):
            monkeypatch.setattr(module, "BLOCK", 100)
        monkeypatch.setattr(winograd, "CHUNK", 10_000)
    check_graph(Only(narrow=False), group(body, inputs, constants), tolerance=TOLERANCE)


@pytest.mark.parametrize(("body", "inputs", "constants"), CASES[::3])
def test_narrow_storage(body: str, inputs: dict[str, str], constants: dict[str, str]) -> None:
    check_graph(Only(narrow=True), group(body, inputs, constants), tolerance=1.5e-2)


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f64"])
@pytest.mark.parametrize(("conv", "weight"), [(CONV3, W3), (CONV1, W1), (CONVD, WD)])
def test_types(conv: str, weight: dict[str, str], dtype: str) -> None:
    text = group(f"{conv} %y = {pointwise(RELU, '%a')}", LIKE, weight)
    check_graph(CpuProvider(), text.replace("f32", dtype))


@pytest.mark.parametrize(
    ("body", "constants", "reason"),
    [
        (f"%p = {pointwise(RELU, '%x')} %y = conv(%p, %w)", W1, "no kernel of pointwise"),
        (f"{CONV1} %y = {pointwise(ADD_RELU, '%a', '%a')}", W1, "no program that reads"),
        (
            f"{CONV1} %y = {pointwise('(x[n,c,h,w]: f32) over [h,w,n,c] -> -x', '%a')}",
            W1,
            "%y can't be computed in place of %a",
        ),
        (f"{CONV1} %y = {pointwise(f'({X}) -> x > 0.0', '%a')}", W1, "can't be computed in place"),
        (
            f"{CONV1} %b = {pointwise(RELU, '%a')} %y = {pointwise(ADD_RELU, '%a', '%b')}",
            W1,
            "%a is read elsewhere too",
        ),
        (f"{CONV1} %y = max_pool(%a) {{kernel = [2, 2]}}", W1, "%y is no program"),
        (f"%a = reduce_max(%x) {{axes = [2]}} %y = {pointwise(RELU, '%a')}", {}, "reduce_max"),
        ("%y = conv(%x, %w)", W1, "no kernel with programs behind it"),
    ],
)
def test_what_runs_apart(body: str, constants: dict[str, str], reason: str) -> None:
    text = group(body, {"x": "f32[2, 8, 6, 7]"}, constants)
    (node,) = parse_with_blobs(text, core_ops()).nodes
    support = CpuProvider().supports(node, HOST)
    assert not support.ok
    assert reason in support.reason


def test_group_of_unknown_shape() -> None:
    text = group(f"{CONV3} %y = {pointwise(RELU, '%a')}", LIKE, W3)
    (node,) = parse_with_blobs(text, core_ops()).nodes
    support = CpuProvider().supports(node, HOST)
    assert support.open


def test_constants_are_packed_through_the_group() -> None:
    text = group(f"{CONV3} %y = {pointwise(RELU, '%a')}", {"x": "f32[1, 8, 6, 7]"}, W3)
    (node,) = parse_with_blobs(text, core_ops()).nodes
    for candidate in CpuProvider().candidates(node, HOST):
        assert candidate.operands[1] is None
        (packed,) = CpuProvider().prepack(node, candidate.name)
        assert packed.size >= 9 * 8 * 9
