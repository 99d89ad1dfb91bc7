"""im2col: the patches under a sliding window, laid out as a matrix.

A patch matrix is a strided view of the padded input, made contiguous by one copy. Where the
channels come last, a copy moves runs of kernel width × channels elements, which is several times
faster than runs of a row's width, and strides cost nothing. (Chellapilla, Puri and Simard,
"High performance convolutional neural networks for document processing", 2006.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gie_core.ir.types import Array
from gie_core.ops.checks import as_ints
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

    def padded(self, x: Array, dtype: np.dtype[Any]) -> Array:
        """x [N, C, *S] with what the windows see around it, as [N, C, *S'] or [N, *S', C]."""
        spans = as_ints(self.window.spans)
        sizes = [
            (n - 1) * s + span
            for n, s, span in zip(self.extents, self.window.strides, spans, strict=True)
        ]
        begins = as_ints(self.window.pads_begin)
        fits = all(size <= n for size, n in zip(sizes, self.spatial, strict=True))
        if fits and not any(begins) and not self.channels_last and x.dtype == dtype:
            return x
        images, channels = x.shape[:2]
        order = (images, *sizes, channels) if self.channels_last else (images, channels, *sizes)
        result = np.zeros(order, dtype)
        target = np.moveaxis(result, -1, 1) if self.channels_last else result
        counts = [
            max(0, min(n, size - begin))
            for n, size, begin in zip(self.spatial, sizes, begins, strict=True)
        ]
        inside = (slice(b, b + n) for b, n in zip(begins, counts, strict=True))
        target[(..., *inside)] = x[(..., *(slice(n) for n in counts))]
        return result

    def view(self, padded: Array, rows: slice) -> Array:
        """The patches of some rows of windows, without a copy.

        Returns:
            [N, groups, rows, *P[1:], *K, C/groups] or [N, groups, C/groups, *K, rows, *P[1:]].
        """
        window, kernel = self.window, as_ints(self.window.kernel)
        channel_axis = padded.ndim - 1 if self.channels_last else 1
        depth = padded.shape[channel_axis] // self.groups
        by_channel = padded.strides[channel_axis]
        steps = padded.strides[1:-1] if self.channels_last else padded.strides[2:]
        by_window = [n * s for n, s in zip(steps, window.strides, strict=True)]
        by_tap = [n * d for n, d in zip(steps, window.dilations, strict=True)]
        extents = (rows.stop - rows.start, *self.extents[1:])
        shape = (padded.shape[0], self.groups)
        strides = (padded.strides[0], by_channel * depth)
        if self.channels_last:
            shape, strides = (
                (*shape, *extents, *kernel, depth),
                (*strides, *by_window, *by_tap, by_channel),
            )
        else:
            shape, strides = (
                (*shape, depth, *kernel, *extents),
                (*strides, by_channel, *by_tap, *by_window),
            )
        skip = (slice(None),) * (1 if self.channels_last else 2)
        start = padded[(*skip, slice(rows.start * window.strides[0], None))]
        return as_strided(start, shape, strides, writeable=False)
