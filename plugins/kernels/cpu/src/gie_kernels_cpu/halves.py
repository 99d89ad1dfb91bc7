"""Reading f16 two to four times faster than NumPy's own conversion does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from gie_core.ir.types import Array
from gie_kernels_cpu.launches import Call

__all__ = ["is_finite", "widening"]

_KEPT = np.uint32(0x8FFF_E000).astype(np.int32)  # sign, exponent and mantissa
_SCALE = np.float32(2.0**112)
_INFINITY = 0x7C00


def widening(source: Array, out: Array, *, finite: bool = False) -> Iterator[Call]:
    """Calls that write floats as they are into an array of a dtype that holds them exactly.

    Args:
        source: of any float dtype.
        out: of its shape.
        finite: there is no infinity and no NaN in it, now and whenever the calls run.
    """
    if source.dtype != np.float16 or out.dtype != np.float32:
        yield partial(np.copyto, out, source, casting="unsafe")
        return
    # The sign, then five bits of exponent and ten of mantissa where f32 has its own; the
    # exponents' biases differ by 127 - 15. What sign extension has filled in is cleared.
    bits = out.view(np.int32)
    yield partial(np.copyto, bits, source.view(np.int16))
    yield partial(np.left_shift, bits, np.int32(13), out=bits)
    yield partial(np.bitwise_and, bits, _KEPT, out=bits)
    yield partial(np.multiply, out, _SCALE, out=out)
    if not finite and out.size:
        yield partial(_restore, source, out)


def _restore(source: Array, out: Array) -> None:
    """Infinities and NaN have become numbers beyond f16's largest."""
    if np.max(out) >= 65536 or np.min(out) <= -65536:
        np.copyto(out, source)


def is_finite(array: Array) -> bool:
    """Whether there is no infinity and no NaN in an array of f16; ``False`` for other dtypes."""
    if array.dtype != np.float16:
        return False
    return bool(np.max(array.view(np.uint16) & 0x7FFF, initial=0) < _INFINITY)
