"""im2col: the patches under a sliding window, laid out as a matrix.

A patch matrix is a strided view of the padded input, made contiguous by one copy. Where the
channels come last, a copy moves runs of kernel width × channels elements, which is several times
faster than runs of a row's width, and strides cost nothing. (Chellapilla, Puri and Simard,
"High performance convolutional neural networks for document processing", 2006.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gie_core.ir.types import Array
from gie_core.ops.extents import as_ints
from gie_core.ops.window import Window

__all__ = ["Patches"]


@dataclass(frozen=True)
class Patches:
    """Patch matrices of one geometry.

    Args:
        window: with numbers only.
        groups: of channels.
        spatial: extents of the input.
        extents: number of windows along each spatial axis.
        channels_last: how a patch is ordered: [*K, C/groups] or [C/groups, *K].
    """

    window: Window
    groups: int
    spatial: tuple[int, ...]
    extents: tuple[int, ...]
    channels_last: bool

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Extents of the padded input, as far as windows see it."""
        spans = as_ints(self.window.spans)
        return tuple(
            (n - 1) * s + span
            for n, s, span in zip(self.extents, self.window.strides, spans, strict=True)
        )

    @cached_property
    def inside(self) -> tuple[slice, ...]:
        """Where the input lies in the padded input."""
        begins = as_ints(self.window.pads_begin)
        return tuple(
            slice(begin, max(begin, min(begin + n, size)))
            for n, size, begin in zip(self.spatial, self.sizes, begins, strict=True)
        )

    @cached_property
    def seen(self) -> tuple[slice, ...]:
        """The part of the input that windows see."""
        return tuple(slice(part.stop - part.start) for part in self.inside)

    def padded(self, x: Array, dtype: np.dtype[Any]) -> Array:
        """x [N, C, *S] with what the windows see around it, as [N, C, *S'] or [N, *S', C]."""
        images, channels = x.shape[:2]
        as_is = all(part == slice(0, n) for part, n in zip(self.inside, self.sizes, strict=True))
        if as_is and not self.channels_last and x.dtype == dtype:
            return x
        if self.channels_last:
            result = np.zeros((images, *self.sizes, channels), dtype)
            np.moveaxis(result, -1, 1)[(..., *self.inside)] = x[(..., *self.seen)]
        else:
            result = np.zeros((images, channels, *self.sizes), dtype)
            result[(..., *self.inside)] = x[(..., *self.seen)]
        return result

    def view(self, padded: Array, rows: slice) -> Array:
        """The patches of some rows of windows, without a copy.

        Returns:
            [N, groups, rows, *P[1:], *K, C/groups] or [N, groups, C/groups, *K, rows, *P[1:]].
        """
        window, kernel = self.window, as_ints(self.window.kernel)
        channel_axis, first = (padded.ndim - 1, 1) if self.channels_last else (1, 2)
        depth = padded.shape[channel_axis] // self.groups
        by_channel = padded.strides[channel_axis]
        steps = padded.strides[first : first + len(kernel)]
        by_window = [n * s for n, s in zip(steps, window.strides, strict=True)]
        by_tap = [n * d for n, d in zip(steps, window.dilations, strict=True)]
        extents = (rows.stop - rows.start, *self.extents[1:])
        shape = (padded.shape[0], self.groups)
        strides = (padded.strides[0], by_channel * depth)
        if self.channels_last:
            shape += (*extents, *kernel, depth)
            strides += (*by_window, *by_tap, by_channel)
        else:
            shape += (depth, *kernel, *extents)
            strides += (by_channel, *by_tap, *by_window)
        start = (slice(None),) * first + (slice(rows.start * window.strides[0], None),)
        return as_strided(padded[start], shape, strides, writeable=False)
