"""The cost model: what a kernel should take, for builds that don't measure.

A time is a sum of what a kernel has to do over the rates at which a target does it. Rates of the
host are those of NumPy 2.5 with its own OpenBLAS in f32, two threads, on a server CPU with AVX-512;
the best of 25 calls:

=====================================================  ==================
``matmul`` of [256, 576] by [576, 3136]                186 products/ns
``matmul`` of [3136, 64] by [64, 256]                  164 products/ns
``matmul`` of [2048, 512] by [512, 49]                 145 products/ns
``matmul`` of [64, 27] by [27, 50176]                  80 products/ns
``add`` of 2**16 to 2**22                              6–13 elements/ns
``maximum``, ``exp`` of 2**16 to 2**22                 2–2.9 elements/ns
``copyto`` of 2**16 to 2**22                           5.5–23 elements/ns
``matmul`` of [4096, 25088] by a vector                28 bytes/ns
``add`` of 4 elements, ``matmul`` of [4, 4]            700 and 1400 ns
``copyto`` from NCHW to NHWC or back                   0.6–3 elements/ns
``copyto`` from f32 to f16, and back                   0.3 and 0.5 elements/ns
=====================================================  ==================

Another machine has other rates, but much the same order of candidates, which is all that a
choice needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gie_core.errors import GieError
from gie_core.kernels.candidate import Work
from gie_core.kernels.format import Layout
from gie_core.runtime.target import Target

__all__ = ["Rates", "predict", "predict_reformat", "reformat_work"]


@dataclass(frozen=True)
class Rates:
    """What a target does in one nanosecond, and what a call takes.

    Args:
        products: multiply-adds per nanosecond.
        steps: elements × operations per nanosecond.
        bytes: bytes per nanosecond.
        call: nanoseconds.
    """

    products: float
    steps: float
    bytes: float
    call: float


_RATES = {"host": Rates(products=200, steps=8, bytes=100, call=1000)}

_TRANSPOSED = 8
"""Steps for an element that moves to another place in the order."""
_CONVERTED = 16
"""Steps for an element that changes its type."""


def predict(work: Work, target: Target) -> int:
    """Nanoseconds that a kernel should take: whole, at least 1, and never less for more work.

    The terms are added, since NumPy does one after the other.

    Raises:
        GieError: nobody knows the target's rates.
    """
    rates = _RATES.get(target.kind)
    if rates is None:
        raise GieError(f"there is no cost model for {target}; build with a timing cache")
    terms = (
        work.products / rates.products,
        work.steps / rates.steps,
        work.bytes / rates.bytes,
        work.calls * rates.call,
    )
    return max(1, math.ceil(math.fsum(terms)))


def predict_reformat(source: Layout, result: Layout, target: Target) -> int:
    """Nanoseconds that a copy from one layout into another should take.

    Raises:
        GieError: nobody knows the target's rates.
    """
    return predict(reformat_work(source, result), target)


def reformat_work(source: Layout, result: Layout) -> Work:
    """What a copy from one layout into another has to do; both have one shape."""
    steps = 0
    if _order(source) != _order(result):
        steps += _TRANSPOSED
    if source.dtype is not result.dtype:
        steps += _CONVERTED
    width = source.dtype.numpy.itemsize + result.dtype.numpy.itemsize
    return Work(steps=steps * source.size, bytes=width * source.size)


def _order(layout: Layout) -> list[int]:
    """The axes from the slowest to the fastest; those of extent 1 have no place."""
    axes = [axis for axis, extent in enumerate(layout.shape) if extent > 1]
    return sorted(axes, key=lambda axis: -abs(layout.strides[axis]))
