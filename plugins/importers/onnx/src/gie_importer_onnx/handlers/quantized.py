"""Ops on quantized tensors.

A product of integers is exact, so it is computed in integers; its scale,
x_scale · w_scale / y_scale, is applied to the sum in f32 and rounded once, as
ONNX Runtime does. The other ops dequantize, compute, and quantize.
"""

from __future__ import annotations

from collections.abc import Sequence

from gie_core.ir.dims import Dim
from gie_core.ir.graph import Value
from gie_core.ir.types import DType
from gie_importer_onnx.call import Call
from gie_importer_onnx.handlers.quantization import dequantize, quantize
from gie_importer_onnx.handlers.windows import kernel_of, window
from gie_importer_onnx.registry import Unsupported, handler

__all__: list[str] = []

MICROSOFT = "com.microsoft"


@handler("QLinearConv")
def qlinear_conv(call: Call) -> Value:
    """x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias?"""
    x, weight = call.input(0), call.input(3)
    spatial = call.dims(x)[2:]
    geometry = window(call, spatial, kernel_of(call, call.dims(weight)))
    groups = call.integer("group", 1)
    total = call.emit(
        "conv_integer", x, weight, call.input(2), call.input(5), groups=groups, **geometry
    )
    per_channel: tuple[Dim, ...] = (1,) * len(spatial)
    if call.has(8):
        bias = call.input(8)
        total = call.emit("add", total, call.reshape(bias, (*call.dims(bias), *per_channel)))
    weight_scale = call.input(4)
    if call.rank(weight_scale) == 1:
        weight_scale = call.reshape(weight_scale, (*call.dims(weight_scale), *per_channel))
    return _requantize(call, total, call.input(1), weight_scale, 6)


@handler("QLinearMatMul")
def qlinear_matmul(call: Call) -> Value:
    """a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero."""
    total = call.emit("matmul_integer", call.input(0), call.input(3), call.input(2), call.input(5))
    a_scale = call.input(1)
    if call.rank(a_scale) == 1 and call.dims(a_scale) != (1,):
        a_scale = call.reshape(a_scale, (*call.dims(a_scale), 1))
    return _requantize(call, total, a_scale, call.input(4), 6)


def _requantize(call: Call, total: Value, a_scale: Value, b_scale: Value, output: int) -> Value:
    """An i32 sum times its factors' scales, in the scale and zero point from ``output`` on."""
    zero_point = call.input(output + 1)
    if any(
        extent != 1 for index in (output, output + 1) for extent in call.dims(call.input(index))
    ):
        raise Unsupported("its output has more than one scale")
    a_scale, b_scale, y_scale = (
        call.cast(s, DType.F32) for s in (a_scale, b_scale, call.input(output))
    )
    scale = call.emit("div", call.emit("mul", a_scale, b_scale), y_scale)
    real = call.emit("mul", call.cast(total, DType.F32), scale)
    one = call.reshape(call.constant(1.0, DType.F32), call.dims(zero_point))
    return quantize(call, real, one, zero_point, call.dtype_of(zero_point))


@handler("QLinearAdd", "QLinearMul", domain=MICROSOFT)
def qlinear_binary(call: Call) -> Value:
    """a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero."""
    op = {"QLinearAdd": "add", "QLinearMul": "mul"}[call.node.op_type]
    a, b = (_real(call, index) for index in (0, 3))
    return _quantized(call, call.emit(op, a, b), 6)


@handler("QLinearLeakyRelu", "QLinearSigmoid", domain=MICROSOFT)
def qlinear_unary(call: Call) -> Value:
    """x, x_scale, x_zero, y_scale, y_zero."""
    x = _real(call, 0)
    if call.node.op_type == "QLinearSigmoid":
        return _quantized(call, call.emit("sigmoid", x), 3)
    return _quantized(call, call.emit("leaky_relu", x, alpha=call.real("alpha", 0.01)), 3)


@handler("QLinearGlobalAveragePool", domain=MICROSOFT)
def qlinear_global_average_pool(call: Call) -> Value:
    """x, x_scale, x_zero, y_scale, y_zero."""
    rank = call.rank(call.input(0))
    axes = range(1, rank - 1) if call.flag("channels_last") else range(2, rank)
    return _quantized(call, call.emit("reduce_mean", _real(call, 0), axes=tuple(axes)), 3)


@handler("QLinearConcat", domain=MICROSOFT)
def qlinear_concat(call: Call) -> Value:
    """y_scale, y_zero, then x, x_scale, x_zero for each operand."""
    axis = call.axis(call.integer("axis"), call.rank(call.input(2)))
    parts: Sequence[Value] = [_real(call, index) for index in range(2, len(call.inputs), 3)]
    return _quantized(call, call.emit("concat", *parts, axis=axis), 0)


def _real(call: Call, first: int) -> Value:
    """The operand at ``first``, dequantized by the two behind it."""
    return dequantize(call, call.input(first), call.input(first + 1), call.optional(first + 2))


def _quantized(call: Call, y: Value, first: int) -> Value:
    """y quantized by the scale at ``first`` and the zero point behind it."""
    zero_point = call.optional(first + 1)
    to = DType.U8 if zero_point is None else call.dtype_of(zero_point)
    return quantize(call, y, call.input(first), zero_point, to)
