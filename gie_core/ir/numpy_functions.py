"""The primitive functions of the pointwise language on NumPy: one table.

They take and return values in the compute dtype of their element type (see ``conversion``):
arrays, or NumPy scalars where every operand is one. ``out``, of the result's shape and dtype, may
be one of the operands; a function uses it if it can. The caller rounds or wraps the result to the
element type, and silences NumPy's floating-point warnings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gie_core.ir.types import Array

__all__ = ["NUMPY_FUNCTIONS"]


def _is_float(array: Array) -> bool:
    return array.dtype.kind == "f"


def _divide(a: Array, b: Array, out: Array | None = None) -> Array:
    if _is_float(a):
        return np.divide(a, b, out=out)
    return np.floor_divide(a - np.fmod(a, b), b)  # toward zero


def _floor_divide(a: Array, b: Array, out: Array | None = None) -> Array:
    return np.floor(np.divide(a, b)) if _is_float(a) else np.floor_divide(a, b, out=out)


def _maximum(a: Array, b: Array, out: Array | None = None) -> Array:
    if not _is_float(a):
        return np.maximum(a, b, out=out)
    # NumPy leaves open which of two zeros is the larger; it is +0.0.
    if _is_positive_zero(b):
        result = np.maximum(a, b, out=out)
        return np.add(result, b, out=result if result.ndim else None)
    result = np.maximum(a, b)
    zero = np.equal(result, 0)
    return np.where(zero & (a == b), a + b, result) if np.any(zero) else result


def _minimum(a: Array, b: Array, out: Array | None = None) -> Array:
    if not _is_float(a):
        return np.minimum(a, b, out=out)
    result = np.minimum(a, b)
    zero = np.equal(result, 0)
    return np.where(zero & (a == b), -(-a - b), result) if np.any(zero) else result


def _is_positive_zero(array: Array) -> bool:
    return array.ndim == 0 and array == 0 and not np.signbit(array)


def _select(condition: Array, a: Array, b: Array, out: Array | None = None) -> Array:
    return np.where(condition, a, b)


def _power(a: Array, b: Array, out: Array | None = None) -> Array:
    if a.dtype.kind != "i":
        return np.power(a, b, out=out)
    # A negative exponent: 1/aⁿ truncated, which is 0 unless a is 1 or −1.
    inverse = np.where(a == -1, 1 - 2 * (b & 1), a == 1)
    return np.where(b < 0, inverse, np.power(a, np.maximum(b, 0))).astype(a.dtype)


def _rsqrt(a: Array, out: Array | None = None) -> Array:
    return np.divide(1, np.sqrt(a, out=out), out=out)


def _erf(a: Array, out: Array | None = None) -> Array:
    from scipy import special  # large, and seldom needed

    return special.erf(a, out=out)


NUMPY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": _divide,
    "//": _floor_divide,
    "%": np.remainder,
    "fmod": np.fmod,
    "min": _minimum,
    "max": _maximum,
    "neg": np.negative,
    "abs": np.absolute,
    "sign": np.sign,
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "xor": np.logical_xor,
    "not": np.logical_not,
    "&": np.bitwise_and,
    "|": np.bitwise_or,
    "^": np.bitwise_xor,
    "~": np.invert,
    "<<": np.left_shift,
    ">>": np.right_shift,
    "select": _select,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,
    "sqrt": np.sqrt,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "pow": _power,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log1p": np.log1p,
    "rsqrt": _rsqrt,
    "erf": _erf,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}
