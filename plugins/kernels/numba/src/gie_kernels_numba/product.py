"""1×1 convolution channels last: a matrix product, then the bias and all programs in one pass.

BLAS computes some rows of the result; they are still in the cache when the pass reads them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import cast

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gie_core.ir.expr import Param, call, substitute
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Work
from gie_core.kernels.provider import Launch
from gie_core.ops.conv import Conv
from gie_core.ops.extents import as_ints
from gie_kernels_numba.body import SUM, Body, operand_of
from gie_kernels_numba.convolution import ConvolutionMethod, window_of
from gie_kernels_numba.method import RATE
from gie_kernels_numba.pointwise import STEP, collapse, loop_over
from gie_kernels_numba.scalar import count_steps
from gie_kernels_numba.threads import split

__all__ = ["ProductLoop"]

BLOCK = 1 << 16
"""Elements of the result that are computed before the pass, about: 256 KB."""

ROWS = 128
"""Rows at least: BLAS packs the weights for every product."""


class ProductLoop(ConvolutionMethod):
    """A window of one position that moves by one."""

    name = "gemm NHWC"

    def refusal(self, body: Body) -> str:
        window = window_of(body)
        moves = (*window.kernel, *window.strides) != (1, 1, 1, 1)
        if moves or any(as_ints((*window.pads_begin, *window.pads_end))):
            return "it is no 1×1 convolution"
        if cast("Conv", body.first.op).groups != 1:
            return "its channels are in groups"
        if body.result is Param(SUM, DType.F32) and len(body.first.operands) < 3:
            return "there is nothing to do behind the product"
        return ""

    def work(self, body: Body) -> Work:
        x, y = (v.tensor for v in (operand_of(body.first, 0), body.first.result))
        pixels, depth, results = math.prod(as_ints(y.dims)), as_ints(x.dims)[1], as_ints(y.dims)[1]
        pixels //= max(1, results)
        blocks = math.ceil(pixels / _rows(results))
        moved = 4 * (pixels * (depth + results) + depth * results)
        steps = RATE * STEP * pixels * results * (2 + count_steps(body.result))
        return Work(pixels * depth * results, steps, moved, calls=2 * blocks)

    def launch(
        self, body: Body, x: Array, weight: Array, bias: Array, reads: Mapping[str, Array], y: Array
    ) -> Launch:
        own, added = Param(SUM, DType.F32), Param("bias", DType.F32)
        expr = substitute(body.result, {SUM: call("+", own, added)})
        part = loop_over(expr, {"bias": np.broadcast_to(bias, y.shape), **reads}, y, own=SUM)
        time = STEP * (2 + count_steps(expr))
        rows_x, rows_y = _rows_of(x), _rows_of(y)
        if rows_x is None or rows_y is None:
            last = split(part, y.size, time * y.size)
            return partial(_one_after_the_other, [partial(np.matmul, x, weight, y), last])
        results = y.shape[-1]
        launches: list[Launch] = []
        for begin in range(0, len(rows_y), _rows(results)):
            end = min(len(rows_y), begin + _rows(results))
            launches += [
                partial(np.matmul, rows_x[begin:end], weight, rows_y[begin:end]),
                part(begin * results, end * results),
            ]
        return partial(_one_after_the_other, launches)


def _rows(results: int) -> int:
    """Rows of a block."""
    return max(ROWS, BLOCK // max(1, results))


def _rows_of(images: Array) -> Array | None:
    """[N, H, W, C] as [N·H·W, C], if memory allows it."""
    (positions,) = collapse([images[..., 0]])
    if positions.ndim != 1:
        return None
    shape, strides = (len(positions), images.shape[-1]), (positions.strides[0], images.itemsize)
    return as_strided(images, shape, strides, writeable=images.flags.writeable)


def _one_after_the_other(launches: list[Launch]) -> None:
    for launch in launches:
        launch()
