"""Explicit quantization: QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from typing import Any

from gie_core.ir.graph import Value
from gie_core.ir.types import DType
from gie_importer_onnx.call import Call
from gie_importer_onnx.registry import Unsupported, handler
from gie_importer_onnx.tensors import DTYPES

__all__ = ["dequantize", "quantize"]


@handler("QuantizeLinear")
def quantize_linear(call: Call) -> Value:
    """x, scale, zero_point?"""
    x, scale = call.input(0), call.input(1)
    zero_point = _zero_point(call, scale)
    to = _stated(call, "output_dtype")
    if to is None:
        to = DType.U8 if zero_point is None else call.dtype_of(zero_point)
    precision = _stated(call, "precision")
    if precision is not None:
        # GIE divides in the scale's element type.
        scale = call.cast(scale, precision)
    saturate = call.flag("saturate", True)
    return call.emit(
        "quantize", x, scale, zero_point, to=to, saturate=saturate, **_granularity(call, x, scale)
    )


@handler("DequantizeLinear")
def dequantize_linear(call: Call) -> Value:
    """x, scale, zero_point?"""
    x, scale = call.input(0), call.input(1)
    to = _stated(call, "output_dtype") or call.dtype_of(scale)
    return call.emit(
        "dequantize", x, scale, _zero_point(call, scale), to=to, **_granularity(call, x, scale)
    )


def _zero_point(call: Call, scale: Value) -> Value | None:
    """The third operand in the scale's shape; ONNX lets a scalar stand beside a list of one."""
    if not call.has(2):
        return None
    zero_point = call.input(2)
    is_one = all(extent == 1 for extent in (*call.dims(scale), *call.dims(zero_point)))
    return call.reshape(zero_point, call.dims(scale)) if is_one else zero_point


def _stated(call: Call, name: str) -> DType | None:
    """An element type that 0 leaves open."""
    number = call.integer(name, 0)
    if number and number not in DTYPES:
        raise Unsupported(f"its {name} is {number}, which is no element type of GIE")
    return DTYPES[number] if number else None


def _granularity(call: Call, x: Value, scale: Value) -> dict[str, Any]:
    """Which elements share a scale: all, those of one index along an axis, or blocks along it."""
    block = call.integer("block_size", 0)
    if block == 0 and all(extent == 1 for extent in call.dims(scale)):
        return {"axis": None}
    return {"axis": call.axis(call.integer("axis", 1), call.rank(x)), "block": block}


def quantize(call: Call, x: Value, scale: Value, zero_point: Value | None, to: DType) -> Value:
    """x as ``to``, with one scale for all."""
    return call.emit("quantize", x, scale, zero_point, to=to, axis=None)


def dequantize(call: Call, x: Value, scale: Value, zero_point: Value | None) -> Value:
    """x as real numbers in the scale's element type, with one scale for all."""
    return call.emit("dequantize", x, scale, zero_point, axis=None, to=call.dtype_of(scale))
