"""The precision of references: narrow types compute in a wider one and round once."""

from __future__ import annotations

import numpy as np

from gie_core.ir.conversion import compute_dtype, convert, round_float, wrap
from gie_core.ir.types import Array, DType

__all__ = ["narrow", "widen"]


def widen(x: Array) -> Array:
    """``x`` in the dtype it is computed in: f16, bf16 and smaller floats in f32, the rest as is."""
    return x.astype(compute_dtype(DType.of(x.dtype)), copy=False)


def narrow(values: Array, dtype: DType) -> Array:
    """A result rounded once to ``dtype``.

    Floats round to nearest, ties to even. Integers keep their low bits. A float result
    of an integer op is cut toward zero and saturates.
    """
    if dtype.is_float:
        return round_float(values, dtype).astype(dtype.numpy, copy=False)
    if not dtype.is_integer:
        return values.astype(dtype.numpy, copy=False)
    if values.dtype.kind == "f":
        values = convert(values.astype(np.float64), DType.F64, dtype, "rtz", saturate=True)
    return wrap(values.astype(compute_dtype(dtype)), dtype).astype(dtype.numpy, copy=False)
