"""Winograd's minimal filtering: a 3×3 convolution with 2.25 or 4 times fewer products.

A tile of m×m results depends on a tile of (m + 2)×(m + 2) inputs. With d the input tile, g the
kernel and three constant matrices, the result is Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A; for many tiles and
channels the product ⊙ becomes one matrix product per position of a tile. (Lavin and Gray, "Fast
algorithms for convolutional neural networks", 2016.)

Both transforms are matrix products too, with the Kronecker products B⊗B and A⊗A: more arithmetic
than sums of shifted arrays would need, but BLAS does it on all threads in one pass, and NumPy
would take 17 passes on one.

F(4×4, 3×3) usually interpolates at 0, ±1, ±2; the points here lose half as many bits: the relative
error of a random convolution is 1.4e-6 instead of 3.1e-6 (F(2×2, 3×3): 0.5e-6, im2col: 0.3e-6).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product as pairs

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gie_core.ir.types import Array
from gie_core.kernels.candidate import Work
from gie_core.ops.extents import as_ints
from gie_kernels_cpu.blocks import parts
from gie_kernels_cpu.convolution import ConvolutionMethod, Job, Part, most_images
from gie_kernels_cpu.cost import SCATTERED, elementwise, matrix_products, total
from gie_kernels_cpu.frame import Frame
from gie_kernels_cpu.geometry import Geometry, arranged
from gie_kernels_cpu.kernel import Piece
from gie_kernels_cpu.launches import Call
from gie_kernels_cpu.variant import Variant

__all__ = ["Transforms", "WinogradConvolution", "transforms"]

KERNEL = 3
POINTS = {2: (0, 1, -1), 4: (0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)}
"""Where polynomials are evaluated besides at infinity, by the edge of a tile of results."""

CHUNK = 4 << 20
"""Bytes that the transformed inputs, or results, of the tiles computed at once may take."""

FEWEST_CHANNELS = 8


@dataclass(frozen=True)
class Transforms:
    """The matrices of F(m×m, 3×3), in float64.

    Args:
        kernel: G, [m + 2, 3].
        inputs: Bᵀ⊗Bᵀ, [(m + 2)², (m + 2)²].
        results: Aᵀ⊗Aᵀ, [m², (m + 2)²], with a column of ones behind for the bias.
    """

    kernel: Array
    inputs: Array
    results: Array


@cache
def transforms(edge: int) -> Transforms:
    """The matrices for tiles of edge × edge results, from Lagrange's interpolation formula."""
    points = np.array(POINTS[edge])
    size = edge + KERNEL - 1
    results, kernel = np.zeros((edge, size)), np.zeros((size, KERNEL))
    inputs = np.zeros((size, size))
    for index, point in enumerate(points):
        others = np.delete(points, index)
        results[:, index] = point ** np.arange(edge)
        kernel[index] = point ** np.arange(KERNEL) / np.prod(point - others)
        inputs[index, :-1] = np.poly(others)[::-1]
    results[-1, -1] = kernel[-1, -1] = 1  # the point at infinity
    inputs[-1] = np.poly(points)[::-1]
    squared = np.kron(results, results)
    with_bias = np.concatenate([squared, np.ones((len(squared), 1))], axis=1)
    return Transforms(kernel, np.kron(inputs, inputs), with_bias)


