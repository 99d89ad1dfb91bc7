"""Convolutions against explicit loops in float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from gie_core.ir.dims import parse_dim
from gie_core.ir.graph import Graph
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.conv import Conv, ConvInteger, ConvTranspose
from gie_core.ops.run import run_graph
from gie_core.testing.ops import check, check_rejected, draw


def contributions(
    windows: tuple[int, ...], weight: Array, strides: Any, pads: Any, dilations: Any
) -> Any:
    """Yields (window, kernel position, input position) for every pair."""
    rank = len(windows)
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    begins = (pads or (0,) * rank)[:rank]
    for window in np.ndindex(*windows):
        for k in np.ndindex(*weight.shape[2:]):
            geometry = zip(window, strides, k, dilations, begins, strict=True)
            yield window, k, tuple(p * s + i * d - b for p, s, i, d, b in geometry)


def slow_conv(
    x: Array, weight: Array, y_shape: tuple[int, ...], groups: int, **geometry: Any
) -> Array:
    y = np.zeros(y_shape)
    inputs, outputs = weight.shape[1], weight.shape[0] // groups
    for p, k, q in contributions(y_shape[2:], weight, **geometry):
        if all(0 <= i < n for i, n in zip(q, x.shape[2:], strict=True)):
            for o in range(weight.shape[0]):
                channels = slice(o // outputs * inputs, (o // outputs + 1) * inputs)
                y[(slice(None), o, *p)] += (
                    x[(slice(None), channels, *q)] @ weight[(o, slice(None), *k)]
                )
    return y


def slow_transpose(
    x: Array, weight: Array, y_shape: tuple[int, ...], groups: int, **geometry: Any
) -> Array:
    y = np.zeros(y_shape)
    inputs, outputs = x.shape[1] // groups, weight.shape[1]
    for p, k, q in contributions(x.shape[2:], weight, **geometry):
        if all(0 <= i < n for i, n in zip(q, y_shape[2:], strict=True)):
            for c, o in itertools.product(range(x.shape[1]), range(outputs)):
                to = c // inputs * outputs + o
                y[(slice(None), to, *q)] += x[(slice(None), c, *p)] * weight[(c, o, *k)]
    return y


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any], tuple[int, ...]]] = [
    # x, weight, attributes, spatial extents of y
    ((1, 1, 5), (1, 1, 3), {}, (3,)),
    ((2, 3, 6), (4, 3, 3), {"strides": (2,), "pads": (1, 1)}, (3,)),
    ((1, 2, 5, 6), (3, 2, 3, 2), {}, (3, 5)),
    ((1, 2, 5, 6), (3, 2, 1, 1), {"strides": (2, 3)}, (3, 2)),
    ((2, 2, 5, 6), (3, 2, 3, 3), {"pads": (1, 1, 1, 1)}, (5, 6)),
    ((1, 2, 5, 6), (3, 2, 3, 3), {"pads": (0, 2, 1, 0)}, (4, 6)),
    ((1, 2, 7, 7), (3, 2, 3, 3), {"dilations": (2, 3)}, (3, 1)),
    (
        (1, 2, 7, 8),
        (2, 2, 2, 3),
        {"strides": (2, 1), "dilations": (3, 2), "pads": (2, 0, 0, 1)},
        (3, 5),
    ),
    ((1, 4, 5, 5), (4, 1, 3, 3), {"groups": 4}, (3, 3)),
    ((1, 4, 5, 5), (8, 1, 3, 3), {"groups": 4}, (3, 3)),
    ((2, 6, 4, 4), (4, 3, 2, 2), {"groups": 2, "pads": (1, 0, 0, 1)}, (4, 4)),
    (
        (1, 2, 3, 4, 3),
        (2, 2, 2, 2, 2),
        {"strides": (1, 2, 1), "pads": (0, 0, 1, 0, 0, 0)},
        (2, 2, 3),
    ),
    ((1, 1, 1, 1), (2, 1, 3, 3), {"pads": (1, 1, 1, 1)}, (1, 1)),
    ((0, 2, 4, 4), (2, 2, 3, 3), {}, (2, 2)),
]


def geometry_of(attributes: dict[str, Any]) -> dict[str, Any]:
    return {"groups": 1, "strides": (), "pads": (), "dilations": (), **attributes}


@pytest.mark.parametrize(("x_shape", "weight_shape", "attributes", "extents"), CONVOLUTIONS)
@pytest.mark.parametrize("with_bias", [False, True])
def test_conv(
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    attributes: dict[str, Any],
    extents: tuple[int, ...],
    with_bias: bool,
) -> None:
    x, weight, bias = draw(*x_shape), draw(*weight_shape), draw(weight_shape[0])
    shape = (x_shape[0], weight_shape[0], *extents)
    expected = slow_conv(x, weight, shape, **geometry_of(attributes))
    if with_bias:
        expected += bias.reshape(-1, *[1] * len(extents))
    check(Conv(**attributes), x, weight, bias if with_bias else None, expect=expected)


@pytest.mark.parametrize("dtype", [DType.F64, DType.F16, DType.BF16])
def test_conv_rounds_once(dtype: DType) -> None:
    x, weight, bias = (
        draw(1, 64, 5, 5, dtype=dtype),
        draw(2, 64, 3, 3, dtype=dtype),
        draw(2, dtype=dtype),
    )
    wide = [a.astype(np.float64) for a in (x, weight, bias)]
    exact = slow_conv(wide[0], wide[1], (1, 2, 3, 3), **geometry_of({})) + wide[2].reshape(2, 1, 1)
    half_ulp = {DType.F64: 1e-13, DType.F16: 2.0**-11, DType.BF16: 2.0**-8}[dtype]
    check(Conv(), x, weight, bias, expect=exact, rtol=1.01 * half_ulp, atol=1e-5)


TRANSPOSES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any], tuple[int, ...]]] = [
    ((1, 1, 3), (1, 1, 3), {}, (5,)),
    ((2, 3, 4), (3, 2, 3), {"strides": (2,), "pads": (1, 1)}, (7,)),
    ((2, 3, 4), (3, 2, 3), {"strides": (2,), "pads": (1, 1), "output_pads": (1,)}, (8,)),
    ((1, 2, 3, 4), (2, 3, 3, 2), {"strides": (2, 3)}, (7, 11)),
    ((1, 2, 3, 4), (2, 3, 2, 2), {"strides": (3, 3), "output_pads": (1, 2)}, (9, 13)),
    ((1, 2, 3, 4), (2, 3, 3, 3), {"dilations": (2, 1), "pads": (1, 0, 2, 1)}, (4, 5)),
    ((1, 4, 3, 3), (4, 1, 2, 2), {"groups": 4, "strides": (2, 2)}, (6, 6)),
    ((2, 4, 3, 3), (4, 3, 2, 2), {"groups": 2}, (4, 4)),
    (
        (1, 2, 2, 3, 2),
        (2, 1, 2, 2, 2),
        {"strides": (1, 2, 2), "pads": (0, 1, 0, 1, 0, 0)},
        (2, 5, 4),
    ),
    ((0, 2, 4), (2, 2, 3), {}, (6,)),
]


@pytest.mark.parametrize(("x_shape", "weight_shape", "attributes", "extents"), TRANSPOSES)
@pytest.mark.parametrize("with_bias", [False, True])
def test_conv_transpose(
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    attributes: dict[str, Any],
    extents: tuple[int, ...],
    with_bias: bool,
) -> None:
    op = ConvTranspose(**attributes)
    x, weight, bias = draw(*x_shape), draw(*weight_shape), draw(weight_shape[1] * op.groups)
    shape = (x_shape[0], weight_shape[1] * op.groups, *extents)
    geometry = geometry_of({k: v for k, v in attributes.items() if k != "output_pads"})
    expected = slow_transpose(x, weight, shape, **geometry)
    if with_bias:
        expected += bias.reshape(-1, *[1] * len(extents))
    check(op, x, weight, bias if with_bias else None, expect=expected)


def test_conv_transpose_is_the_adjoint_of_conv() -> None:
    """⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩ with the same weight."""
    attributes: dict[str, Any] = {"strides": (2, 1), "pads": (1, 0, 0, 1), "groups": 2}
    x, weight = draw(2, 4, 6, 5, dtype=DType.F64), draw(6, 2, 3, 2, dtype=DType.F64)
    (forward,) = check(Conv(**attributes), x, weight)
    y = draw(*forward.shape, dtype=DType.F64)
    (back,) = check(ConvTranspose(**attributes, output_pads=(0, 0)), y, weight)
    assert back.shape == x.shape
    np.testing.assert_allclose((forward * y).sum(), (x * back).sum())


@pytest.mark.parametrize("x_type", [DType.U8, DType.I8])
@pytest.mark.parametrize("weight_type", [DType.U8, DType.I8])
@pytest.mark.parametrize("zero_points", ["none", "scalar", "per channel"])
def test_conv_integer(x_type: DType, weight_type: DType, zero_points: str) -> None:
    x, weight = draw(2, 4, 5, 5, dtype=x_type), draw(6, 2, 3, 3, dtype=weight_type)
    attributes: dict[str, Any] = {"groups": 2, "pads": (1, 0, 1, 0), "strides": (1, 2)}
    points: list[Array | None] = [None, None]
    if zero_points != "none":
        count = () if zero_points == "scalar" else (6,)
        points = [np.asarray(3, x_type.numpy), draw(*count, dtype=weight_type)]
    wide = [x.astype(float), weight.astype(float)]
    if points[0] is not None and points[1] is not None:
        wide[0] -= float(points[0])
        wide[1] -= points[1].astype(float).reshape(-1, 1, 1, 1)
    expected = slow_conv(wide[0], wide[1], (2, 6, 5, 2), **geometry_of(attributes))
    check(ConvInteger(**attributes), x, weight, *points, expect=expected)


def test_symbolic_pads_are_numbers_when_it_runs() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType.of("f32", ["b", 1, "n"]))
    weight = graph.add_constant(draw(1, 1, 3))
    node = graph.add(Conv(strides=(2,), pads=(0, parse_dim("mod(n, 2)"))), x, weight)
    graph.set_outputs(node.results)
    for n, expected in (6, 2), (7, 3):
        (y,) = run_graph(graph, [draw(2, 1, n)])
        assert y.shape == (2, 1, expected)


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (Conv(), ["i32[1,4,5,5]", "i32[2,4,3,3]"], "x must be of a floating-point type"),
        (Conv(), ["f32[1,4,5,5]", "f16[2,4,3,3]"], "weight must be of type f32"),
        (Conv(), ["f32[1,4]", "f32[2,4]"], "x must have rank 3 or more"),
        (Conv(), ["f32[1,4,5,5]", "f32[2,4,3]"], "weight must have rank 4"),
        (Conv(), ["f32[1,4,5,5]", "f32[2,3,3,3]"], "of weight must be equal, not 4 and 3"),
        (Conv(groups=2), ["f32[1,4,5,5]", "f32[2,4,3,3]"], "must be equal, not 4 and 8"),
        (Conv(groups=2), ["f32[1,4,5,5]", "f32[3,2,3,3]"], "2 groups do not divide"),
        (Conv(), ["f32[1,4,5,5]", "f32[2,4,3,3]", "f32[3]"], r"bias must have shape \[2\]"),
        (Conv(), ["f32[1,4,2,5]", "f32[2,4,3,3]"], r"window of \[3, 3\] does not fit"),
        (Conv(strides=(2,)), ["f32[1,4,5,5]", "f32[2,4,3,3]"], "strides must have 2 entries"),
        (ConvTranspose(), ["f32[1,4,5,5]", "f32[3,2,3,3]"], "must be equal, not 4 and 3"),
        (ConvTranspose(pads=(9,) * 4), ["f32[1,4,5,5]", "f32[4,2,3,3]"], "the pads leave"),
        (ConvTranspose(output_pads=(1,)), ["f32[1,4,5,5]", "f32[4,2,3,3]"], "output_pads must"),
        (ConvInteger(), ["i32[1,4,5,5]", "u8[2,4,3,3]"], "x must be of type i8 or u8"),
        (ConvInteger(), ["u8[1,4,5,5]", "u8[2,4,3,3]", "i8[]"], "x_zero_point must be of type u8"),
        (ConvInteger(), ["u8[1,4,5,5]", "u8[2,4,3,3]", "u8[]", "u8[4]"], "weight_zero_point must"),
    ],
)
def test_what_does_not_fit(op: Op, operands: list[str], message: str) -> None:
    check_rejected(op, *operands, match=message)


def test_groups_must_be_positive() -> None:
    with pytest.raises(OpError, match="groups ≥ 1"):
        Conv(groups=0)
