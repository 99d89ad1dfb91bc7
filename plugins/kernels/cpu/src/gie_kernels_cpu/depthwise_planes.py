"""Depthwise convolution, channels first: one plane of a channel after the other.

A plane is dealt out so that each kernel position reads one contiguous run, see ``planes``; a run is
multiplied by its weight and added to the sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from gie_core.ir.types import Array
from gie_core.kernels.candidate import Work
from gie_kernels_cpu.blocks import parts, spans
from gie_kernels_cpu.convolution import ConvolutionMethod, Job, Part
from gie_kernels_cpu.cost import elementwise, total
from gie_kernels_cpu.geometry import NOT_DEPTHWISE, Geometry
from gie_kernels_cpu.kernel import Piece
from gie_kernels_cpu.launches import Call
from gie_kernels_cpu.planes import Planes
from gie_kernels_cpu.variant import Variant

__all__ = ["DepthwisePlanes"]

BLOCK = 1 << 16
"""Elements that are multiplied and added at once: 256 KB of f32."""


class DepthwisePlanes(ConvolutionMethod):
    """Any number of results a channel, the channels first."""

    def rejects(self, geometry: Geometry) -> str:
        return "" if geometry.is_depthwise else NOT_DEPTHWISE

    def variants(self, geometry: Geometry) -> Iterator[Variant]:
        return (variant for variant in super().variants(geometry) if not variant.source)

    def parts(self, geometry: Geometry, variant: Variant) -> list[Part]:
        return parts(geometry.images, geometry.extents[0], geometry.extents[0])

    def pieces(self, geometry: Geometry, variant: Variant) -> tuple[Piece, ...]:
        planes, wide = _planes(geometry), geometry.wide
        channels = self._at_once(geometry)
        sums = channels * geometry.results // geometry.groups * planes.width
        return (
            ((len(planes.residues), channels, planes.length), wide),
            ((sums,), wide),
            ((sums,), wide),
        )

    def packed(self, geometry: Geometry, variant: Variant) -> tuple[int, ...]:
        return (*geometry.kernel, geometry.groups, geometry.results // geometry.groups)

    def pack(self, geometry: Geometry, variant: Variant, weight: Array) -> Array:
        view = weight.reshape(geometry.groups, -1, *geometry.kernel)
        return np.moveaxis(view, (0, 1), (-2, -1))

    def work(self, geometry: Geometry, variant: Variant) -> Work:
        g, planes = geometry, _planes(geometry)
        calls = g.images * math.ceil(g.groups / self._at_once(g))
        taps = math.prod(g.kernel)
        return total(
            elementwise(g.images * g.channels * planes.length * len(planes.residues), calls),
            elementwise(g.images * g.results * planes.width * (2 * taps - 1), 2 * taps * calls),
            elementwise(2 * g.images * g.results * g.pixels, calls),
        )

    def calls(self, job: Job) -> Iterator[Call]:
        geometry = job.geometry
        planes = _planes(geometry)
        multiplier = geometry.results // geometry.groups
        factors = job.weight.reshape(-1, geometry.groups, multiplier, 1)
        for part in self.parts(geometry, job.variant):
            region = job.region(part)
            y = job.output.part(region)
            by_group = y.reshape(len(y), geometry.groups, multiplier, *geometry.extents)
            for channels in spans(geometry.groups, self._at_once(geometry)):
                count = channels.stop - channels.start
                phases = dict(zip(planes.residues, job.scratch[0][:, :count], strict=True))
                shape = (count, multiplier, planes.width)
                sums, products = (a[: math.prod(shape)].reshape(shape) for a in job.scratch[1:])
                yield from planes.deal(job.x[part[0], channels][0], phases)
                for index, tap in enumerate(planes.taps(phases)):
                    out = products if index else sums
                    yield partial(np.multiply, tap[:, None], factors[index, channels], out)
                    if index:
                        yield partial(np.add, sums, products, sums)
                yield partial(np.copyto, by_group[0, channels], planes.windows(sums))
            yield from job.output.finish(y, region)

    def _at_once(self, geometry: Geometry) -> int:
        """Channels."""
        return max(1, min(geometry.groups, BLOCK // max(1, _planes(geometry).length)))


def _planes(geometry: Geometry) -> Planes:
    return Planes(geometry.window, geometry.spatial, geometry.extents)
