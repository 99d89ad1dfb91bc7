"""Depthwise and 1×1 convolutions, by themselves and in groups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gie_core.ir.parser import parse_graph
from gie_core.ir.types import Array
from gie_core.kernels.provider import KernelError, Memory
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST
from gie_core.testing.kernels import check_graph, check_node, check_unsupported
from gie_kernels_numba import product
from gie_kernels_numba.provider import NumbaProvider

PROVIDER = NumbaProvider()

# x, weight, attributes
GEOMETRIES = [
    ("f32[2, 8, 9, 10]", "f32[8, 1, 3, 3]", "pads = [1, 1, 1, 1]"),
    ("f32[1, 5, 9, 10]", "f32[5, 1, 3, 3]", "strides = [2, 3], pads = [2, 0, 0, 1]"),
    ("f32[1, 4, 9, 12]", "f32[4, 1, 3, 3]", "dilations = [2, 3], pads = [1, 2, 3, 4]"),
    ("f32[1, 3, 2, 2]", "f32[3, 1, 3, 3]", "pads = [2, 2, 2, 2]"),
    ("f32[2, 4, 7, 8]", "f32[4, 1, 1, 5]", "pads = [0, 2, 0, 2]"),
    ("f32[1, 3, 12, 12]", "f32[3, 1, 7, 7]", "pads = [3, 3, 3, 3]"),
    ("f32[1, 1, 5, 5]", "f32[1, 1, 3, 3]", ""),
    ("f32[0, 3, 5, 5]", "f32[3, 1, 3, 3]", ""),
]


@pytest.mark.parametrize(("x", "weight", "attributes"), GEOMETRIES)
def test_geometry(x: str, weight: str, attributes: str) -> None:
    channels = weight[4 : weight.index(",")]
    call = f"conv(%x, %w, %b) {{groups = {channels}, {attributes}}}"
    bias = {"b": f"f32[{channels}]"}
    check_node(PROVIDER, call.replace(", }", "}"), {"x": x}, {"w": weight, **bias})


def group(body: str, inputs: dict[str, str], constants: dict[str, str]) -> str:
    """A graph with one group; %y is its result."""
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
            "return %y }} return %y }",
        ]
    )


def program(text: str, *operands: str) -> str:
    return f"pointwise({', '.join(operands)}) {{program = `({X}{text}`}}"


X = "x[n,c,h,w]: f32"
CONV = "%a = conv(%x, %w) {pads = [1, 1, 1, 1], groups = 8}"
BIAS = "%a = conv(%x, %w, %b) {pads = [1, 1, 1, 1], groups = 8}"
RELU6 = program(") -> min(max(x, 0.0), 6.0)", "%a")
IMAGE, VECTOR, WEIGHT = "f32[2, 8, 6, 7]", "f32[8]", {"w": "f32[8, 1, 3, 3]"}
LIKE = {"x": IMAGE}

# name, body, inputs, constants
GROUPS = [
    ("bias, clip", f"{BIAS} %y = {RELU6}", LIKE, WEIGHT | {"b": VECTOR}),
    (
        "hard swish",
        f"{CONV} %y = {program(') -> x * min(max(x / 6.0 + 0.5, 0.0), 1.0)', '%a')}",
        LIKE,
        WEIGHT,
    ),
    (
        "sigmoid",
        f"{CONV} %y = {program(') -> x / (1.0 + exp(-x))', '%a')}",
        LIKE,
        WEIGHT,
    ),
    (
        "residual, per channel",
        f"{CONV} %y = {program(', r[n,c,h,w]: f32, s[c]: f32) -> x * s + r', '%a', '%r', '%s')}",
        LIKE | {"r": IMAGE},
        WEIGHT | {"s": VECTOR},
    ),
    (
        "residual is x",
        f"{CONV} %y = {program(', r[n,c,h,w]: f32) -> max(x + r, 0.0)', '%a', '%x')}",
        LIKE,
        WEIGHT,
    ),
    (
        "two programs, names of one kind",
        f"{CONV} %b = {RELU6} %y = {program(', r[n,c]: f32) -> max(x, r)', '%b', '%r')}",
        LIKE | {"r": "f32[2, 8]"},
        WEIGHT,
    ),
]


@pytest.mark.parametrize(
    ("body", "inputs", "constants"), [case[1:] for case in GROUPS], ids=[case[0] for case in GROUPS]
)
def test_group(body: str, inputs: dict[str, str], constants: dict[str, str]) -> None:
    check_graph(PROVIDER, group(body, inputs, constants))


ADDED = program(", r[n,c,h,w]: f32, s[c]: f32) -> max(x + r, 0.0) * s", "%a", "%r", "%s")
RESIDUAL = {"x": "f32[2, 3, 6, 7]", "r": "f32[2, 9, 6, 7]"}

# name, body, inputs, constants
PRODUCTS = [
    (
        "bias, clip",
        f"%a = conv(%x, %w, %b) %y = {RELU6}",
        {"x": "f32[2, 3, 6, 7]"},
        {"w": "f32[9, 3, 1, 1]", "b": "f32[9]"},
    ),
    (
        "residual, per channel",
        f"%a = conv(%x, %w) %y = {ADDED}",
        RESIDUAL,
        {"w": "f32[9, 3, 1, 1]", "s": "f32[9]"},
    ),
    (
        "one channel, one row",
        f"%a = conv(%x, %w) %y = {RELU6}",
        {"x": "f32[1, 5, 1, 1]"},
        {"w": "f32[1, 5, 1, 1]"},
    ),
]


@pytest.mark.parametrize("rows", [4, 1000])
@pytest.mark.parametrize(
    ("body", "inputs", "constants"), [case[1:] for case in PRODUCTS], ids=[c[0] for c in PRODUCTS]
)
def test_product(
    body: str,
    inputs: dict[str, str],
    constants: dict[str, str],
    rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(product, "BLOCK", 1)
    monkeypatch.setattr(product, "ROWS", rows)
    check_graph(PROVIDER, group(body, inputs, constants))


def test_product_with_bias_alone() -> None:
    constants = {"w": "f32[4, 3, 1, 1]", "b": "f32[4]"}
    check_node(PROVIDER, "conv(%x, %w, %b)", {"x": "f32[2, 3, 5, 5]"}, constants)


@pytest.mark.parametrize(
    ("call", "inputs", "constants", "reason"),
    [
        ("conv(%x, %w)", {"x": "f32[1, 3, 5, 5]"}, {"w": "f32[3, 3, 3, 3]"}, "no depthwise"),
        ("conv(%x, %w)", {"x": "f32[1, 3, 5, 5]"}, {"w": "f32[3, 3, 3, 3]"}, "no 1×1"),
        ("conv(%x, %w)", {"x": "f32[1, 3, 5, 5]"}, {"w": "f32[3, 3, 1, 1]"}, "nothing to do"),
        (
            "conv(%x, %w) {groups = 3}",
            {"x": "f32[1, 3, 5, 5]"},
            {"w": "f32[6, 1, 3, 3]"},
            "no depthwise",
        ),
        (
            "conv(%x, %w) {groups = 3}",
            {"x": "f32[1, 3, 5, 5]", "w": "f32[3, 1, 3, 3]"},
            {},
            "%w is not constant",
        ),
        ("conv(%x, %w) {groups = 3}", {"x": "f16[1, 3, 5, 5]"}, {"w": "f16[3, 1, 3, 3]"}, "f16"),
    ],
)
def test_refuses(call: str, inputs: dict[str, str], constants: dict[str, str], reason: str) -> None:
    check_unsupported(PROVIDER, call, inputs, constants, match=reason)


FORGED: dict[str, Callable[[list[Array]], list[Array]]] = {
    "smaller weight": lambda c: [c[0][:8], c[1]],
    "smaller bias": lambda c: [c[0], c[1][:7]],
    "a bias too many": lambda c: [*c, c[1]],
    "no bias": lambda c: c[:1],
    "another type": lambda c: [c[0].astype(np.float64), c[1]],
    "turned": lambda c: [c[0].T, c[1]],
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_packed_weights_that_nobody_packed_are_refused(
    forge: Callable[[list[Array]], list[Array]],
) -> None:
    """They may come from an engine file, and a loop would read beyond their end."""
    graph = parse_graph(
        'graph g { input %x: f32[1, 8, 6, 7] const %w: f32[8, 1, 3, 3] = blob "w" '
        "%y = conv(%x, %w) {groups = 8} return %y }",
        core_ops(),
        {"w": np.ones((8, 1, 3, 3), np.float32)},
    )
    (node,) = graph.nodes
    (candidate,) = PROVIDER.candidates(node, HOST)
    packed = [*PROVIDER.prepack(node, candidate.name)]
    x, y = np.zeros((1, 6, 7, 8), np.float32), np.zeros((1, 4, 5, 8), np.float32)
    images = (np.moveaxis(x, -1, 1), None), (np.moveaxis(y, -1, 1),)
    PROVIDER.bind(node, candidate.name, Memory(*images, tuple(packed)))
    with pytest.raises(KernelError, match="its packed weights are"):
        PROVIDER.bind(node, candidate.name, Memory(*images, tuple(forge(packed))))
