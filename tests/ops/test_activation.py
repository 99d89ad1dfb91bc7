"""Activation functions against Python's math, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gie_core.ir.op import Op, OpError
from gie_core.ir.types import DType
from gie_core.ops.activation import (
    Celu,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Mish,
    PRelu,
    Relu,
    Selu,
    Shrink,
    Sigmoid,
    Silu,
    Softplus,
    Softsign,
    Tanh,
    ThresholdedRelu,
)
from gie_core.testing.ops import check, check_rejected, draw

INF, NAN = math.inf, math.nan
SELU_ALPHA, SELU_GAMMA = (
    float(np.float32(1.6732632423543772)),
    float(np.float32(1.0507009873554805)),
)
FLOATS = (DType.F16, DType.BF16, DType.F32, DType.F64)
# Two roundings at most: one to f32 (some of them), one to the type itself.
TOLERANCES = {DType.F16: 2**-10, DType.BF16: 2**-7, DType.F32: 2e-6, DType.F64: 1e-14}


def softplus(x: float) -> float:
    return math.log1p(math.exp(x)) if x < 30 else x


def phi(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def hard_sigmoid(x: float, alpha: float, beta: float) -> float:
    return min(max(alpha * x + beta, 0), 1)


CASES: list[tuple[Op, Callable[[float], float]]] = [
    (Relu(), lambda x: max(x, 0)),
    (LeakyRelu(), lambda x: x if x >= 0 else 0.01 * x),
    (LeakyRelu(alpha=-0.5), lambda x: x if x >= 0 else -0.5 * x),
    (ThresholdedRelu(), lambda x: x if x > 1 else 0),
    (ThresholdedRelu(alpha=-1.5), lambda x: x if x > -1.5 else 0),
    (Elu(), lambda x: x if x > 0 else math.expm1(x)),
    (Elu(alpha=2), lambda x: x if x > 0 else 2 * math.expm1(x)),
    (Selu(), lambda x: SELU_GAMMA * (x if x > 0 else SELU_ALPHA * math.expm1(x))),
    (Selu(alpha=2, gamma=3), lambda x: 3 * (x if x > 0 else 2 * math.expm1(x))),
    (Celu(), lambda x: max(x, 0) + min(0, math.expm1(x))),
    (Celu(alpha=2), lambda x: max(x, 0) + min(0, 2 * math.expm1(x / 2))),
    (Celu(alpha=-2), lambda x: x if x > 0 else -2 * math.expm1(x / -2)),
    (Sigmoid(), lambda x: 1 / (1 + math.exp(-x))),
    (HardSigmoid(), lambda x: hard_sigmoid(x, 0.2, 0.5)),
    (HardSigmoid(alpha=0.5, beta=0.25), lambda x: hard_sigmoid(x, 0.5, 0.25)),
    (HardSwish(), lambda x: x * hard_sigmoid(x, 1 / 6, 0.5)),
    (Silu(), lambda x: x / (1 + math.exp(-x))),
    (Silu(alpha=1.702), lambda x: x / (1 + math.exp(-1.702 * x))),
    (Softplus(), softplus),
    (Softsign(), lambda x: x / (1 + abs(x))),
    (Tanh(), math.tanh),
    (Mish(), lambda x: x * math.tanh(softplus(x))),
    (Gelu(), lambda x: x * phi(x)),
    (
        Gelu(approximate="tanh"),
        lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    (Shrink(), lambda x: x if abs(x) > 0.5 else 0),
    (Shrink(bias=1, lambd=2), lambda x: x + 1 if x < -2 else x - 1 if x > 2 else 0),
]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("op", "oracle"), CASES, ids=lambda v: getattr(v, "name", ""))
def test_values(op: Op, oracle: Callable[[float], float], dtype: DType) -> None:
    x = np.linspace(-6, 6, 241).astype(dtype.numpy)
    expected = np.array([oracle(float(v)) for v in x])
    rtol = TOLERANCES[dtype]
    # 1 + erf(x) and 1 + tanh(x) cancel for x < 0: the error is that of a number near 1.
    atol = 8 * TOLERANCES[max(dtype, DType.F32, key=lambda d: d.bits)]
    check(op, x, expect=expected, rtol=rtol, atol=atol)


EXTREME: list[tuple[Op, list[float], list[float]]] = [
    # op, x in f32, expected
    (Sigmoid(), [1e4, -1e4, INF, -INF, NAN, 0], [1, 0, 1, 0, NAN, 0.5]),
    (Softplus(), [1e4, -1e4, INF, -INF, NAN], [1e4, 0, INF, 0, NAN]),
    (Softplus(), [-50, -20], [math.exp(-50), math.exp(-20)]),  # relative precision
    (Mish(), [1e4, -1e4, INF, NAN, 3e38], [1e4, 0, INF, NAN, 3e38]),
    (Mish(), [-50, -20], [-50 * math.exp(-50), -20 * math.exp(-20)]),
    (Silu(), [1e4, -1e4, INF, NAN], [1e4, 0, INF, NAN]),
    (Elu(), [1e4, -1e4, INF, -INF, NAN, -1e-6], [1e4, -1, INF, -1, NAN, -1e-6]),
    (Celu(), [1e4, -1e4, NAN], [1e4, -1, NAN]),
    (Selu(), [-1e4, NAN], [-SELU_GAMMA * SELU_ALPHA, NAN]),
    (Gelu(), [1e4, -1e4, INF, NAN], [1e4, 0, INF, NAN]),
    (Gelu(approximate="tanh"), [1e30, -1e30, NAN], [1e30, 0, NAN]),
    (Tanh(), [1e4, -1e4, NAN, 1e-6], [1, -1, NAN, 1e-6]),
    (Relu(), [INF, -INF, NAN], [INF, 0, NAN]),
    (LeakyRelu(), [INF, -INF, NAN], [INF, -INF, NAN]),
    (HardSigmoid(), [INF, -INF, NAN], [1, 0, NAN]),
    (ThresholdedRelu(), [NAN, 1.0, 1.5], [0, 0, 1.5]),
]


@pytest.mark.parametrize(("op", "x", "expected"), EXTREME)
def test_extreme_values(op: Op, x: list[float], expected: list[float]) -> None:
    check(op, np.array(x, np.float32), expect=expected, rtol=1e-5, atol=0)


INTEGERS: list[tuple[Op, list[int], list[int]]] = [
    (Relu(), [-3, 0, 3], [0, 0, 3]),
    (Shrink(bias=0.5, lambd=1.5), [-3, -1, 1, 3], [-2, 0, 0, 2]),  # ±2.5 is cut toward 0
]


@pytest.mark.parametrize(("op", "x", "expected"), INTEGERS)
def test_integers(op: Op, x: list[int], expected: list[int]) -> None:
    check(op, np.array(x, np.int8), expect=expected)


@pytest.mark.parametrize("slope", [(), (1,), (3, 1, 1), (1, 4), (2, 3, 4, 4)])
def test_prelu(slope: tuple[int, ...]) -> None:
    x, s = draw(2, 3, 4, 4), draw(*slope, seed=1)
    wide = np.broadcast_to(s, x.shape)
    expected = np.array([a if a >= 0 else a * b for a, b in zip(x.flat, wide.flat, strict=True)])
    check(PRelu(), x, s, expect=expected.reshape(x.shape))


@pytest.mark.parametrize("op", [Gelu(), Mish(), Sigmoid(), HardSwish()], ids=lambda op: op.name)
def test_f16_is_rounded_once(op: Op) -> None:
    x = np.linspace(-4, 4, 999).astype(np.float16)
    (exact,) = check(op, x.astype(np.float64))
    (y,) = check(op, x)
    ulp = np.spacing(np.abs(exact).astype(np.float16)).astype(np.float64)
    assert (np.abs(y - exact) <= 0.51 * ulp + 1e-6).all()


REJECTED: list[tuple[Op, tuple[str, ...], str]] = [
    (PRelu(), ("f32[3]", "f32[2, 3]"), r"prelu: the slope f32\[2, 3\] does not broadcast to"),
    (PRelu(), ("f32[3]", "f16[3]"), "slope must be of type f32"),
    (Sigmoid(), ("i32[3]",), r"sigmoid: not defined for i32\[3\]: 'exp' takes floats"),
    (LeakyRelu(), ("i32[3]",), "0.01 is not a value of type i32"),
]


@pytest.mark.parametrize(("op", "types", "message"), REJECTED)
def test_rejects(op: Op, types: tuple[str, ...], message: str) -> None:
    check_rejected(op, *types, match=message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gelu(approximate="erf"), "'approximate' of gelu is 'erf'; it must be one of"),
        (lambda: LeakyRelu(alpha="a lot"), "attribute 'alpha' of leaky_relu: expected float"),  # pyright: ignore[reportArgumentType] - the point
    ],
)
def test_rejects_attributes(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(OpError, match=message):
        make()
