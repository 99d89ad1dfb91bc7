"""Depthwise convolution channels last, with all that is computed of its result, in one loop.

The channels of a position are the vector; where the whole window lies inside of the input its
positions are written out, and the sum never leaves a register. At the edges the sum is kept in the
result. (Measured for 3×3 on one core: 16 to 27 multiply-adds a nanosecond.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from gie_core.ir.graph import Node, Value
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Format, Strides, channels_last, row_major
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.conv import Conv
from gie_core.ops.extents import as_ints
from gie_core.ops.window import Window
from gie_kernels_numba.body import SUM, Body, body_of
from gie_kernels_numba.compiled import compiled
from gie_kernels_numba.formula import arranged
from gie_kernels_numba.library import LIBRARY
from gie_kernels_numba.loops import Numbers, Operand, indented, kernel_source, operand
from gie_kernels_numba.method import RATE, Method
from gie_kernels_numba.scalar import count_steps, refusal, scalar
from gie_kernels_numba.threads import split

__all__ = ["DepthwiseLoop"]

TAP = 0.055
"""Nanoseconds of a multiply-add."""

STEP = 0.03
"""Nanoseconds of an elementary step of the programs."""

WRITTEN_OUT = 32
"""Positions of a window that are written out at most; larger ones are always a loop."""

AXES = ("n", "c", "h", "w")


class DepthwiseLoop(Method):
    """The only candidate is "depthwise NHWC"."""

    def supports(self, node: Node) -> Support:
        body = body_of(node)
        reason = body if isinstance(body, str) else _refusal(body) or refusal(body.result)
        return Support.no(reason) if reason else Support.yes()

    def candidates(self, node: Node) -> Sequence[Candidate]:
        body = _checked(node)
        formats: dict[Value, Format | None] = dict.fromkeys(body.outer)
        x, result = _value(body.first, 0), node.result.tensor
        for value in (*(read.value for read in body.reads), x):
            if _constant(body, value) is None:
                order = channels_last if value.tensor.rank == 4 else row_major
                formats[value] = order(value.tensor, Strides.PITCHED)
        operands = tuple(
            formats.get(value) if value is not None else None for value in _inner(node, body)
        )
        results = (channels_last(result, Strides.PITCHED),)
        return [Candidate("depthwise NHWC", operands, results, work=_work(body))]

    def prepack(self, node: Node) -> Sequence[Array]:
        body = _checked(node)
        weight, bias = _weights(body)
        packed = np.ascontiguousarray(weight.reshape(len(weight), -1).T)  # [K·L, C]
        zeros = np.zeros(len(weight), np.float32)
        return [packed, zeros if bias is None else bias, *_known(body).values()]

    def bind(self, node: Node, candidate: str, memory: Memory) -> Launch:
        body = _checked(node)
        weight, bias, *others = memory.constants
        arrays = dict(zip(_inner(node, body), memory.operands, strict=True))
        arrays.update(zip(_known(body), others, strict=True))
        (result,) = memory.results
        x = np.moveaxis(arrays[_value(body.first, 0)], 1, -1)
        reads = [
            operand(f"r{n}", _like(arrays[read.value], read.index, result))
            for n, read in enumerate(body.reads)
        ]
        loop = _Loop(
            body, operand("x", x), reads, operand("y", np.moveaxis(result, 1, -1), written=True)
        )
        source, numbers = loop.source()
        operands = [loop.x.flat, weight.reshape(-1), bias, *(read.flat for read in reads)]
        arguments = [*map(_read_only, operands), loop.y.flat]
        kernel = compiled(source, len(operands))
        rows = result.shape[0] * result.shape[2]
        return split(kernel, numbers, arguments, rows, _time(body))


@dataclass(frozen=True)
class _Loop:
    """The kernel for operands as they lie in memory, each with its axes as N, H, W, C."""

    body: Body
    x: Operand
    reads: Sequence[Operand]
    y: Operand

    def source(self) -> tuple[str, Array]:
        """The kernel's text, and the numbers for it."""
        window, numbers = _window(self.body.first), self._numbers()
        called = scalar(self.body.result, self._names("v")).library
        library = [name for name in LIBRARY if name in ("multiply_add", *called)]
        arrays = ["x", "k", "b", *(read.name for read in self.reads)]
        taps = math.prod(as_ints(window.kernel))
        source = kernel_source(library, numbers, arrays, self._rows(window, taps))
        return source, numbers.array

    def _numbers(self) -> Numbers:
        window = _window(self.body.first)
        (_, _, rows, columns), (_, channels, height, width) = (
            as_ints(value.tensor.dims)
            for value in (self.body.first.result, _value(self.body.first, 0))
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


# ── What is supported ───────────────────────────────────────────────────────────────


def _refusal(body: Body) -> str:
    first = body.first
    if not isinstance(first.op, Conv):
        return f"there is no loop for {first.op.name} here"
    x, result = _value(first, 0).tensor, first.result.tensor
    if x.rank != 4 or not first.op.groups == x.dims[1] == result.dims[1]:
        return "it is no depthwise convolution of images with one result a channel"
    if result.dtype is not DType.F32:
        return f"it is {result.dtype}, not f32"
    for value in first.operands[1:]:
        if value is not None and _constant(body, value) is None:
            return f"its weight %{value.name} is not constant"
    return ""


def _checked(node: Node) -> Body:
    body = body_of(node)
    if isinstance(body, str):
        raise TypeError(f"{node}: {body}")
    return body


def _window(conv: Node) -> Window:
    return cast("Conv", conv.op).window(_value(conv, 1).tensor.dims)


def _value(node: Node, position: int) -> Value:
    value = node.operands[position]
    if value is None:
        raise TypeError(f"{node} has no operand {position}")
    return value


# ── Operands ────────────────────────────────────────────────────────────────────────


def _inner(node: Node, body: Body) -> Sequence[Value | None]:
    """For each operand of the node, the value of the body that stands for it."""
    return node.operands if body.first is node else list(body.outer)


def _constant(body: Body, value: Value) -> Array | None:
    outer = body.outer[value]
    return None if outer is None else outer.data


def _weights(body: Body) -> tuple[Array, Array | None]:
    found = [None if v is None else _constant(body, v) for v in body.first.operands[1:]]
    weight, bias = (*found, None)[:2]
    if weight is None:
        raise TypeError(f"{body.first}: its weight is not constant")
    return weight, bias


def _known(body: Body) -> dict[Value, Array]:
    """The constants among what is read besides the weights, x included."""
    values = (*(read.value for read in body.reads), _value(body.first, 0))
    found = {value: _constant(body, value) for value in values}
    return {value: array for value, array in found.items() if array is not None}


def _like(array: Array, index: Sequence[int | None], result: Array) -> Array:
    """What a program reads, as N, H, W, C and broadcast to the result's shape."""
    axes = [1 if axis is None else AXES[axis] for axis in index]
    return np.moveaxis(np.broadcast_to(arranged(array, axes, AXES), result.shape), 1, -1)


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


# ── Cost ────────────────────────────────────────────────────────────────────────────


def _time(body: Body) -> float:
    """Nanoseconds on one thread, about."""
    size = math.prod(as_ints(body.first.result.tensor.dims))
    taps = math.prod(as_ints(_window(body.first).kernel))
    return size * (TAP * (taps + 1) + STEP * count_steps(body.result))


def _work(body: Body) -> Work:
    moved = [_value(body.first, 0), body.first.result, *(read.value for read in body.reads)]
    size = sum(4 * math.prod(as_ints(value.tensor.dims)) for value in moved)
    return Work(steps=RATE * _time(body), bytes=size)
