"""Local response normalization."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.types import Array, TensorType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.extents import as_ints
from gie_core.ops.norm import Lrn
from gie_kernels_cpu.blocks import Region, regions
from gie_kernels_cpu.formats import is_channels_last, narrowed, ordered, variants
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

BLOCK = 1 << 15
"""Elements that are handled at once, in four arrays."""


class LocalResponse(Method):
    """``lrn``: squares with zeros beside the first and the last channel, added up in one run.

    A block holds some pixels of one image, with all of their channels: [channels, pixels], or
    [pixels, channels] if the channels are last. As a flat array it is added to itself, shifted by
    the distance of two channels.
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
            pieces = _pieces(op, x, stored.numpy)
            work = Work((op.size + 7) * size, bytes=2 * size * stored.numpy.itemsize)
            found.append(
                Candidate(
                    name,
                    (format_,),
                    (format_,),
                    workspace_size(*pieces),
                    work,
                    in_place=((0, 0),),
                )
            )
        return found

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        (x,), (y,) = memory.operands, memory.results
        op = cast("Lrn", node.op)
        scratch = carve(memory.workspace, *_pieces(op, _input(node), x.dtype))
        if is_channels_last(candidate):
            x, y = (np.moveaxis(array, 1, -1) for array in (x, y))
            cuts = [(*pixels, slice(None)) for pixels in _cuts(x.shape[1:-1], x.shape[-1])]
        else:
            cuts = [(slice(None), *pixels) for pixels in _cuts(x.shape[2:], x.shape[1])]
        axis = x.ndim - 2 if is_channels_last(candidate) else 0
        calls: list[Call] = []
        for image in range(len(x)):
            for cut in cuts:
                calls += _block(op, x[(image, *cut)], y[(image, *cut)], axis, scratch)
        return [in_order(calls)]


def _cuts(spatial: tuple[int, ...], channels: int) -> list[Region]:
    return list(regions(spatial, max(1, BLOCK // max(1, channels))))


def _pieces(op: Lrn, x: TensorType, stored: np.dtype[Any]) -> list[Piece]:
    """Squares with zeros around them, their sums, and x as it is computed with."""
    _, channels, *spatial = as_ints(x.dims)
    pixels = min(math.prod(spatial), max(1, BLOCK // max(1, channels)))
    wide = wide_dtype(stored)
    sizes = [(channels + op.size - 1) * pixels] * 2
    if wide != stored:
        sizes.append(channels * pixels)
    return [((size,), wide) for size in sizes]


def _block(op: Lrn, x: Array, y: Array, axis: int, scratch: Sequence[Array]) -> Iterator[Call]:
    """Calls for some pixels of one image; the channels lie along ``axis``, first or last."""
    channels, before = x.shape[axis], (op.size - 1) // 2
    if len(scratch) > 2:
        wide = scratch[2][: x.size].reshape(x.shape)
        yield partial(np.copyto, wide, x)
        x = wide
    shape = list(x.shape)
    shape[axis] += op.size - 1
    size = math.prod(shape)
    step = 1 if axis else size // max(1, shape[0])  # from one channel to the next
    flat, sums = scratch[0][:size], scratch[1][: size - (op.size - 1) * step]
    squares = flat.reshape(shape)

    def along(begin: int, end: int) -> Region:
        return (*(slice(None) for _ in range(axis)), slice(begin, end))

    inside = squares[along(before, before + channels)]
    yield partial(squares[along(0, before)].fill, 0)
    yield partial(squares[along(before + channels, shape[axis])].fill, 0)
    yield partial(np.multiply, x, x, out=inside)
    shifted = [flat[k * step : k * step + sums.size] for k in range(op.size)]
    yield from combined(np.add, shifted, sums, 0)
    yield partial(np.multiply, sums, sums.dtype.type(op.alpha / op.size), out=sums)
    yield partial(np.add, sums, sums.dtype.type(op.bias), out=sums)
    yield from _power(sums, op.beta, flat[: sums.size])
    total = scratch[1][:size].reshape(shape)[along(0, channels)]
    yield partial(np.divide, x, total, out=y, casting="unsafe")


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