class WinogradConvolution(ConvolutionMethod):
    """3×3 kernels that move one position at a time, of constant weight.

    Args:
        edge: of a tile of results: 2 or 4.
    """

    needs_constant = True

    def __init__(self, edge: int) -> None:
        self._edge = edge
        self._size = edge + KERNEL - 1

    def rejects(self, geometry: Geometry) -> str:
        if geometry.kernel != (KERNEL, KERNEL) or not geometry.is_plain or geometry.groups != 1:
            return "it is not a 3×3 convolution of stride 1 in one group"
        if min(geometry.channels, geometry.results) < FEWEST_CHANNELS:
            return "it has too few channels to transform them"
        return ""

    def parts(self, geometry: Geometry, variant: Variant) -> list[Part]:
        tiles = self._tiles(geometry)
        channels = max(geometry.channels, geometry.results)
        row = tiles[1] * self._size**2 * channels * geometry.wide.itemsize
        cut = parts(geometry.images, tiles[0], max(1, CHUNK // row))
        last = geometry.extents[0]
        return [
            (images, slice(rows.start * self._edge, min(last, rows.stop * self._edge)))
            for images, rows in cut
        ]

    def pieces(self, geometry: Geometry, variant: Variant) -> tuple[Piece, ...]:
        cut = self.parts(geometry, variant)
        most = max((self._count(geometry, part) for part in cut), default=0)
        wide, area = geometry.wide, self._size**2
        framed = most_images(cut) * geometry.channels * math.prod(self._frame(geometry).sizes)
        given, made = most * geometry.channels, most * geometry.results
        return (
            ((framed,), wide),
            ((max(area * given, (area + 1) * made),), wide),  # gathered tiles, then products
            ((max(area * given, self._edge**2 * made),), wide),  # transformed inputs, then results
        )

    def packed(self, geometry: Geometry, variant: Variant) -> tuple[int, ...]:
        channels = (geometry.channels, geometry.results)
        return (self._size**2, *(channels if variant.target else channels[::-1]))

    def pack(self, geometry: Geometry, variant: Variant, weight: Array) -> Array:
        matrix = transforms(self._edge).kernel
        taps = weight.transpose(2, 3, *((1, 0) if variant.target else (0, 1)))
        taps = taps.astype(np.float64, order="C").reshape(KERNEL**2, -1)
        # G g Gᵀ of every kernel g, as one product.
        return (np.kron(matrix, matrix) @ taps).reshape(self.packed(geometry, variant))

    def work(self, geometry: Geometry, variant: Variant) -> Work:
        g, area = geometry, self._size**2
        cut = self.parts(g, variant)
        count, tiles = len(cut), math.prod(self._tiles(g)) * g.images
        most = tiles // max(1, count)
        rate = 1 if variant.target else SCATTERED
        return total(
            matrix_products(count * area, g.results, g.channels, most),
            matrix_products(count, area, area, most * g.channels),
            matrix_products(count, self._edge**2, area + 1, most * g.results),
            elementwise(g.images * g.channels * math.prod(self._frame(g).sizes), g.images),
            elementwise(tiles * area * g.channels * rate, count),
            elementwise(tiles * self._edge**2 * g.results * rate, count),
        )

    def calls(self, job: Job) -> Iterator[Call]:
        geometry, last = job.geometry, job.variant.target
        matrices = transforms(self._edge)
        inputs = matrices.inputs.astype(geometry.wide)
        results = matrices.results.astype(geometry.wide)
        if job.output.bias is None:
            results = np.ascontiguousarray(results[:, :-1])
        frame, previous = self._frame(geometry), None
        framed = job.x
        for part in self.parts(geometry, job.variant):
            images, rows = part
            if images != previous:
                shape = (images.stop - images.start, geometry.channels, *frame.sizes)
                framed = arranged(job.scratch[0], shape, last)
                yield from frame.write(job.x[images], framed)
            previous = images
            gathered, transformed, products, finished = self._arrays(job, part)
            yield partial(np.copyto, gathered, self._input_tiles(framed, rows, last))
            flat = _rows(gathered, 2)
            yield partial(np.matmul, inputs, flat, transformed.reshape(flat.shape))
            area = self._size**2
            pair = (transformed, job.weight) if last else (job.weight, transformed)
            yield partial(np.matmul, *pair, products[:area])
            if job.output.bias is not None:
                bias = job.output.bias[: geometry.results]
                yield partial(np.copyto, products[area], bias if last else bias[:, None])
            yield partial(np.matmul, results, _rows(products, 1), _rows(finished, 2))
            region = job.region(part)
            y = job.output.part(region)
            yield from self._store(finished, y, last)
            yield from job.output.finish(y, region, biased=True)

    def _arrays(self, job: Job, part: Part) -> tuple[Array, Array, Array, Array]:
        """Gathered tiles, transformed tiles, their products, tiles of results; C-contiguous."""
        images, rows = part
        geometry, last = job.geometry, job.variant.target
        area = self._size**2
        high, wide = -(-(rows.stop - rows.start) // self._edge), self._tiles(geometry)[1]
        tiles = (images.stop - images.start, high, wide)
        count = math.prod(tiles)

        def array(memory: Array, before: Sequence[int], channels: int, flat: bool) -> Array:
            middle = [count] if flat else list(tiles)
            shape = (*before, *middle, channels) if last else (*before, channels, *middle)
            return memory[: math.prod(shape)].reshape(shape)

        first, second = job.scratch[1:]
        return (
            array(first, (self._size, self._size), geometry.channels, False),
            array(second, (area,), geometry.channels, True),
            array(first, (area + (job.output.bias is not None),), geometry.results, True),
            array(second, (self._edge, self._edge), geometry.results, False),
        )

    def _input_tiles(self, framed: Array, rows: slice, last: bool) -> Array:
        """Overlapping tiles of [N, C, *S'] as [size, size, N, high, wide, C], or C before N."""
        high = -(-(rows.stop - rows.start) // self._edge)
        wide = (framed.shape[3] - KERNEL + 1) // self._edge
        by_image, by_channel, by_row, by_column = framed.strides
        start = framed[:, :, rows.start :]
        shape = (self._size, self._size, len(framed), high, wide)
        strides = (by_row, by_column, by_image, by_row * self._edge, by_column * self._edge)
        if last:
            shape, strides = (*shape, framed.shape[1]), (*strides, by_channel)
        else:
            shape = (*shape[:2], framed.shape[1], *shape[2:])
            strides = (*strides[:2], by_channel, *strides[2:])
        return as_strided(start, shape, strides, writeable=False)

    def _store(self, tiles: Array, y: Array, last: bool) -> Iterator[Call]:
        """Copy tiles [edge, edge, N, high, wide, C] (or C before N) to y [N, C, rows, columns]."""
        tiles = tiles if last else np.moveaxis(tiles, 2, -1)
        for vertical, horizontal in pairs(*(self._cuts(n) for n in y.shape[2:])):
            rows, row_tiles, high = vertical
            columns, column_tiles, wide = horizontal
            target = y[:, :, rows, columns]
            split = target.reshape(*target.shape[:2], -1, high, target.shape[3] // wide, wide)
            source = tiles[:high, :wide, :, row_tiles, column_tiles]
            yield partial(np.copyto, split.transpose(3, 5, 0, 2, 4, 1), source)

    def _cuts(self, extent: int) -> Iterator[tuple[slice, slice, int]]:
        """Whole tiles along an axis, then the one that is cut off: positions, tiles, edge."""
        whole, rest = divmod(extent, self._edge)
        if whole:
            yield slice(0, whole * self._edge), slice(0, whole), self._edge
        if rest:
            yield slice(whole * self._edge, extent), slice(whole, whole + 1), rest

    def _tiles(self, geometry: Geometry) -> tuple[int, int]:
        high, wide = (-(-n // self._edge) for n in geometry.extents)
        return high, wide

    def _count(self, geometry: Geometry, part: Part) -> int:
        """Tiles of a part."""
        images, rows = part
        high = -(-(rows.stop - rows.start) // self._edge)
        return (images.stop - images.start) * high * self._tiles(geometry)[1]

    def _frame(self, geometry: Geometry) -> Frame:
        sizes = tuple(n * self._edge + KERNEL - 1 for n in self._tiles(geometry))
        return Frame(geometry.spatial, as_ints(geometry.window.pads_begin), sizes)


def _rows(array: Array, count: int) -> Array:
    """A contiguous array as a matrix whose rows run over the first ``count`` axes."""
    return array.reshape(math.prod(array.shape[:count]), -1)
