"""Zeros around an input: what the windows of a convolution see beyond its edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from gie_core.ir.types import Array
from gie_core.ops.extents import as_ints
from gie_core.ops.window import Window
from gie_kernels_cpu.halves import widening
from gie_kernels_cpu.launches import Call

__all__ = ["Frame", "frame_of"]


@dataclass(frozen=True)
class Frame:
    """Where the input lies in a larger array.

    Args:
        spatial: extents of the input.
        before: zeros in front, along each axis.
        sizes: extents of the larger array; less of the input is seen if it does not fit.
    """

    spatial: tuple[int, ...]
    before: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing around the input. Its end may still be cut off."""
        return all(part == slice(0, n) for part, n in zip(self.inside, self.sizes, strict=True))

    @property
    def inside(self) -> tuple[slice, ...]:
        """Where the input lies."""
        return tuple(
            slice(min(begin, size), max(begin, min(begin + n, size)))
            for n, size, begin in zip(self.spatial, self.sizes, self.before, strict=True)
        )

    def write(self, x: Array, framed: Array) -> Iterator[Call]:
        """Launches that write x [N, C, *S] with the zeros around it into ``framed``.

        Args:
            framed: [N, C, *sizes], of any layout, x's dtype or a wider one.
        """
        inner: tuple[slice, ...] = (slice(None), slice(None))
        for part, size in zip(self.inside, self.sizes, strict=True):
            for beside in (slice(0, part.start), slice(part.stop, size)):
                if beside.start < beside.stop:
                    yield partial(framed[(*inner, beside)].fill, 0)
            inner = (*inner, part)
        seen = tuple(slice(part.stop - part.start) for part in self.inside)
        if framed[inner].size:
            yield from widening(x[(..., *seen)], framed[inner])


def frame_of(window: Window, spatial: tuple[int, ...], extents: tuple[int, ...]) -> Frame:
    """The frame in which all windows of a convolution find their positions."""
    sizes = tuple(
        (n - 1) * stride + span
        for n, stride, span in zip(extents, window.strides, as_ints(window.spans), strict=True)
    )
    return Frame(spatial, as_ints(window.pads_begin), sizes)
