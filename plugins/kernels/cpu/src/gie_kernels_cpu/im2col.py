"""im2col: the patches under a sliding window as a matrix, times the weight.

A patch matrix is a strided view of the input with its zeros around, made contiguous by one copy.
Where the channels come last, a copy moves runs of kernel width × channels elements, which is
several times faster than runs of a row's width, and strides cost nothing. (Chellapilla, Puri and
Simard, "High performance convolutional neural networks for document processing", 2006.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gie_core.ir.types import Array
from gie_core.kernels.candidate import Work
from gie_kernels_cpu.blocks import WORKSPACE, parts
from gie_kernels_cpu.convolution import ConvolutionMethod, Job, Part, most_images, most_rows, widens
from gie_kernels_cpu.cost import SCATTERED, elementwise, matrix_products, total
from gie_kernels_cpu.frame import Frame, frame_of
from gie_kernels_cpu.geometry import Geometry, arranged, grouped, product
from gie_kernels_cpu.kernel import Piece
from gie_kernels_cpu.launches import Call
from gie_kernels_cpu.variant import Variant

__all__ = ["Im2colConvolution", "pack_matrix", "packed_matrix", "weight_matrix"]

LONG_RUN = 48
"""Kernel width × channels from which on a patch is copied faster with its channels last, even if
those of x come first."""


class Im2colConvolution(ConvolutionMethod):
    """Any geometry: patches are gathered into a matrix, part by part, and multiplied."""

    may_cross = True

    def rejects(self, geometry: Geometry) -> str:
        if math.prod(geometry.kernel) == 1 and not geometry.pads:
            return "a 1×1 kernel needs no patches"
        if geometry.is_depthwise:
            return "there are no matrices in a depthwise convolution"
        return ""

    def parts(self, geometry: Geometry, variant: Variant) -> list[Part]:
        row = math.prod(geometry.extents[1:]) * geometry.depth * geometry.groups
        at_once = max(1, WORKSPACE // max(1, row * geometry.wide.itemsize))
        return parts(geometry.images, geometry.extents[0], at_once)

    def pieces(self, geometry: Geometry, variant: Variant) -> tuple[Piece, ...]:
        row = math.prod(geometry.extents[1:]) * geometry.depth * geometry.groups
        cut = self.parts(geometry, variant)
        columns = ((most_rows(cut) * row,), geometry.wide)
        if not _is_framed(geometry, variant):
            return (columns,)
        image = geometry.channels * math.prod(_frame(geometry).sizes)
        return columns, ((most_images(cut) * image,), geometry.wide)

    def packed(self, geometry: Geometry, variant: Variant) -> tuple[int, ...]:
        return packed_matrix(geometry, _channels_last(geometry, variant), variant.target)

    def pack(self, geometry: Geometry, variant: Variant, weight: Array) -> Array:
        return pack_matrix(geometry, _channels_last(geometry, variant), variant.target, weight)

    def work(self, geometry: Geometry, variant: Variant) -> Work:
        g = geometry
        count = len(self.parts(g, variant))
        pixels = g.images * g.pixels // max(1, count)
        rate = 1 if _channels_last(g, variant) else SCATTERED / 2
        work = total(
            matrix_products(count * g.groups, g.results // g.groups, g.depth, pixels),
            elementwise(g.images * g.pixels * g.depth * g.groups * rate, count),
        )
        if _is_framed(g, variant):
            framed = g.images * g.channels * math.prod(_frame(g).sizes)
            work = total(work, elementwise(framed, g.images))
        return work

    def calls(self, job: Job) -> Iterator[Call]:
        geometry, variant = job.geometry, job.variant
        last = _channels_last(geometry, variant)
        weight = weight_matrix(geometry, job.weight, variant.target)
        frame, framed, previous = _frame(geometry), job.x, None
        for part in self.parts(geometry, variant):
            images, rows = part
            if len(job.scratch) == 1:
                framed = job.x[images]
            elif images != previous:
                shape = (images.stop - images.start, geometry.channels, *frame.sizes)
                framed = arranged(job.scratch[1], shape, last)
                yield from frame.write(job.x[images], framed)
            previous = images
            patches = _patches(geometry, framed, rows, last)
            columns = job.scratch[0][: patches.size].reshape(patches.shape)
            yield partial(np.copyto, columns, patches)
            region = job.region(part)
            y = job.output.part(region)
            matrix = _matrix(geometry, columns, rows.stop - rows.start, last)
            yield product(weight, matrix, grouped(y, geometry.groups))
            yield from job.output.finish(y, region)


def packed_matrix(geometry: Geometry, channels_last: bool, transposed: bool) -> tuple[int, ...]:
    """The shape of a weight as ``pack_matrix`` returns it."""
    depth = geometry.channels // geometry.groups
    patch = (*geometry.kernel, depth) if channels_last else (depth, *geometry.kernel)
    results = geometry.results // geometry.groups
    return (geometry.groups, *((*patch, results) if transposed else (results, *patch)))


def pack_matrix(geometry: Geometry, channels_last: bool, transposed: bool, weight: Array) -> Array:
    """A view of the weight as [groups, O/groups, *patch].

    Args:
        geometry: the convolution's.
        channels_last: a patch is [*K, C/groups], not [C/groups, *K].
        transposed: [groups, *patch, O/groups]; BLAS is a little faster if the longer side of its
            smaller operand is the one without gaps, as it is for results with channels last.
        weight: [O, C/groups, *K].
    """
    view = weight.reshape(geometry.groups, -1, *weight.shape[1:])
    view = np.moveaxis(view, 2, -1) if channels_last else view
    return np.moveaxis(view, 1, -1) if transposed else view


def weight_matrix(geometry: Geometry, packed: Array, transposed: bool) -> Array:
    """A packed weight as [groups, O/groups, depth]."""
    results = geometry.results // geometry.groups
    if transposed:
        return packed.reshape(geometry.groups, geometry.depth, results).swapaxes(1, 2)
    return packed.reshape(geometry.groups, results, geometry.depth)


def _channels_last(geometry: Geometry, variant: Variant) -> bool:
    """Whether patches have their channels last."""
    consecutive = geometry.kernel[-1] if geometry.window.dilations[-1] == 1 else 1
    long = geometry.channels // geometry.groups * consecutive >= LONG_RUN
    return variant.source or long


def _is_framed(geometry: Geometry, variant: Variant) -> bool:
    """Whether the input is copied before its patches are, to put zeros around or to reorder."""
    reordered = variant.source != _channels_last(geometry, variant)
    return reordered or widens(geometry, variant) or not _frame(geometry).is_empty


def _frame(geometry: Geometry) -> Frame:
    return frame_of(geometry.window, geometry.spatial, geometry.extents)


def _patches(geometry: Geometry, framed: Array, rows: slice, last: bool) -> Array:
    """The patches of some rows of windows, without a copy.

    Returns:
        [N, groups, rows, *P[1:], *K, C/groups] or [N, groups, C/groups, *K, rows, *P[1:]].
    """
    window = geometry.window
    depth = geometry.channels // geometry.groups
    start = framed[:, :, rows.start * window.strides[0] :]
    by_channel, *steps = start.strides[1:]
    by_window = tuple(n * s for n, s in zip(steps, window.strides, strict=True))
    by_tap = tuple(n * d for n, d in zip(steps, window.dilations, strict=True))
    extents = (rows.stop - rows.start, *geometry.extents[1:])
    if last:
        inner = (*extents, *geometry.kernel, depth)
        strides = (*by_window, *by_tap, by_channel)
    else:
        inner = (depth, *geometry.kernel, *extents)
        strides = (by_channel, *by_tap, *by_window)
    shape = (start.shape[0], geometry.groups, *inner)
    strides = (start.strides[0], by_channel * depth, *strides)
    return as_strided(start, shape, strides, writeable=False)


def _matrix(geometry: Geometry, columns: Array, rows: int, last: bool) -> Array:
    """Gathered patches as [N, groups, depth, rows, *P[1:]]."""
    images, groups, extents = columns.shape[0], geometry.groups, (rows, *geometry.extents[1:])
    if last:
        return np.moveaxis(columns.reshape(images, groups, *extents, geometry.depth), -1, 2)
    return columns.reshape(images, groups, geometry.depth, *extents)
