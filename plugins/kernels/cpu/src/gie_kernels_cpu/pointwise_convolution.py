"""1×1 convolution: the weight times every pixel, as it lies in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gie_core.ir.types import Array
from gie_core.kernels.candidate import Work
from gie_kernels_cpu.blocks import WORKSPACE, parts
from gie_kernels_cpu.convolution import ConvolutionMethod, Job, Part, most_rows, widens
from gie_kernels_cpu.cost import elementwise, matrix_products, total
from gie_kernels_cpu.geometry import Geometry, arranged, grouped, product
from gie_kernels_cpu.halves import widening
from gie_kernels_cpu.im2col import pack_matrix, packed_matrix, weight_matrix
from gie_kernels_cpu.kernel import Piece
from gie_kernels_cpu.launches import Call
from gie_kernels_cpu.variant import Variant

__all__ = ["PointwiseConvolution"]


class PointwiseConvolution(ConvolutionMethod):
    """1×1 kernels without padding."""

    may_cross = True

    def rejects(self, geometry: Geometry) -> str:
        if any(n != 1 for n in geometry.kernel):
            return "the kernel is not 1×1"
        return "it pads" if geometry.pads else ""

    def parts(self, geometry: Geometry, variant: Variant) -> list[Part]:
        channels = max(geometry.results, geometry.channels)
        row = channels * math.prod(geometry.extents[1:]) * geometry.wide.itemsize
        return parts(geometry.images, geometry.extents[0], max(1, WORKSPACE // row))

    def pieces(self, geometry: Geometry, variant: Variant) -> tuple[Piece, ...]:
        if not _gathers(geometry, variant):
            return ()
        row = geometry.channels * math.prod(geometry.extents[1:])
        return (((most_rows(self.parts(geometry, variant)) * row,), geometry.wide),)

    def packed(self, geometry: Geometry, variant: Variant) -> tuple[int, ...]:
        return packed_matrix(geometry, False, variant.target)

    def pack(self, geometry: Geometry, variant: Variant, weight: Array) -> Array:
        return pack_matrix(geometry, False, variant.target, weight)

    def work(self, geometry: Geometry, variant: Variant) -> Work:
        g = geometry
        count = len(self.parts(g, variant)) * g.groups
        pixels = g.images * g.groups * g.pixels // max(1, count)
        depth, results = g.channels // g.groups, g.results // g.groups
        work = matrix_products(count, results, depth, pixels)
        if _gathers(g, variant):
            work = total(work, elementwise(g.images * g.channels * g.pixels, count))
        return work

    def calls(self, job: Job) -> Iterator[Call]:
        geometry = job.geometry
        weight = weight_matrix(geometry, job.weight, job.variant.target)
        inner = tuple(slice(None, None, stride) for stride in geometry.window.strides[1:])
        step = geometry.window.strides[0]
        for part in self.parts(geometry, job.variant):
            images, rows = part
            seen = slice(rows.start * step, (rows.stop - 1) * step + 1, step)
            x = job.x[(images, slice(None), seen, *inner)]
            if job.scratch:
                gathered = arranged(job.scratch[0], x.shape, job.variant.source)
                yield from widening(x, gathered)
                x = gathered
            region = job.region(part)
            y = job.output.part(region)
            yield product(weight, grouped(x, geometry.groups), grouped(y, geometry.groups))
            yield from job.output.finish(y, region)


def _gathers(geometry: Geometry, variant: Variant) -> bool:
    """Whether the pixels that are seen are copied first: no strides, no other type for BLAS."""
    return widens(geometry, variant) or max(geometry.window.strides) > 1
