"""Local response normalization."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.types import Array, TensorType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.extents import as_ints
from gie_core.ops.norm import Lrn
from gie_kernels_cpu.blocks import Region, regions, spans
from gie_kernels_cpu.formats import is_channels_last, narrowed, ordered, variants
from gie_kernels_cpu.halves import widening
from gie_kernels_cpu.kernel import (
    Constants,
    Epilogue,
    Method,
    Piece,
    carve,
    float_support,
    static_support,
    wide_dtype,
    workspace_size,
)
from gie_kernels_cpu.launches import Call, in_order
from gie_kernels_cpu.taps import combined

__all__ = ["LocalResponse"]

BLOCK = 1 << 16
"""Elements that are handled at once."""


class LocalResponse(Method):
    """``lrn``: squares with zeros beside the first and the last channel, added up in one run.

    A block holds some channels of one image, and those beside them; or, if the channels are
    last, all channels of some pixels. As a flat array, its squares are added to themselves,
    shifted by the distance of two channels.
    """

    def supports(self, node: Node) -> Support:
        support = static_support(node)
        return float_support(node) if support.ok else support

    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        x, op = _input(node), cast("Lrn", node.op)
        size = math.prod(as_ints(x.dims))
        found: list[Candidate] = []
        for name, storage in variants(x.rank, x.dtype):
            stored = narrowed(x.dtype, storage)
            format_ = ordered(name, x, stored)
            pieces = _pieces(op, as_ints(x.dims), name, stored.numpy)
            work = Work((op.size + 7) * size, bytes=2 * size * stored.numpy.itemsize)
            # Blocks of channels look at their neighbours, of pixels only at their own.
            in_place = ((0, 0),) if is_channels_last(name) else ()
            found.append(
                Candidate(
                    name, (format_,), (format_,), workspace_size(*pieces), work, in_place=in_place
                )
            )
        return found

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        (x,), (y,) = memory.operands, memory.results
        op = cast("Lrn", node.op)
        scratch = carve(memory.workspace, *_pieces(op, x.shape, candidate, x.dtype))
        blocks = _pixels if is_channels_last(candidate) else _channels
        calls: list[Call] = []
        for image in range(len(x)):
            for block in blocks(op, x[image], y[image]):
                calls += block.calls(op, scratch)
        return [in_order(calls)]


@dataclass(frozen=True)
class _Block:
    """Some channels and pixels of one image.

    Args:
        x: what is looked at.
        y: the results.
        axis: of the channels: the first or the last.
        begin: the channel of x where y begins.
    """

    x: Array
    y: Array
    axis: int
    begin: int

    def calls(self, op: Lrn, scratch: Sequence[Array]) -> Iterator[Call]:
        """Calls that compute the results."""
        x, y, before = self.x, self.y, (op.size - 1) // 2
        if len(scratch) > 2:
            wide = scratch[2][: x.size].reshape(x.shape)
            yield from widening(x, wide)
            x = wide
        shape = list(y.shape)
        shape[self.axis] += op.size - 1
        size = math.prod(shape)
        step = 1 if self.axis else size // max(1, shape[0])  # from one channel to the next
        flat, sums = scratch[0][:size], scratch[1][: size - (op.size - 1) * step]
        yield from self._squares(x, flat.reshape(shape), before - self.begin)
        shifted = [flat[k * step : k * step + sums.size] for k in range(op.size)]
        yield from combined(np.add, shifted, sums, 0)
        yield partial(np.multiply, sums, sums.dtype.type(op.alpha / op.size), out=sums)
        yield partial(np.add, sums, sums.dtype.type(op.bias), out=sums)
        yield from _power(sums, op.beta, flat[: sums.size])
        end = y.shape[self.axis]
        total = scratch[1][:size].reshape(shape)[self._along(0, end)]
        own = x[self._along(self.begin, self.begin + end)]
        yield partial(np.divide, own, total, out=y, casting="unsafe")

    def _squares(self, x: Array, squares: Array, zeros: int) -> Iterator[Call]:
        """Calls that write the squares of x, with so many channels of zeros in front."""
        end = zeros + x.shape[self.axis]
        for beside in self._along(0, zeros), self._along(end, squares.shape[self.axis]):
            if squares[beside].size:
                yield partial(squares[beside].fill, 0)
        yield partial(np.multiply, x, x, out=squares[self._along(zeros, end)])

    def _along(self, begin: int, end: int) -> Region:
        """Some channels, all pixels."""
        return (*(slice(None) for _ in range(self.axis)), slice(begin, end))


def _channels(op: Lrn, x: Array, y: Array) -> Iterator[_Block]:
    """Blocks of some channels, of x [C, *S]."""
    before = (op.size - 1) // 2
    for part in spans(len(x), _channels_at_once(x.shape)):
        low = max(0, part.start - before)
        high = min(len(x), part.stop + op.size - 1 - before)
        yield _Block(x[low:high], y[part], 0, part.start - low)


def _pixels(op: Lrn, x: Array, y: Array) -> Iterator[_Block]:
    """Blocks of some pixels, of x [C, *S] with the channels last in memory."""
    x, y = np.moveaxis(x, 0, -1), np.moveaxis(y, 0, -1)
    for region in regions(x.shape[:-1], _pixels_at_once(x.shape[-1])):
        yield _Block(x[region], y[region], x.ndim - 1, 0)


def _channels_at_once(image: tuple[int, ...]) -> int:
    return max(1, min(image[0], BLOCK // max(1, math.prod(image[1:]))))


def _pixels_at_once(channels: int) -> int:
    return max(1, BLOCK // max(1, channels))


def _pieces(op: Lrn, shape: tuple[int, ...], candidate: str, stored: np.dtype[Any]) -> list[Piece]:
    """Squares with zeros around them, their sums, and x as it is computed with."""
    _, channels, *spatial = shape
    pixels = math.prod(spatial)
    if is_channels_last(candidate):
        pixels = min(pixels, _pixels_at_once(channels))
    else:
        channels = _channels_at_once((channels, *spatial))
    wide = wide_dtype(stored)
    size = (channels + op.size - 1) * pixels
    return [((size,), wide)] * (2 if wide == stored else 3)


def _power(x: Array, exponent: float, scratch: Array) -> Iterator[Call]:
    """Calls that raise x to a power; by square roots where they do, ten times as fast."""
    if exponent == 0.5:
        yield partial(np.sqrt, x, out=x)
    elif exponent == 0.75:
        yield partial(np.sqrt, x, out=scratch)
        yield partial(np.sqrt, scratch, out=x)
        yield partial(np.multiply, x, scratch, out=x)
    elif exponent != 1:
        yield partial(np.power, x, x.dtype.type(exponent), out=x)


def _input(node: Node) -> TensorType:
    (x,) = node.operands
    assert x is not None  # the only operand
    return x.tensor
