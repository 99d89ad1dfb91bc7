"""Quantized ops: integers equal the peer's, bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gie_importer_onnx.testing import Constant, check_node

RNG = np.random.default_rng(5)
MICROSOFT = "com.microsoft"


def f32(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def u8(*shape: int) -> Any:
    return RNG.integers(0, 256, shape).astype(np.uint8)


def i8(*shape: int) -> Any:
    return RNG.integers(-128, 128, shape).astype(np.int8)


def scale(*values: float) -> Constant:
    """One scale, or a list of them."""
    array = np.array(values, np.float32)
    return Constant(array if array.size > 1 else array.reshape(()))


def zero(value: int, dtype: Any = np.uint8) -> Constant:
    return Constant(np.asarray(value, dtype))


@pytest.mark.parametrize("opset", [10, 13, 19])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_quantize_and_dequantize(opset: int, dtype: Any) -> None:
    check_node("QuantizeLinear", f32(3, 5) * 9, scale(0.1), zero(3, dtype), opset=opset)
    x = u8(3, 5).view(dtype)
    check_node("DequantizeLinear", x, scale(0.1), zero(3, dtype), opset=opset)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_per_axis(axis: int) -> None:
    scales, zeros = scale(0.1, 0.2, 0.3), Constant(np.array([1, 2, 3], np.uint8))
    check_node("QuantizeLinear", f32(3, 3) * 9, scales, zeros, opset=13, axis=axis, symbolic=False)
    check_node("DequantizeLinear", u8(3, 3), scales, zeros, opset=13, axis=axis, symbolic=False)


def test_by_blocks() -> None:
    scales = Constant(np.abs(f32(2, 3)) + 0.1)
    check_node("DequantizeLinear", i8(2, 6), scales, opset=21, axis=1, block_size=2, symbolic=False)


def test_without_zero_point() -> None:
    check_node("QuantizeLinear", f32(3, 5), scale(0.1), opset=13)
    check_node(
        "DequantizeLinear", RNG.integers(-999, 999, 6).astype(np.int32), scale(0.5), opset=13
    )


def test_dynamic_quantization_by_its_definition() -> None:
    check_node("DynamicQuantizeLinear", f32(3, 7), opset=11, outputs=3)


WEIGHT_SCALES = [
    (scale(0.02), zero(5, np.int8)),
    (scale(0.02, 0.03, 0.04), Constant(np.zeros(3, np.int8))),
]


@pytest.mark.parametrize(("weight_scale", "weight_zero"), WEIGHT_SCALES)
@pytest.mark.parametrize("bias", [None, Constant(np.array([100, -200, 3000], np.int32))])
def test_qlinear_conv(weight_scale: Constant, weight_zero: Constant, bias: Constant | None) -> None:
    operands = (
        u8(1, 4, 6, 6),
        scale(0.1),
        zero(120),
        Constant(i8(3, 4, 3, 3)),
        weight_scale,
        weight_zero,
        scale(0.5),
        zero(99),
        bias,
    )
    check_node("QLinearConv", *operands, opset=10, pads=[1, 1, 1, 1], strides=[2, 1])


def test_qlinear_matmul() -> None:
    operands = (
        u8(2, 3, 4),
        scale(0.1),
        zero(120),
        Constant(i8(4, 5)),
        scale(0.2),
        zero(-7, np.int8),
        scale(0.4),
        zero(99),
    )
    check_node("QLinearMatMul", *operands, opset=10)


def test_matmul_integer() -> None:
    check_node("MatMulInteger", u8(3, 4), Constant(i8(4, 5)), zero(9), zero(-3, np.int8), opset=10)


@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
def test_qlinear_binary(op: str) -> None:
    operands = (
        u8(3, 5),
        scale(0.1),
        zero(10),
        u8(3, 5),
        scale(0.2),
        zero(20),
        scale(0.3),
        zero(30),
    )
    check_node(op, *operands, opset=13, domain=MICROSOFT, symbolic=False)


def test_qlinear_global_average_pool() -> None:
    operands = (u8(1, 3, 4, 4), scale(0.1), zero(10), scale(0.2), zero(20))
    check_node("QLinearGlobalAveragePool", *operands, opset=13, domain=MICROSOFT)


def test_qlinear_leaky_relu() -> None:
    operands = (u8(3, 5), scale(0.1), zero(100), scale(0.2), zero(20))
    check_node("QLinearLeakyRelu", *operands, opset=13, domain=MICROSOFT, alpha=0.1)


def test_qlinear_sigmoid() -> None:
    operands = (u8(3, 5), scale(0.02), zero(100), scale(1 / 256), zero(0))
    check_node("QLinearSigmoid", *operands, opset=13, domain=MICROSOFT)


def test_qlinear_concat() -> None:
    parts = (u8(2, 3), scale(0.1), zero(10), u8(2, 4), scale(0.2), zero(20))
    check_node(
        "QLinearConcat",
        scale(0.15),
        zero(5),
        *parts,
        opset=13,
        domain=MICROSOFT,
        axis=1,
        symbolic=False,
    )
