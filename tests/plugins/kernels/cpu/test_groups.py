"""Groups: the body's answers, whatever of it runs in place."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from gie_core.ops import core_ops
from gie_core.runtime.target import HOST
from gie_core.testing.kernels import check_graph, check_unsupported, relative_error
from gie_core.testing.passes import parse_with_blobs
from gie_kernels_cpu import convolution
from gie_kernels_cpu.program import CompiledProgram
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
LIKE = {"x": "f32[n, 4, 6, 7]"}
W3, W1, WD = {"w": "f32[5, 4, 3, 3]"}, {"w": "f32[5, 4, 1, 1]"}, {"w": "f32[4, 1, 3, 3]"}
CONV3 = "%a = conv(%x, %w) {pads = [1, 1, 1, 1]}"
CONV1 = "%a = conv(%x, %w)"
CONVD = "%a = conv(%x, %w) {pads = [1, 1, 1, 1], groups = 4}"
BIAS = "%a = conv(%x, %w, %b) {pads = [1, 1, 1, 1]}"

# name, body, inputs, constants
GROUPS: list[tuple[str, str, dict[str, str], dict[str, str]]] = [
    ("3x3, relu", f"{CONV3} %y = {pointwise(RELU, '%a')}", LIKE, W3),
    ("1x1, relu", f"{CONV1} %y = {pointwise(RELU, '%a')}", LIKE, W1),
    ("depthwise, relu", f"{CONVD} %y = {pointwise(RELU, '%a')}", LIKE, WD),
    ("bias, relu", f"{BIAS} %y = {pointwise(RELU, '%a')}", LIKE, W3 | {"b": "f32[5]"}),
    ("weight as input", f"{CONV3} %y = {pointwise(RELU, '%a')}", LIKE | W3, {}),
    (
        "residual",
        f"{CONV3} %y = {pointwise(ADD_RELU, '%a', '%r')}",
        LIKE | {"r": "f32[n, 5, 6, 7]"},
        W3,
    ),
    (
        "residual first",
        f"{CONV1} %y = {pointwise(ADD_RELU, '%r', '%a')}",
        LIKE | {"r": "f32[n, 5, 6, 7]"},
        W1,
    ),
    ("per channel", f"{CONV3} %y = {pointwise(SCALE, '%a', '%s')}", LIKE, W3 | {"s": "f32[5]"}),
    ("prologue", f"%p = {pointwise(RELU, '%x')} %y = conv(%p, %w)", LIKE, W1),
    (
        "prologue and epilogue",
        f"%p = {pointwise(RELU, '%x')} %a = conv(%p, %w) %y = {pointwise(RELU, '%a')}",
        LIKE,
        W1,
    ),
    (
        "prologue read by the epilogue",
        f"%p = {pointwise(RELU, '%x')} {CONVD.replace('%x', '%p')} "
        f"%y = {pointwise(ADD_RELU, '%a', '%p')}",
        LIKE,
        WD,
    ),
    (
        "operand made after the kernel",
        f"{CONVD} %p = {pointwise(RELU, '%x')} %y = {pointwise(ADD_RELU, '%a', '%p')}",
        LIKE,
        WD,
    ),
    (
        "result read twice",
        f"{CONV1} %y = {pointwise(ADD_RELU, '%a', '%a')}",
        LIKE,
        W1,
    ),
    (
        "axes exchanged",
        f"{CONV1} %y = {pointwise('(x[n,c,h,w]: f32) over [h,w,n,c] -> -x', '%a')}",
        LIKE,
        W1,
    ),
    (
        "another type",
        f"{CONV1} %y = {pointwise(f'({X}) -> x > 0.0', '%a')}",
        LIKE,
        W1,
    ),
    (
        "two programs",
        f"{CONV1} %b = {pointwise(RELU, '%a')} %y = {pointwise(RELU, '%b')}",
        LIKE,
        W1,
    ),
    ("pool", f"%a = max_pool(%x) {{kernel = [2, 2]}} %y = {pointwise(RELU, '%a')}", LIKE, {}),
    ("no kernel", f"%a = reduce_max(%x) {{axes = [2]}} %y = {pointwise(RELU, '%a')}", LIKE, {}),
    (
        "product",
        "%a = gemm(%x, %w) %y = "
        + pointwise("(x[n,c]: f32, b[c]: f32) -> max(x + b, 0.0)", "%a", "%b"),
        {"x": "f32[n, 6]"},
        {"w": "f32[6, 5]", "b": "f32[5]"},
    ),
    (
        "stacked products",
        "%a = matmul(%x, %w) %y = " + pointwise("(x[a,b,c]: f32) -> x * 0.5", "%a"),
        {"x": "f32[2, n, 6]", "w": "f32[2, 6, 5]"},
        {},
    ),
]


@pytest.mark.parametrize(
    ("body", "inputs", "constants"), [g[1:] for g in GROUPS], ids=[g[0] for g in GROUPS]
)
@pytest.mark.parametrize("small", [False, True], ids=["at once", "in parts"])
def test_group(
    body: str,
    inputs: dict[str, str],
    constants: dict[str, str],
    small: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if small:
        monkeypatch.setattr(convolution, "WORKSPACE", 1500)
    check_graph(CpuProvider(), group(body, inputs, constants))


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f64"])
@pytest.mark.parametrize(("conv", "weight"), [(CONV3, W3), (CONV1, W1), (CONVD, WD)])
def test_types(conv: str, weight: dict[str, str], dtype: str) -> None:
    text = group(f"{conv} %y = {pointwise(RELU, '%a')}", LIKE, weight)
    check_graph(CpuProvider(), text.replace("f32", dtype))


@pytest.mark.parametrize(
    ("name", "in_place"),
    [
        ("3x3, relu", True),
        ("1x1, relu", True),
        ("depthwise, relu", True),
        ("residual first", True),
        ("product", True),
        ("stacked products", True),
        ("prologue read by the epilogue", True),
        ("operand made after the kernel", False),
        ("result read twice", False),
        ("axes exchanged", False),
        ("another type", False),
    ],
)
def test_what_runs_in_place(name: str, in_place: bool) -> None:
    _, body, inputs, constants = next(g for g in GROUPS if g[0] == name)
    run = CompiledProgram.__call__
    with mock.patch.object(CompiledProgram, "__call__", autospec=True, side_effect=run) as calls:
        check_graph(CpuProvider(), group(body, inputs, constants))
    overwrites = [len(call.args) > 2 and call.args[2] is not None for call in calls.mock_calls]
    assert overwrites
    assert any(overwrites) == in_place


def test_constants_are_packed_through_the_group() -> None:
    text = group(f"{CONV3} %y = {pointwise(RELU, '%a')}", {"x": "f32[1, 4, 6, 7]"}, W3)
    graph = parse_with_blobs(text, core_ops())
    (node,) = graph.nodes
    kernel = CpuProvider().kernel(node, HOST)
    x = np.random.default_rng(0).standard_normal((1, 4, 6, 7), dtype=np.float32)
    weight = graph.constants[0].data
    assert weight is not None
    (right,) = kernel(node.op, [x, weight])
    (answer,) = kernel(node.op, [x, np.full_like(weight, np.nan)])  # only its shape is looked at
    assert relative_error(answer, right) == 0


def test_body_without_a_kernel() -> None:
    body = (
        'graph b { input %x: f32[2] %y: f32[2] = foreign(%x) {domain = "a", op = "Odd"} return %y }'
    )
    check_unsupported(
        CpuProvider(),
        f'group(%x) {{kind = "k", body = {body}}}',
        {"x": "f32[2]"},
        match="%y in the body: foreign has no kernel here",
    )


def test_body_of_references_only() -> None:
    body = "graph b { input %x: f32[2] %y = reduce_max(%x) return %y }"
    check_unsupported(
        CpuProvider(),
        f'group(%x) {{kind = "k", body = {body}}}',
        {"x": "f32[2]"},
        match="no node of the body has a kernel here",
    )


def test_body_with_symbolic_attributes() -> None:
    body = "graph b { input %x: f32[n] %y = expand(%x) {shape = [2, n]} return %y }"
    check_unsupported(
        CpuProvider(),
        f'group(%x) {{kind = "k", body = {body}}}',
        {"x": "f32[n]"},
        match="%y in the body has symbolic attributes",
    )
