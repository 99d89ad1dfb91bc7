"""Spatial planes laid out so that every position of a sliding window is one contiguous read.

A plane is padded and dealt out into phases: phase r holds the positions r, r + stride,
r + 2·stride, … of each axis. At kernel position k a window of any stride then reads the phase
k·dilation mod stride from a constant flat offset on, with no gaps, so one NumPy call runs over
all windows. The price is a few columns between the rows that belong to no window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product

import numpy as np

from gie_core.ir.types import Array
from gie_core.ops.extents import as_ints
from gie_core.ops.window import Window
from gie_kernels_cpu.blocks import Region
from gie_kernels_cpu.halves import widening
from gie_kernels_cpu.launches import Call

__all__ = ["Planes"]

Phases = dict[tuple[int, ...], Array]


@dataclass(frozen=True)
class Planes:
    """The layout for one geometry.

    Args:
        window: with numbers only.
        spatial: extents of the input.
        extents: number of windows along each axis.
    """

    window: Window
    spatial: tuple[int, ...]
    extents: tuple[int, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Extents of a phase."""
        spans = as_ints(self.window.spans)
        return tuple(
            n + (span - 1) // s
            for n, span, s in zip(self.extents, spans, self.window.strides, strict=True)
        )

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Flat distance between neighbours along each axis of a phase."""
        return tuple(math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape)))

    @cached_property
    def width(self) -> int:
        """Flat length of a result: all windows, and the columns between them."""
        return self.extents[0] * self.steps[0]

    @cached_property
    def length(self) -> int:
        """Flat length of a phase, with room for the farthest read."""
        return self.width + sum(
            self._offset(axis, k - 1) for axis, k in enumerate(as_ints(self.window.kernel))
        )

    @cached_property
    def residues(self) -> list[tuple[int, ...]]:
        """Those of the phases that are read."""
        kernel, window = as_ints(self.window.kernel), self.window
        axes = zip(kernel, window.dilations, window.strides, strict=True)
        return list(product(*(sorted({k * d % s for k in range(n)}) for n, d, s in axes)))

    def deal(self, x: Array, phases: Phases) -> Iterator[Call]:
        """Launches that deal out x [planes, *S] into arrays [planes, length] by residue."""
        for residue, phase in phases.items():
            yield partial(phase.fill, 0)
            whole = phase[:, : math.prod(self.shape)].reshape(len(x), *self.shape)
            target, source = self._phase(residue)
            if whole[target].size:
                yield from widening(x[source], whole[target])

    def taps(self, phases: Phases) -> Iterator[Array]:
        """What each kernel position reads, in row-major order: views [planes, width]."""
        for position in np.ndindex(*as_ints(self.window.kernel)):
            offset = sum(self._offset(axis, k) for axis, k in enumerate(position))
            residue = tuple(self._residue(axis, k) for axis, k in enumerate(position))
            yield phases[residue][:, offset : offset + self.width]

    def windows(self, flat: Array) -> Array:
        """The results [..., width] as [..., *P], without the columns between."""
        wide = flat.reshape(*flat.shape[:-1], self.extents[0], *self.shape[1:])
        return wide[(..., *(slice(n) for n in self.extents))]

    def _residue(self, axis: int, k: int) -> int:
        return k * self.window.dilations[axis] % self.window.strides[axis]

    def _offset(self, axis: int, k: int) -> int:
        return k * self.window.dilations[axis] // self.window.strides[axis] * self.steps[axis]

    def _phase(self, residue: tuple[int, ...]) -> tuple[Region, Region]:
        """Where a phase's positions inside of x go, and which these are."""
        target: list[slice] = [slice(None)]
        source: list[slice] = [slice(None)]
        begins = as_ints(self.window.pads_begin)
        for r, s, begin, n, room in zip(
            residue, self.window.strides, begins, self.spatial, self.shape, strict=True
        ):
            first = max(0, -(-(begin - r) // s))  # the first position inside of x …
            start = r + first * s - begin  # … and where in x it lies
            count = max(0, min(room - first, -(-(n - start) // s)))
            target.append(slice(first, first + count))
            source.append(slice(start, start + (count - 1) * s + 1 if count else start, s))
        return tuple(target), tuple(source)
