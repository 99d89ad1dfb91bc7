"""What the windows of a pool see along one axis.

Padding is never stored: at the edges, windows are combined from those kernel positions that lie
inside of the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from gie_core.ir.types import Array
from gie_core.ops.extents import as_ints
from gie_core.ops.window import Window
from gie_kernels_cpu.launches import Call

__all__ = ["Segment", "combined", "segments"]


@dataclass(frozen=True)
class Segment:
    """Neighbouring windows along an axis that see the input at the same kernel positions.

    Args:
        windows: which.
        taps: for each of those kernel positions, what the windows see there.
    """

    windows: slice
    taps: tuple[slice, ...]


def segments(window: Window, axis: int, extent: int, windows: range) -> list[Segment]:
    """The windows in a range, cut into segments.

    Args:
        extent: of the input along the axis.
        windows: which; the segments count them from the first of these.
    """
    kernel, begin = as_ints((window.kernel[axis], window.pads_begin[axis]))
    stride, dilation = window.strides[axis], window.dilations[axis]

    def seen(number: int) -> tuple[int, ...]:
        first = number * stride - begin
        return tuple(k for k in range(kernel) if 0 <= first + k * dilation < extent)

    found: list[Segment] = []
    for positions, group in groupby(windows, seen):
        numbers = list(group)
        low, count = numbers[0], len(numbers)
        starts = (low * stride - begin + k * dilation for k in positions)
        taps = tuple(slice(start, start + (count - 1) * stride + 1, stride) for start in starts)
        found.append(Segment(slice(low - windows.start, low - windows.start + count), taps))
    return found


def combined(function: np.ufunc, taps: Sequence[Array], out: Array, fill: Any) -> Iterator[Call]:
    """Calls that combine arrays of one shape into ``out``; ``fill`` if there are none."""
    if not taps:
        yield partial(out.fill, fill)
    elif len(taps) == 1:
        yield partial(np.copyto, out, taps[0])
    else:
        yield partial(function, taps[0], taps[1], out=out)
        for tap in taps[2:]:
            yield partial(function, out, tap, out=out)
