"""Windows that slide over the spatial axes: the geometry that convolutions and pools share.

Tensors are [N, C, *spatial]. Output position ``o`` of an axis looks at the input
positions ``o·stride + k·dilation − pad`` for ``k`` in ``0 … kernel − 1``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gie_core.ir.dims import Dim, ceil_div, dim_min
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, Shape
from gie_core.ops.extents import as_ints
from gie_core.ops.operands import bracketed

__all__ = ["Window", "Windowed"]


@dataclass(frozen=True)
class Window:
    """A kernel's geometry with one entry per spatial axis in every tuple."""

    kernel: Shape
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads_begin: Shape
    pads_end: Shape

    @property
    def spans(self) -> Shape:
        """Input positions from a window's first to its last: (kernel − 1)·dilation + 1."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def extents(self, spatial: Shape, ceil_mode: bool = False) -> Shape:
        """Number of windows along each axis: ⌊(n + pads − span) / stride⌋ + 1.

        With ``ceil_mode`` a window may run over the end, but it must start before the
        end padding does.

        Raises:
            OpError: not one window fits.
        """
        rule = self._ceiled if ceil_mode else self._floored
        result = tuple(rule(axis, n) for axis, n in enumerate(spatial))
        if any(isinstance(n, int) and n < 1 for n in result):
            padded = (
                n + b + e for n, b, e in zip(spatial, self.pads_begin, self.pads_end, strict=True)
            )
            raise OpError(
                f"a window of {bracketed(self.spans)} does not fit into the padded extents "
                f"{bracketed(padded)}"
            )
        return result

    def _floored(self, axis: int, n: Dim) -> Dim:
        slack = n + self.pads_begin[axis] + self.pads_end[axis] - self.spans[axis]
        return slack // self.strides[axis] + 1

    def _ceiled(self, axis: int, n: Dim) -> Dim:
        # ⌈(n + begin) / stride⌉ windows start before the end padding. As many as fit, if the
        # last may run over the end, are ⌈(n + pads − span) / stride⌉ + 1, which is the former
        # with ``late`` added. The smaller number holds.
        stride = self.strides[axis]
        late = self.pads_end[axis] + stride - self.spans[axis]
        return ceil_div(n + self.pads_begin[axis] + dim_min(late, 0), stride)

    def transposed_extents(self, spatial: Shape, output_pads: tuple[int, ...]) -> Shape:
        """Extents of the input that has ``spatial`` windows: (n − 1)·stride + span − pads + extra.

        Raises:
            OpError: the pads leave nothing.
        """
        result = tuple(
            (n - 1) * s + span - begin - end + extra
            for n, s, span, begin, end, extra in zip(
                spatial,
                self.strides,
                self.spans,
                self.pads_begin,
                self.pads_end,
                output_pads or (0,) * len(spatial),
                strict=True,
            )
        )
        if any(isinstance(n, int) and n < 1 for n in result):
            raise OpError(f"the pads leave extents of {bracketed(result)}; at least 1 is needed")
        return result

    def padded(self, x: Array, extents: tuple[int, ...], fill: Any = 0) -> Array:
        """``x`` with ``fill`` around it, so that ``extents`` windows find all their positions."""
        begins, spans = as_ints(self.pads_begin), as_ints(self.spans)
        ends = (
            max(0, (out - 1) * s + span - n - begin)
            for out, s, span, n, begin in zip(
                extents, self.strides, spans, x.shape[2:], begins, strict=True
            )
        )
        widths = [(0, 0), (0, 0), *zip(begins, ends, strict=True)]
        return np.pad(x, widths, constant_values=fill) if np.any(widths) else x

    def taps(self, padded: Array, extents: tuple[int, ...]) -> Iterator[Array]:
        """Views [N, C, *extents], one per kernel position in row-major order."""
        for position in np.ndindex(*as_ints(self.kernel)):
            slices = (
                slice(k * d, k * d + (n - 1) * s + 1, s)
                for k, d, n, s in zip(position, self.dilations, extents, self.strides, strict=True)
            )
            yield padded[(..., *slices)]

    def counts(self, spatial: tuple[int, ...], extents: tuple[int, ...], with_pads: bool) -> Array:
        """How many positions of each window lie inside of the input, or of the padded input.

        What ``ceil_mode`` adds behind the end padding never counts.

        Returns:
            i64 of shape ``extents``.
        """
        result = np.ones((), np.int64)
        for axis, (n, out) in enumerate(zip(spatial, extents, strict=True)):
            (begin, end, kernel) = as_ints(
                (self.pads_begin[axis], self.pads_end[axis], self.kernel[axis])
            )
            first = np.arange(out)[:, None] * self.strides[axis] - begin
            positions = first + np.arange(kernel) * self.dilations[axis]
            low, high = (-begin, n + end) if with_pads else (0, n)
            inside = (positions >= low) & (positions < high)
            result = np.multiply.outer(result, inside.sum(axis=1))
        return result


class Windowed(Op):
    """Base of ops with a window. ``()`` is the canonical form of an attribute at its default.

    Args:
        strides: steps between windows, per spatial axis; default 1.
        pads: (begin_0, begin_1, …, end_0, end_1, …), ≥ 0; default 0.
        dilations: steps between the positions of a window, per spatial axis; default 1.
    """

    strides: tuple[int, ...] = ()
    pads: Shape = ()
    dilations: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for attribute, least in ("strides", 1), ("pads", 0), ("dilations", 1):
            self._canonicalize(attribute, least)

    def _canonicalize(self, attribute: str, default: int) -> None:
        """Check against the least value, which is also the default, and shorten to ``()``."""
        values: tuple[Dim, ...] = getattr(self, attribute)
        if any(isinstance(v, int) and v < default for v in values):
            raise OpError(f"{self.name} needs {attribute} ≥ {default}, got {bracketed(values)}")
        if all(v == default for v in values):
            object.__setattr__(self, attribute, ())

    def window_over(self, kernel: Shape) -> Window:
        """The window with this kernel, all defaults filled in.

        Raises:
            OpError: an attribute has another number of entries.
        """
        rank = len(kernel)
        pads = self._filled("pads", 2 * rank, 0)
        return Window(
            kernel=kernel,
            strides=as_ints(self._filled("strides", rank, 1)),
            dilations=as_ints(self._filled("dilations", rank, 1)),
            pads_begin=pads[:rank],
            pads_end=pads[rank:],
        )

    def _filled(self, attribute: str, count: int, default: int) -> tuple[Dim, ...]:
        values: tuple[Dim, ...] = getattr(self, attribute) or (default,) * count
        if len(values) != count:
            raise OpError(f"{attribute} must have {count} entries, got {bracketed(values)}")
        return values
