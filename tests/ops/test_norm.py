"""Normalizations against their formulas in float64, element by element or by SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType
from gie_core.ops.norm import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LogSoftmax,
    LpNormalize,
    Lrn,
    RmsNorm,
    Softmax,
)
from gie_core.testing.ops import check, check_rejected, draw

special: Any = scipy.special  # has no types

SHAPES = [(2, 6, 5), (1, 4, 3, 4), (2, 2, 3, 2, 2)]
shapes = pytest.mark.parametrize("shape", SHAPES)


def standardize_each(x: Array, groups: list[tuple[Any, ...]], epsilon: float) -> Array:
    """Every group of elements, given by its index, shifted and scaled by its own statistics."""
    y = np.zeros(x.shape)
    for at in groups:
        values = x[at].astype(float)
        y[at] = (values - values.mean()) / np.sqrt(values.var() + epsilon)
    return y


def along_channels(values: Array, x: Array) -> Array:
    return values.astype(float).reshape(-1, *[1] * (x.ndim - 2))


@pytest.mark.parametrize("shape", [*SHAPES, (3, 4), (5,)])
def test_batch_norm(shape: tuple[int, ...]) -> None:
    channels = shape[1] if len(shape) > 1 else 1
    x = draw(*shape)
    scale, bias, mean = (draw(channels, seed=seed) for seed in (1, 2, 3))
    variance = np.abs(draw(channels, seed=4))
    expected = np.zeros(shape)
    for at in np.ndindex(*shape):
        c = at[1] if len(shape) > 1 else 0
        expected[at] = scale[c] * (x[at] - mean[c]) / np.sqrt(variance[c] + 1e-3) + bias[c]
    check(BatchNorm(epsilon=1e-3), x, scale, bias, mean, variance, expect=expected)


def test_batch_norm_with_statistics_of_another_type() -> None:
    x, scale, bias = (draw(*s, dtype=DType.F16) for s in ((2, 3, 4), (3,), (3,)))
    mean, variance = draw(3), np.abs(draw(3))
    wide = [along_channels(p, x) for p in (scale, bias, mean, variance)]
    expected = wide[0] * (x.astype(float) - wide[2]) / np.sqrt(wide[3] + 1e-5) + wide[1]
    check(BatchNorm(), x, scale, bias, mean, variance, expect=expected, rtol=2.0**-11, atol=1e-5)


@shapes
def test_instance_norm(shape: tuple[int, ...]) -> None:
    x, scale, bias = draw(*shape), draw(shape[1], seed=1), draw(shape[1], seed=2)
    y = standardize_each(x, list(np.ndindex(*shape[:2])), 1e-5)
    expected = y * along_channels(scale, x) + along_channels(bias, x)
    check(InstanceNorm(), x, scale, bias, expect=expected)


@shapes
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("with_bias", [False, True])
def test_layer_norm(shape: tuple[int, ...], axis: int, with_bias: bool) -> None:
    x, scale, bias = draw(*shape), draw(*shape[axis:], seed=1), draw(*shape[-1:], seed=2)
    expected = standardize_each(x, list(np.ndindex(*shape[:axis])), 1e-3) * scale.astype(float)
    if with_bias:
        expected = expected + bias.astype(float)
    op = LayerNorm(axis=axis, epsilon=1e-3)
    check(op, x, scale, bias if with_bias else None, expect=expected)


@shapes
@pytest.mark.parametrize("groups", [1, 2])
def test_group_norm(shape: tuple[int, ...], groups: int) -> None:
    x, scale, bias = draw(*shape), draw(shape[1], seed=1), draw(shape[1], seed=2)
    size = shape[1] // groups
    blocks = [(n, slice(g * size, (g + 1) * size)) for n in range(shape[0]) for g in range(groups)]
    y = standardize_each(x, blocks, 1e-5)
    expected = y * along_channels(scale, x) + along_channels(bias, x)
    check(GroupNorm(groups=groups), x, scale, bias, expect=expected, symbolic=True)


@shapes
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rms_norm(shape: tuple[int, ...], axis: int) -> None:
    x, scale = draw(*shape), draw(*shape[axis:], seed=1)
    expected = np.zeros(shape)
    for at in np.ndindex(*shape[:axis]):
        values = x[at].astype(float)
        expected[at] = values / np.sqrt((values**2).mean() + 1e-5)
    check(RmsNorm(axis=axis), x, scale, expect=expected * scale.astype(float))


@shapes
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_lrn(shape: tuple[int, ...], size: int) -> None:
    x, expected = draw(*shape), np.zeros(shape)
    for n, c, *rest in np.ndindex(*shape):
        low, high = max(0, c - (size - 1) // 2), min(shape[1] - 1, c + -(-(size - 1) // 2))
        total = sum(float(x[(n, i, *rest)]) ** 2 for i in range(low, high + 1))
        expected[(n, c, *rest)] = x[(n, c, *rest)] / (1.5 + 0.2 / size * total) ** 0.6
    check(Lrn(size=size, alpha=0.2, beta=0.6, bias=1.5), x, expect=expected)


@shapes
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_softmax(shape: tuple[int, ...], axis: int, shift: float) -> None:
    x = draw(*shape) + np.float32(shift)
    wide = x.astype(float)
    check(Softmax(axis=axis), x, expect=special.softmax(wide, axis=axis))
    check(LogSoftmax(axis=axis), x, expect=special.log_softmax(wide, axis=axis))


def test_softmax_of_infinities_and_of_nothing() -> None:
    x = np.array([[0, -np.inf], [-np.inf, -np.inf], [np.nan, 0]], np.float32)
    check(Softmax(axis=1), x, expect=[[1, 0], [np.nan, np.nan], [np.nan, np.nan]])
    check(Softmax(axis=1), np.zeros((2, 0), np.float32), expect=np.zeros((2, 0)))


@shapes
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("p", [1, 2])
def test_lp_normalize(shape: tuple[int, ...], axis: int, p: int) -> None:
    x = draw(*shape)
    expected = x / np.linalg.norm(x.astype(float), p, axis=axis, keepdims=True)
    check(LpNormalize(axis=axis, p=p), x, expect=expected)


def test_lp_normalize_of_zeros_is_zero() -> None:
    check(LpNormalize(axis=0), np.zeros((3, 2), np.float32), expect=np.zeros((3, 2)))


@pytest.mark.parametrize("dtype", [DType.F64, DType.F16, DType.BF16])
@pytest.mark.parametrize(
    ("op", "parameters"),
    [
        (InstanceNorm(), 2),
        (GroupNorm(groups=2), 2),
        (LayerNorm(axis=3), 2),
        (RmsNorm(axis=3), 1),
        (Lrn(size=3), 0),
        (Softmax(axis=1), 0),
        (LogSoftmax(axis=1), 0),
        (LpNormalize(axis=1), 0),
    ],
)
def test_every_type_rounds_once(op: Op, parameters: int, dtype: DType) -> None:
    operands = [draw(2, 6, 3, 6, dtype=dtype)]
    operands += [draw(6, dtype=dtype, seed=seed) for seed in range(parameters)]
    exact = op.compute(*(operand.astype(np.float64) for operand in operands))
    half_ulp = {DType.F64: 1e-15, DType.F16: 2.0**-11, DType.BF16: 2.0**-8}[dtype]
    check(op, *operands, expect=exact, rtol=1.01 * half_ulp, atol=1e-5)


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (BatchNorm(), ["f32[2, 3, 4]", "f32[4]"] + ["f32[3]"] * 3, r"scale must have shape \[3\]"),
        (
            BatchNorm(),
            ["f32[2, 3]"] + ["f32[3]"] * 3 + ["f32[2]"],
            "variance must have shape",
        ),
        (BatchNorm(), ["i32[2, 3]"] + ["f32[3]"] * 4, "x must be of a floating-point type"),
        (InstanceNorm(), ["f32[2, 3]", "f32[3]", "f32[3]"], "x must have rank 3 or more"),
        (InstanceNorm(), ["f32[2, 3, 4]", "f32[3]", "f32[1]"], r"bias must have shape \[3\]"),
        (LayerNorm(axis=2), ["f32[2, 3]", "f32[3]"], "axis 2 does not exist"),
        (LayerNorm(axis=1), ["f32[2, 3]", "f32[2]"], r"scale must broadcast to \[2, 3\]"),
        (LayerNorm(axis=1), ["f32[2, 3]", "f32[3]", "f32[1, 2, 3]"], "bias must broadcast"),
        (GroupNorm(groups=2), ["f32[2, 3, 4]", "f32[3]", "f32[3]"], "2 groups do not divide"),
        (RmsNorm(axis=1), ["f32[2, 3]", "f32[2]"], "scale must broadcast"),
        (Lrn(size=3), ["f32[3]"], "x must have rank 2 or more"),
        (Softmax(axis=2), ["f32[2, 3]"], "axis 2 does not exist"),
        (Softmax(axis=0), ["i32[2, 3]"], "floating-point"),
        (LogSoftmax(axis=0), ["f32[*]"], "rank of .* is unknown"),
        (LpNormalize(axis=2), ["f32[2, 3]"], "axis 2 does not exist"),
    ],
)
def test_what_does_not_fit(op: Op, operands: list[str], message: str) -> None:
    check_rejected(op, *operands, match=message)


def test_bad_attributes() -> None:
    with pytest.raises(OpError, match="groups ≥ 1"):
        GroupNorm(groups=0)
    with pytest.raises(OpError, match="size ≥ 1"):
        Lrn(size=0)
    with pytest.raises(OpError, match="p ≥ 1"):
        LpNormalize(axis=0, p=0)
