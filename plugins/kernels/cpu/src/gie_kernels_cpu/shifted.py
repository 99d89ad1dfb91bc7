"""Convolution as one product for all kernel positions, whose results are shifted and added up.

Where a convolution makes fewer results than it reads channels, it is cheaper to move the products
of the k² positions than to gather k² patches of the input. A transposed convolution is made so in
any case (col2im).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from itertools import product as pairs

import numpy as np

from gie_core.ir.types import Array
from gie_core.kernels.candidate import Work
from gie_core.ops.extents import as_ints
from gie_kernels_cpu.blocks import WORKSPACE, parts, spans
from gie_kernels_cpu.convolution import ConvolutionMethod, Job, Part, widens
from gie_kernels_cpu.cost import elementwise, matrix_products, total
from gie_kernels_cpu.geometry import Geometry, arranged, grouped, product
from gie_kernels_cpu.halves import widening
from gie_kernels_cpu.kernel import Piece
from gie_kernels_cpu.launches import Call
from gie_kernels_cpu.variant import Variant

__all__ = ["ShiftedConvolution", "ShiftedProducts"]

Shift = tuple[tuple[slice, ...], tuple[slice, ...]]
"""Some positions of the input, and those of the result that their products are added to."""


class ShiftedProducts(ConvolutionMethod):
    """What a convolution and its transpose share: only where the products go differs."""

    @abstractmethod
    def offset(self, geometry: Geometry, axis: int, position: int) -> int:
        """Where the product of input position 0 goes, by the position of the kernel."""

    def parts(self, geometry: Geometry, variant: Variant) -> list[Part]:
        return parts(geometry.images, geometry.extents[0], geometry.extents[0])

    def pieces(self, geometry: Geometry, variant: Variant) -> tuple[Piece, ...]:
        row = math.prod(geometry.spatial[1:])
        rows = max((part.stop - part.start for part in self._chunks(geometry)), default=0)
        products = math.prod(geometry.kernel) * geometry.results * rows * row
        widened = geometry.channels * rows * row * widens(geometry, variant)
        return ((products,), geometry.wide), ((widened,), geometry.wide)

    def packed(self, geometry: Geometry, variant: Variant) -> tuple[int, ...]:
        results, channels = geometry.results, geometry.channels
        groups = geometry.groups
        return (groups, *geometry.kernel, results // groups, channels // groups)

    def work(self, geometry: Geometry, variant: Variant) -> Work:
        g, taps = geometry, math.prod(geometry.kernel)
        positions, calls = math.prod(g.spatial), g.images * len(self._chunks(g))
        results, channels = g.results // g.groups, g.channels // g.groups
        pixels = math.ceil(g.images * positions / max(1, calls))
        return total(
            matrix_products(calls * g.groups, results * taps, channels, pixels),
            elementwise(g.images * g.results * positions * taps, calls * taps),
            elementwise(g.images * g.results * g.pixels, g.images),
            elementwise(g.images * g.channels * positions * widens(g, variant), calls),
        )

    def calls(self, job: Job) -> Iterator[Call]:
        geometry, last, taps = job.geometry, job.variant.source, math.prod(job.geometry.kernel)
        weight = job.weight.reshape(geometry.groups, -1, geometry.channels // geometry.groups)
        results = geometry.results // geometry.groups
        for part in self.parts(geometry, job.variant):
            region = job.region(part)
            y = job.output.part(region)
            yield partial(np.copyto, y, 0)
            by_group = grouped(y, geometry.groups)
            for rows in self._chunks(geometry):
                x = job.x[part[0], :, rows]
                if widens(geometry, job.variant):
                    widened = arranged(job.scratch[1], x.shape, last)
                    yield from widening(x, widened)
                    x = widened
                shape = (1, taps * geometry.results, *x.shape[2:])
                made = grouped(arranged(job.scratch[0], shape, last), geometry.groups)
                yield product(weight, grouped(x, geometry.groups), made)
                by_tap = made.reshape(1, geometry.groups, taps, results, *x.shape[2:])
                for index, (source, target) in enumerate(self._shifts(geometry, rows)):
                    sums, tap = by_group[(..., *target)], by_tap[(..., *source)][:, :, index]
                    if tap.size:
                        yield partial(np.add, sums, tap, sums)
            yield from job.output.finish(y, region)

    def _chunks(self, geometry: Geometry) -> list[slice]:
        """Rows of the input whose products are in memory at once."""
        row = math.prod(geometry.kernel) * geometry.results * math.prod(geometry.spatial[1:])
        at_once = max(1, WORKSPACE // max(1, row * geometry.wide.itemsize))
        return list(spans(geometry.spatial[0], at_once))

    def _shifts(self, geometry: Geometry, rows: slice) -> Iterator[Shift]:
        """One for each kernel position; positions of the input are counted from ``rows`` on."""
        axes: list[list[tuple[slice, slice]]] = []
        for axis, (n, extent) in enumerate(zip(geometry.spatial, geometry.extents, strict=True)):
            first, stop = (rows.start, rows.stop) if axis == 0 else (0, n)
            scale = geometry.window.strides[axis]
            found: list[tuple[slice, slice]] = []
            for position in range(geometry.kernel[axis]):
                offset = self.offset(geometry, axis, position)
                low = max(first, -(offset // scale))
                high = max(low, min(stop, (extent - 1 - offset) // scale + 1))
                begin = low * scale + offset
                target = slice(begin, begin + max(0, (high - low - 1) * scale + 1), scale)
                found.append((slice(low - first, high - first), target))
            axes.append(found)
        for chosen in pairs(*axes):
            yield tuple(source for source, _ in chosen), tuple(target for _, target in chosen)


class ShiftedConvolution(ShiftedProducts):
    """Windows that move one position at a time, with fewer results than channels."""

    def rejects(self, geometry: Geometry) -> str:
        if max(geometry.window.strides) > 1 or geometry.groups > 1:
            return "it strides, or has groups"
        if math.prod(geometry.kernel) == 1:
            return "a 1×1 kernel has nothing to shift"
        if geometry.results >= geometry.channels:
            return "its results are no fewer than its channels"
        return ""

    def pack(self, geometry: Geometry, variant: Variant, weight: Array) -> Array:
        return np.moveaxis(weight, (0, 1), (-2, -1))[None]

    def offset(self, geometry: Geometry, axis: int, position: int) -> int:
        return (
            as_ints(geometry.window.pads_begin)[axis] - position * geometry.window.dilations[axis]
        )
