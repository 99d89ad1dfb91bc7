"""Pools over windows, one axis after the other, in blocks that stay in the cache.

A window's maximum is the maximum over its rows' maxima, and its sum the sum of its rows' sums, so
k positions an axis are combined rather than k².

``DirectPool`` combines, for every window, what it sees: long runs if the channels are last.
``FlatPool`` is for planes that lie densely: a whole block of planes, read as one flat array, is
combined with itself, shifted by the distance of two kernel positions. That computes windows of
stride 1 at every position, those across the edges of rows and planes included; the latter are
computed once more, rightly, and those that the stride leaves out are dropped at the end. NumPy runs
over one long array several times faster than over many short rows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from gie_core.ir.types import Array
from gie_core.ops.extents import as_ints
from gie_core.ops.window import Window
from gie_kernels_cpu.blocks import parts, spans
from gie_kernels_cpu.halves import widening
from gie_kernels_cpu.kernel import Piece, carve
from gie_kernels_cpu.launches import Call
from gie_kernels_cpu.taps import combined, segments

__all__ = ["DirectPool", "FlatPool", "Geometry", "SlidingPool"]

BLOCK = 1 << 16
"""Elements of the input that are handled at once."""


@dataclass(frozen=True)
class Geometry:
    """Which windows a pool has, and what becomes of them.

    Args:
        window: with numbers only.
        spatial: extents of the input.
        extents: number of windows along each axis.
        combine: makes one of two elements.
        fill: what a window has that sees nothing.
        counts: [*extents], what the windows' sums are divided by; ``None`` for maxima.
        dtype: in which it is computed.
    """

    window: Window
    spatial: tuple[int, ...]
    extents: tuple[int, ...]
    combine: np.ufunc
    fill: Any
    counts: Array | None
    dtype: np.dtype[Any]

    def finish(self, wide: Array, y: Array, rows: slice, inner: int) -> Iterator[Call]:
        """Calls that divide windows, and store them if they don't lie in ``y`` already.

        Args:
            wide: [planes, *windows] with ``inner`` more axes.
            y: likewise.
            rows: which of the windows along the first axis.
        """
        if self.counts is not None:
            counts = self.counts[(rows, ..., *[None] * inner)]
            counts = counts.reshape(-1)[0] if np.ptp(counts) == 0 else counts
            yield partial(np.divide, wide, counts, out=y, casting="unsafe")
        elif wide is not y:
            yield partial(np.copyto, y, wide, casting="unsafe")


class SlidingPool(ABC):
    """One way to compute a pool."""

    @property
    @abstractmethod
    def pieces(self) -> list[Piece]:
        """The scratch memory that it needs."""

    @abstractmethod
    def bind(self, x: Array, y: Array, workspace: Array) -> Iterator[Call]:
        """Calls that compute ``y`` from ``x``, which are stored in the dtype that is computed in
        or in a narrower one.
        """


@dataclass(frozen=True)
class DirectPool(SlidingPool):
    """Pools x [outer, *S, *inner], of any strides.

    Args:
        geometry: which windows.
        outer: extent.
        inner: extents.
        is_narrow: x and y are stored in another dtype than is computed in.
    """

    geometry: Geometry
    outer: int
    inner: tuple[int, ...]
    is_narrow: bool

    @cached_property
    def _parts(self) -> list[tuple[slice, slice]]:
        """Images, and rows of windows."""
        row = math.prod(self.geometry.spatial[1:]) * math.prod(self.inner)
        rows = BLOCK // max(1, row * self.geometry.window.strides[0])
        return parts(self.outer, self.geometry.extents[0], max(1, rows))

    @property
    def pieces(self) -> list[Piece]:
        sizes = [[math.prod(shape) for shape in self._shapes(*part)] for part in self._parts]
        return [((max(each),), self.geometry.dtype) for each in zip(*sizes, strict=True)]

    def bind(self, x: Array, y: Array, workspace: Array) -> Iterator[Call]:
        scratch = carve(workspace, *self.pieces)
        for images, rows in self._parts:
            places = [
                array[: math.prod(shape)].reshape(shape)
                for array, shape in zip(scratch, self._shapes(images, rows), strict=True)
            ]
            yield from self._block(x[images], y[images, rows], rows, places)

    def _shapes(self, images: slice, rows: slice) -> list[tuple[int, ...]]:
        """Of the scratch arrays of one part: between two axes; of the widened x, and of y."""
        geometry, count = self.geometry, images.stop - images.start
        done = (rows.stop - rows.start, *geometry.extents[1:])
        between = [
            (count, *done[:axis], *geometry.spatial[axis:], *self.inner)
            for axis in range(1, len(done))
        ]
        if not self.is_narrow:
            return between
        seen = self._rows_seen(rows)
        loaded = (count, seen.stop - seen.start, *geometry.spatial[1:], *self.inner)
        return [*between, loaded, (count, *done, *self.inner)]

    def _rows_seen(self, rows: slice) -> slice:
        """Which rows of the input some rows of windows look at."""
        found = segments(
            self.geometry.window, 0, self.geometry.spatial[0], range(rows.start, rows.stop)
        )
        taps = [tap for segment in found for tap in segment.taps]
        return slice(
            min((tap.start for tap in taps), default=0), max((tap.stop for tap in taps), default=0)
        )

    def _block(self, x: Array, y: Array, rows: slice, places: Sequence[Array]) -> Iterator[Call]:
        geometry, window = self.geometry, self.geometry.window
        steps, first = [*places, y], 0
        if self.is_narrow:
            *between, loaded, end = places
            seen = self._rows_seen(rows)
            yield from widening(x[:, seen], loaded)
            steps, x, first = [*between, end], loaded, seen.start
        for axis, out in enumerate(steps):
            windows = range(geometry.extents[axis])
            if axis == 0:
                windows = range(rows.start, rows.stop)
            outer = (slice(None),) * (axis + 1)
            shift = first if axis == 0 else 0
            for segment in segments(window, axis, geometry.spatial[axis], windows):
                taps = [x[(*outer, _shifted(tap, shift))] for tap in segment.taps]
                target = out[(*outer, segment.windows)]
                yield from combined(geometry.combine, taps, target, geometry.fill)
            x = out
        yield from geometry.finish(x, y, rows, len(self.inner))


@dataclass(frozen=True)
class FlatPool(SlidingPool):
    """Pools dense planes x [planes, *S] to y [planes, *P] of any strides.

    Args:
        geometry: one that ``fits``.
        planes: how many.
        is_narrow: x and y are stored in another dtype than is computed in.
    """

    geometry: Geometry
    planes: int
    is_narrow: bool

    @staticmethod
    def fits(geometry: Geometry) -> bool:
        """Whether the windows can be computed in memory as large as the planes, and cheaply."""
        window = geometry.window
        axes = zip(
            geometry.spatial,
            geometry.extents,
            window.strides,
            as_ints(window.spans),
            as_ints(window.pads_begin),
            strict=True,
        )
        return max(window.strides) <= 2 and all(
            (windows - 1) * stride < n and begin < span for n, windows, stride, span, begin in axes
        )

    @property
    def _at_once(self) -> int:
        size = max(1, math.prod(self.geometry.spatial))
        return max(1, min(self.planes, BLOCK // size))

    @property
    def pieces(self) -> list[Piece]:
        size = self._at_once * math.prod(self.geometry.spatial)
        return [((size,), self.geometry.dtype)] * 2

    def bind(self, x: Array, y: Array, workspace: Array) -> Iterator[Call]:
        scratch = carve(workspace, *self.pieces)
        for part in spans(self.planes, self._at_once):
            yield from self._block(x[part], y[part], scratch)

    def _block(self, x: Array, y: Array, scratch: Sequence[Array]) -> Iterator[Call]:
        geometry = self.geometry
        buffers = [array[: x.size].reshape(x.shape) for array in scratch]
        if self.is_narrow:
            yield from widening(x, buffers[1])
            x = buffers[1]
        axes = [axis for axis, n in enumerate(as_ints(geometry.window.kernel)) if n > 1]
        for number, axis in enumerate(axes):
            to_result = axis == axes[-1] and self._ends_in(y)
            out = y if to_result else buffers[number % 2]
            yield from self._pass(axis, x, out)
            x = out
        steps = (slice(None, (p - 1) * s + 1, s) for p, s in self._grid())
        yield from geometry.finish(x if x is y else x[(slice(None), *steps)], y, slice(None), 0)

    def _grid(self) -> list[tuple[int, int]]:
        geometry = self.geometry
        return list(zip(geometry.extents, geometry.window.strides, strict=True))

    def _ends_in(self, y: Array) -> bool:
        """Whether the last pass can write the result itself."""
        whole = y.shape[1:] == self.geometry.spatial and not self.is_narrow
        return whole and y.flags.c_contiguous and set(self.geometry.window.strides) == {1}

    def _pass(self, axis: int, x: Array, out: Array) -> Iterator[Call]:
        """Combine along one axis: the window at o·stride stands at that position of ``out``."""
        geometry, window = self.geometry, self.geometry.window
        kernel, begin = as_ints((window.kernel[axis], window.pads_begin[axis]))
        step = math.prod(geometry.spatial[axis + 1 :])
        hop = window.dilations[axis] * step
        count = x.size - (kernel - 1) * hop
        source, target = x.reshape(-1), out.reshape(-1)
        if count > 0:
            taps = [source[k * hop : k * hop + count] for k in range(kernel)]
            inside = target[begin * step : begin * step + count]
            yield from combined(geometry.combine, taps, inside, geometry.fill)
        outer, stride = (slice(None),) * (axis + 1), window.strides[axis]
        for segment in segments(
            window, axis, geometry.spatial[axis], range(geometry.extents[axis])
        ):
            if len(segment.taps) < kernel:
                places = slice(
                    segment.windows.start * stride, (segment.windows.stop - 1) * stride + 1, stride
                )
                # The other axes are still of full extent: all positions are computed.
                views = [x[(*outer, tap)] for tap in segment.taps]
                yield from combined(geometry.combine, views, out[(*outer, places)], geometry.fill)


def _shifted(part: slice, by: int) -> slice:
    return slice(part.start - by, part.stop - by, part.step)
