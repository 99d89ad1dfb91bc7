"""The primitive functions of the pointwise language, each writing into given memory.

Most are the interpreter's own. Those here give the same bits with less traffic. ``out`` may be
one of the operands itself; whatever is returned holds the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from gie_core.ir.conversion import compute_dtype
from gie_core.ir.expr import Expr, Literal
from gie_core.ir.numpy_functions import NUMPY_FUNCTIONS
from gie_core.ir.types import Array, DType
from gie_kernels_cpu.blocks import BLOCK

__all__ = ["function_for", "repeated"]


def function_for(name: str, args: Sequence[Expr]) -> Callable[..., Any]:
    """The function that computes ``name`` of these operands; takes ``out``."""
    if name == "select":
        return _select
    if name == "//" and args[0].dtype.is_float:
        return _floor_divide
    if name in ("max", "min") and args[0].dtype.is_float:
        bound = next((arg for arg in args if isinstance(arg, Literal)), None)
        if bound is not None and _is_plain(name, float(bound.value)):
            return partial(_bounded, name, bound)
    return NUMPY_FUNCTIONS[name]


def _is_plain(name: str, bound: float) -> bool:
    """Whether the order of two zeros is settled: no zero is involved, or max(x, +0.0)."""
    return bound != 0 or (name == "max" and math.copysign(1, bound) > 0)


def _bounded(name: str, bound: Literal, a: Array, b: Array, out: Array | None = None) -> Array:
    """max(x, c) or min(x, c).

    NumPy's maximum of two contiguous arrays is several times faster than that of an array and
    a scalar, so the constant is repeated, once for all.
    """
    x = b if a.ndim == 0 else a
    function = np.maximum if name == "max" else np.minimum
    if out is None or x.shape != out.shape:
        result = function(a, b)
        return np.add(result, 0, dtype=result.dtype) if bound.value == 0 else result
    function(x, repeated(bound.value, bound.dtype)[: x.size].reshape(x.shape), out=out)
    # Of two zeros NumPy may take either; the sum with +0.0 is +0.0 for both.
    return np.add(out, out.dtype.type(0), out=out) if bound.value == 0 else out


@lru_cache(maxsize=64)
def repeated(value: float, dtype: DType) -> Array:
    """A block of one value, read-only and shared."""
    array = np.full(BLOCK, value, compute_dtype(dtype))
    array.flags.writeable = False
    return array


def _select(condition: Array, a: Array, b: Array, out: Array | None = None) -> Array:
    if out is None or condition is out:
        return np.where(condition, a, b)
    if a is out:
        np.copyto(out, b, where=np.logical_not(condition))
        return out
    if b is not out:
        np.copyto(out, b)
    np.copyto(out, a, where=condition)
    return out


def _floor_divide(a: Array, b: Array, out: Array | None = None) -> Array:
    return np.floor(np.divide(a, b, out=out), out=out)
