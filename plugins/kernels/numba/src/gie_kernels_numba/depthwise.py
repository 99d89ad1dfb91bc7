"""Depthwise convolution channels last, with all that is computed of its result, in one loop.

The channels of a position are the vector; where the whole window lies inside of the input its
positions are written out, and the sum never leaves a register. At the edges the sum is kept in the
result. (Measured for 3×3 on one core: 16 to 27 multiply-adds a nanosecond.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from gie_core.ir.types import Array
from gie_core.kernels.candidate import Work
from gie_core.kernels.provider import Launch
from gie_core.ops.conv import Conv
from gie_core.ops.extents import as_ints
from gie_core.ops.window import Window
from gie_kernels_numba.body import SUM, Body, operand_of
from gie_kernels_numba.compiled import compiled
from gie_kernels_numba.convolution import ConvolutionMethod, window_of
from gie_kernels_numba.library import LIBRARY
from gie_kernels_numba.loops import Numbers, Operand, indented, kernel_source, operand
from gie_kernels_numba.method import RATE
from gie_kernels_numba.pointwise import STEP
from gie_kernels_numba.scalar import count_steps, scalar
from gie_kernels_numba.threads import split

__all__ = ["DepthwiseLoop"]

TAP = 0.04
"""Nanoseconds of a multiply-add."""

WRITTEN_OUT = 32
"""Positions of a window that are written out at most; larger ones are always a loop."""


class DepthwiseLoop(ConvolutionMethod):
    """One result a channel."""

    name = "depthwise NHWC"

    def refusal(self, body: Body) -> str:
        groups = cast("Conv", body.first.op).groups
        x, result = operand_of(body.first, 0).tensor, body.first.result.tensor
        if groups == x.dims[1] == result.dims[1]:
            return ""
        return "it is no depthwise convolution with one result a channel"

    def work(self, body: Body) -> Work:
        values = [operand_of(body.first, 0), body.first.result, *(r.value for r in body.reads)]
        size = sum(4 * math.prod(as_ints(value.tensor.dims)) for value in values)
        return Work(steps=RATE * _time(body), bytes=size)

    def launch(
        self, body: Body, x: Array, weight: Array, bias: Array, reads: Mapping[str, Array], y: Array
    ) -> Launch:
        read = [operand(name, array) for name, array in reads.items()]
        loop = _Loop(body, operand("x", x), read, operand("y", y, written=True))
        source, numbers = loop.source()
        read_only = [loop.x.flat, weight.reshape(-1), bias, *(each.flat for each in read)]
        part = compiled(source, numbers, [*read_only, loop.y.flat])
        return split(part, y.shape[0] * y.shape[1], _time(body))


@dataclass(frozen=True)
class _Loop:
    """The kernel for operands as they lie in memory, each with its axes as N, H, W, C."""

    body: Body
    x: Operand
    reads: Sequence[Operand]
    y: Operand

    def source(self) -> tuple[str, Array]:
        """The kernel's text, and the numbers for it."""
        window, numbers = window_of(self.body), self._numbers()
        called = scalar(self.body.result, self._names("v")).library
        library = [name for name in LIBRARY if name in ("multiply_add", *called)]
        arrays = ["x", "k", "b", *(read.name for read in self.reads)]
        taps = math.prod(as_ints(window.kernel))
        source = kernel_source(library, numbers, arrays, self._rows(window, taps))
        return source, numbers.array

    def _numbers(self) -> Numbers:
        window = window_of(self.body)
        (_, _, rows, columns), (_, channels, height, width) = (
            as_ints(value.tensor.dims)
            for value in (self.body.first.result, operand_of(self.body.first, 0))
        )
        numbers = Numbers()
        numbers.add(rows=rows, columns=columns, height=height, width=width, channels=channels)
        for name, values in (
            ("kernel", window.kernel),
            ("stride", window.strides),
            ("dilation", window.dilations),
            ("pad", window.pads_begin),
        ):
            numbers.add(
                **{f"{name}_{axis}": n for axis, n in zip("hw", as_ints(values), strict=True)}
            )
        for each in (self.x, *self.reads, self.y):
            each.describe(numbers)
        return numbers

    def _names(self, total: str) -> dict[str, str]:
        return {SUM: total, **{read.name: read.element for read in self.reads}}

    def _rows(self, window: Window, taps: int) -> Iterator[str]:
        yield "all = uint64(channels)"
        yield "for row in range(begin, end):"
        yield from indented(["n = row // rows", "i = row - n * rows", "h = i * stride_h - pad_h"])
        yield "    for j in range(columns):"
        yield from indented(self._position(window, taps), 2)

    def _position(self, window: Window, taps: int) -> Iterator[str]:
        """One position of the result."""
        yield "w = j * stride_w - pad_w"
        for each in (*self.reads, self.y):
            yield from each.enter(("n", "i", "j"))
        if taps > WRITTEN_OUT:
            yield from self._edge()
            return
        down, right = (
            f"{axis} >= 0 and {axis} + (kernel_{axis} - 1) * dilation_{axis} < {extent}"
            for axis, extent in (("h", "height"), ("w", "width"))
        )
        yield f"if {down} and {right}:"
        yield from indented(self._inside(window))
        yield "else:"
        yield from indented(self._edge())

    def _inside(self, window: Window) -> Iterator[str]:
        places = list(np.ndindex(*as_ints(window.kernel)))
        for place, (p, q) in enumerate(places):
            rows, columns = f"(h + {p} * dilation_h) * x_1", f"(w + {q} * dilation_w) * x_2"
            yield f"x_at_{place} = uint64(n * x_0 + {rows} + {columns})"
            yield f"k_at_{place} = uint64({place}) * all"
        yield "for c in range(all):"
        yield "    s = b[c]"
        for place in range(len(places)):
            yield f"    s = multiply_add(s, x[x_at_{place} + c], k[k_at_{place} + c])"
        yield from indented(self._store("s"))

    def _edge(self) -> Iterator[str]:
        y = self.y.element
        yield "for c in range(all):"
        yield f"    {y} = b[c]"
        yield "for p in range(kernel_h):"
        yield "    hp = h + p * dilation_h"
        yield "    for q in range(kernel_w):"
        yield "        wq = w + q * dilation_w"
        yield "        if hp >= 0 and hp < height and wq >= 0 and wq < width:"
        yield "            x_at = uint64(n * x_0 + hp * x_1 + wq * x_2)"
        yield "            k_at = uint64(p * kernel_w + q) * all"
        yield "            for c in range(all):"
        yield f"                {y} = multiply_add({y}, x[x_at + c], k[k_at + c])"
        yield "for c in range(all):"
        yield f"    s = {y}"
        yield from indented(self._store("s"))

    def _store(self, total: str) -> Iterable[str]:
        code = scalar(self.body.result, self._names(total))
        return [*code.lines, f"{self.y.element} = {code.result}"]


def _time(body: Body) -> float:
    """Nanoseconds on one thread, about."""
    size = math.prod(as_ints(body.first.result.tensor.dims))
    taps = math.prod(as_ints(window_of(body).kernel))
    return size * (TAP * (taps + 1) + STEP * count_steps(body.result))
