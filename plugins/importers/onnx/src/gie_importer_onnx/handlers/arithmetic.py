"""Elementwise arithmetic, comparison and logic."""

from __future__ import annotations

from functools import reduce

import numpy as np

from gie_core.ir.dims import Dim
from gie_core.ir.graph import Value
from gie_core.ir.types import DType
from gie_importer_onnx.call import Call
from gie_importer_onnx.registry import Unsupported, handler

__all__: list[str] = []

UNARY = {
    "Abs": "abs",
    "Acos": "acos",
    "Acosh": "acosh",
    "Asin": "asin",
    "Asinh": "asinh",
    "Atan": "atan",
    "Atanh": "atanh",
    "BitwiseNot": "bitwise_not",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "IsNaN": "is_nan",
    "Log": "log",
    "Neg": "neg",
    "Not": "not",
    "Reciprocal": "reciprocal",
    "Round": "round",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Sqrt": "sqrt",
    "Tan": "tan",
}
BINARY = {
    "Add": "add",
    "And": "and",
    "BitwiseAnd": "bitwise_and",
    "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor",
    "Div": "div",
    "Equal": "equal",
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Mul": "mul",
    "Or": "or",
    "Pow": "pow",
    "Sub": "sub",
    "Xor": "xor",
}
CHAINED = {"Sum": "add", "Max": "max", "Min": "min"}


@handler(*UNARY)
def unary(call: Call) -> Value:
    """f(x)."""
    return call.emit(UNARY[call.node.op_type], call.input(0))


@handler(*BINARY, since=7)
def binary(call: Call) -> Value:
    """f(a, b), broadcast as in NumPy."""
    return call.emit(BINARY[call.node.op_type], call.input(0), call.input(1))


@handler(*BINARY, since=1)
def binary_before_7(call: Call) -> Value:
    """f(a, b), where b's axes begin at ``axis`` of a if ``broadcast`` is set."""
    a, b = call.input(0), call.input(1)
    if call.flag("broadcast") and call.has_attribute("axis"):
        axis = call.axis(call.integer("axis"), call.rank(a))
        behind: tuple[Dim, ...] = (1,) * (call.rank(a) - axis - call.rank(b))
        b = call.reshape(b, (*call.dims(b), *behind))
    return call.emit(BINARY[call.node.op_type], a, b)


@handler(*CHAINED)
def chained(call: Call) -> Value:
    """f(f(a, b), c) …"""
    operands = call.all_inputs()
    return reduce(lambda a, b: call.emit(CHAINED[call.node.op_type], a, b), operands)


@handler("Mean")
def mean(call: Call) -> Value:
    """The elementwise mean of the operands."""
    operands = call.all_inputs()
    total = reduce(lambda a, b: call.emit("add", a, b), operands)
    return call.emit("div", total, call.constant(len(operands), call.dtype_of(total)))


@handler("Mod")
def mod(call: Call) -> Value:
    """The remainder with the divisor's sign, or with the dividend's if ``fmod``."""
    return call.emit("mod", call.input(0), call.input(1), fmod=call.flag("fmod"))


@handler("BitShift")
def bit_shift(call: Call) -> Value:
    """x shifted LEFT or RIGHT by y bits."""
    direction = call.text("direction")
    if direction not in ("LEFT", "RIGHT"):
        raise Unsupported(f"its direction is {direction!r}")
    return call.emit(f"shift_{direction.lower()}", call.input(0), call.input(1))


@handler("Clip", since=11)
def clip(call: Call) -> Value:
    """x, low?, high?"""
    return call.emit("clip", call.input(0), call.optional(1), call.optional(2))


@handler("Clip", since=1)
def clip_before_11(call: Call) -> Value:
    """x with bounds as attributes."""
    x = call.input(0)
    low, high = (
        call.constant(call.real(name), call.dtype_of(x)) if call.has_attribute(name) else None
        for name in ("min", "max")
    )
    return call.emit("clip", x, low, high)


@handler("IsInf")
def is_inf(call: Call) -> Value:
    """Which infinities count is said by two attributes."""
    positive, negative = call.flag("detect_positive", True), call.flag("detect_negative", True)
    return call.emit("is_inf", call.input(0), positive=positive, negative=negative)


@handler("Where")
def where(call: Call) -> Value:
    """condition, a, b."""
    return call.emit("where", call.input(0), call.input(1), call.input(2))


@handler("Cast", since=6)
def cast(call: Call) -> Value:
    """x to another element type; ``saturate`` concerns floats of 8 bits only."""
    return cast_as_onnx(call, call.input(0), call.dtype("to"))


@handler("Cast", since=1)
def cast_before_6(call: Call) -> Value:
    """x to the element type of a name such as FLOAT."""
    names = {"FLOAT": DType.F32, "DOUBLE": DType.F64, "FLOAT16": DType.F16, "BOOL": DType.BOOL}
    integers = {
        f"{sign}INT{bits}": DType(f"{kind}{bits}")
        for sign, kind in (("", "i"), ("U", "u"))
        for bits in (8, 16, 32, 64)
    }
    name = call.text("to").upper()
    found = {**names, **integers}.get(name)
    if found is None:
        raise Unsupported(f"its attribute 'to' is {name!r}")
    return cast_as_onnx(call, call.input(0), found)


@handler("CastLike")
def cast_like(call: Call) -> Value:
    """x to the element type of the second operand."""
    return cast_as_onnx(call, call.input(0), call.dtype_of(call.input(1)))


def cast_as_onnx(call: Call, x: Value, to: DType) -> Value:
    """A cast that rounds and saturates as ONNX's Cast does."""
    if DType.STR in (call.dtype_of(x), to):
        raise Unsupported("it converts texts")
    rounding = None
    if to is DType.F8E8M0:  # the one type whose rounding ONNX lets the model choose
        mode = call.text("round_mode", "up")
        rounding = {"up": "ceil", "down": "floor"}.get(mode)
        if rounding is None:
            raise Unsupported(f"its attribute 'round_mode' is {mode!r}")
    return call.emit("cast", x, to=to, saturate=call.flag("saturate", True), rounding=rounding)


@handler("Identity")
def identity(call: Call) -> Value:
    """x, of any type."""
    return call.emit("identity", call.input(0))


@handler("Dropout", since=12)
def dropout(call: Call) -> Value | tuple[Value, Value]:
    """x, ratio?, training_mode?: nothing happens at inference."""
    if call.has(2) and np.any(call.known(2)):
        raise Unsupported("it is in training mode")
    ratio = 0.5
    if call.has(1):
        ratio = float(call.known(1).item())
    return _dropout(call, ratio)


@handler("Dropout", since=1)
def dropout_before_12(call: Call) -> Value | tuple[Value, Value]:
    """x, with the ratio as attribute."""
    return _dropout(call, call.real("ratio", 0.5))


def _dropout(call: Call, ratio: float) -> Value | tuple[Value, Value]:
    x = call.input(0)
    y = call.emit("dropout", x, ratio=ratio)
    if not call.has_output(1):
        return y
    # The mask says which elements were kept: all of them. Its type was x's before opset 10.
    dtype = DType.BOOL if call.version >= 10 else call.dtype_of(x)
    return y, call.emit("expand", call.constant(1, dtype), shape=call.dims(x))
