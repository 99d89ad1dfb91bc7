"""Arithmetic, comparison, logic, casts and activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from gie_importer_onnx.importer import OnnxImporter
from gie_importer_onnx.testing import Constant, check_node, node_model, run_imported

RNG = np.random.default_rng(1)


def f32(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def i64(*shape: int) -> Any:
    return RNG.integers(-9, 10, shape)


def flags(*shape: int) -> Any:
    return RNG.integers(0, 2, shape).astype(bool)


POSITIVE = np.abs(f32(2, 3)) + 0.1
UNIT = np.tanh(f32(2, 3))


@pytest.mark.parametrize(
    "op",
    ["Abs", "Ceil", "Exp", "Floor", "Neg", "Round", "Sign", "Erf", "Sin", "Cosh", "Atan", "IsNaN"],
)
def test_functions(op: str) -> None:
    check_node(op, f32(2, 3), opset=13)


@pytest.mark.parametrize("op", ["Log", "Sqrt", "Reciprocal"])
def test_functions_of_positive_numbers(op: str) -> None:
    check_node(op, POSITIVE, opset=13)


@pytest.mark.parametrize("op", ["Acos", "Asin", "Atanh", "Tan"])
def test_functions_of_small_numbers(op: str) -> None:
    check_node(op, UNIT, opset=9)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize(
    ("a", "b"), [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1, 4), (3, 1)), ((), (2,))]
)
@pytest.mark.parametrize("opset", [7, 14])
def test_arithmetic(op: str, a: tuple[int, ...], b: tuple[int, ...], opset: int) -> None:
    check_node(op, f32(*a), f32(*b), opset=opset, symbolic=a == b)


@pytest.mark.parametrize(("b", "axis"), [((3,), 1), ((3, 4), 1), ((2, 3), 0), ((4,), -1)])
def test_broadcasting_before_opset_7_begins_at_an_axis(b: tuple[int, ...], axis: int) -> None:
    # No peer runs these any more: b with ones behind it is what they meant.
    a, operand = f32(2, 3, 4), f32(*b)
    imported = OnnxImporter().load(node_model("Add", [a, operand], 6, broadcast=1, axis=axis))
    behind = (1,) * (3 - axis % 3 - len(b))
    np.testing.assert_array_equal(
        run_imported(imported, a, operand)[0], a + operand.reshape(*b, *behind)
    )


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Mod"])
def test_arithmetic_of_integers(op: str) -> None:
    check_node(op, i64(2, 5), np.array([1, 2, 3, -4, 5]), opset=14, symbolic=False)


@pytest.mark.parametrize("op", ["Sum", "Max", "Min", "Mean"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_operands(op: str, count: int) -> None:
    check_node(op, *(f32(2, 3) for _ in range(count)), opset=8, symbolic=False)


@pytest.mark.parametrize("op", ["Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"])
def test_comparisons(op: str) -> None:
    check_node(
        op, i64(4, 5).astype(np.float32), i64(5).astype(np.float32), opset=16, symbolic=False
    )


@pytest.mark.parametrize("op", ["And", "Or", "Xor"])
def test_logic(op: str) -> None:
    check_node(op, flags(4, 5), flags(5), opset=7, symbolic=False)


def test_not() -> None:
    check_node("Not", flags(5), opset=7)


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts(direction: str) -> None:
    bits = np.arange(8, dtype=np.uint8)
    check_node("BitShift", bits * 31, bits, opset=11, direction=direction)


@pytest.mark.parametrize("op", ["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
def test_bits(op: str) -> None:
    check_node(op, i64(6), i64(6), opset=18)


def test_mod_with_the_sign_of_the_dividend() -> None:
    check_node("Mod", f32(6) * 9, f32(6) * 2, opset=13, fmod=1)


def test_pow_of_mixed_types() -> None:
    check_node("Pow", POSITIVE, i64(3), opset=15, symbolic=False)


@pytest.mark.parametrize("opset", [7, 10])
@pytest.mark.parametrize("bounds", [{}, {"min": -0.5}, {"max": 0.5}, {"min": -0.5, "max": 0.25}])
def test_clip_by_attributes(bounds: dict[str, Any], opset: int) -> None:
    check_node("Clip", f32(3, 4), opset=opset, **bounds)


@pytest.mark.parametrize("opset", [11, 13])
def test_clip_by_operands(opset: int) -> None:
    check_node(
        "Clip", f32(3, 4), Constant(np.float32(-0.5)), Constant(np.float32(0.3)), opset=opset
    )
    check_node("Clip", f32(3, 4), None, np.asarray(0.3, np.float32), opset=opset)


@pytest.mark.parametrize("which", [{}, {"detect_negative": 0}, {"detect_positive": 0}])
def test_is_inf(which: dict[str, Any]) -> None:
    check_node("IsInf", np.array([1, np.inf, -np.inf, np.nan], np.float32), opset=10, **which)


def test_where() -> None:
    check_node("Where", flags(2, 3), f32(2, 3), f32(3), opset=9, symbolic=False)


@pytest.mark.parametrize("to", ["INT64", "UINT8", "FLOAT16", "DOUBLE", "BOOL"])
@pytest.mark.parametrize("opset", [9, 13, 19])
def test_cast(to: str, opset: int) -> None:
    check_node("Cast", np.abs(f32(2, 5)) * 9, opset=opset, to=TensorProto.DataType.Value(to))


def test_cast_of_texts_is_foreign() -> None:
    texts = np.array(["1.5", "-2"], object)
    check_node("Cast", texts, opset=13, native=False, to=TensorProto.FLOAT)


def test_cast_like() -> None:
    check_node("CastLike", f32(3), np.zeros(1, np.int32), opset=15, symbolic=False)


@pytest.mark.parametrize("opset", [7, 10, 12, 13])
def test_dropout_does_nothing(opset: int) -> None:
    check_node("Dropout", f32(2, 3), opset=opset)


@pytest.mark.parametrize("opset", [12, 13])
def test_mask_of_dropout_keeps_everything(opset: int) -> None:
    check_node("Dropout", f32(2, 3), opset=opset, outputs=2)


ACTIVATIONS: list[tuple[str, dict[str, Any]]] = [
    ("Relu", {}),
    ("Sigmoid", {}),
    ("Tanh", {}),
    ("Softplus", {}),
    ("Softsign", {}),
    ("HardSwish", {}),
    ("LeakyRelu", {}),
    ("LeakyRelu", {"alpha": 0.3}),
    ("Elu", {"alpha": 0.7}),
    ("Selu", {}),
    ("Celu", {"alpha": 2.0}),
    ("HardSigmoid", {}),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.6}),
    ("ThresholdedRelu", {"alpha": 0.4}),
    ("Shrink", {"bias": 0.2, "lambd": 0.4}),
]


@pytest.mark.parametrize(("op", "attributes"), ACTIVATIONS)
def test_activations(op: str, attributes: dict[str, Any]) -> None:
    check_node(op, f32(3, 4), opset=14, **attributes)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    check_node("Gelu", f32(3, 4), opset=20, approximate=approximate)


@pytest.mark.parametrize(("op", "opset"), [("Mish", 18), ("Swish", 24)])
def test_newer_activations(op: str, opset: int) -> None:
    check_node(op, f32(3, 4), opset=opset, peer="reference")


def test_prelu() -> None:
    check_node("PRelu", f32(2, 3, 4, 4), Constant(f32(3, 1, 1)), opset=9)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("transposed", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_gemm(transposed: tuple[int, int], alpha: float, beta: float) -> None:
    a, b = f32(*(4, 3) if transposed[0] else (3, 4)), f32(*(5, 4) if transposed[1] else (4, 5))
    flags: dict[str, Any] = {"transA": transposed[0], "transB": transposed[1]}
    check_node(
        "Gemm",
        a,
        Constant(b),
        Constant(f32(5)),
        opset=11,
        symbolic=False,
        alpha=alpha,
        beta=beta,
        **flags,
    )


@pytest.mark.parametrize(
    ("a", "b"), [((3, 4), (4, 5)), ((2, 1, 3, 4), (6, 4, 2)), ((4,), (4, 2)), ((4,), (4,))]
)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    check_node("MatMul", f32(*a), f32(*b), opset=13, symbolic=False)


@pytest.mark.parametrize("equation", ["ij,jk->ik", "ij,jk", "ij,kj->i", "ij,jk->"])
def test_einsum(equation: str) -> None:
    check_node("Einsum", f32(3, 3), f32(3, 3), opset=12, equation=equation)
