"""How a tensor lies in memory: formats that kernels ask for, layouts that values have.

A *format* is a demand: element type, order of the axes, and how free the strides are. A
*layout* is a fact: element type, shape, and the stride of every axis in bytes. Values of
one format may have different layouts: a slice of a concatenation's storage has the
strides of the whole.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from gie_core.ir.types import DType, TensorType

__all__ = ["Format", "Layout", "Strides", "channels_last", "row_major"]


class Strides(enum.Enum):
    """What strides a kernel takes; each includes those before it."""

    DENSE = "dense"
    """Exactly those of the axes' order, without gaps."""
    PITCHED = "pitched"
    """In the axes' order and without overlap, the fastest axis without gaps; other axes may
    leave gaps, as in a slice of a larger tensor."""
    ANY = "any"
    """Any at all, also negative ones or 0 (operands only)."""

    def includes(self, other: Strides) -> bool:
        """Whether a kernel that takes these takes the others."""
        order = list(Strides)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True)
class Format:
    """What a kernel asks of an operand or a result.

    Args:
        dtype: how elements are stored; may be narrower than the value's own type.
        order: the axes from the slowest to the fastest: (0, 1, 2, 3) is NCHW in memory,
            (0, 2, 3, 1) NHWC. The logical order of the axes never changes.
        strides: how free the strides are.
        alignment: bytes that the address, and every stride but that of the fastest axis, is
            a multiple of. Arrays that a caller binds are aligned as their elements need it, and
            no more.
    """

    dtype: DType
    order: tuple[int, ...]
    strides: Strides = Strides.DENSE
    alignment: int = 1

    def layout(self, shape: Sequence[int]) -> Layout:
        """The dense layout of this format, with pitches rounded up to the alignment.

        Args:
            shape: in logical order, as long as ``order``.
        """
        strides = [0] * len(shape)
        step = self.dtype.numpy.itemsize
        for position, axis in enumerate(reversed(self.order)):
            if position:
                step = -(-step // self.alignment) * self.alignment
            strides[axis] = step
            step *= max(1, shape[axis])
        return Layout(self.dtype, tuple(shape), tuple(strides))

    def accepts(self, layout: Layout, offset: int = 0) -> bool:
        """Whether a value with this layout can be handed to the kernel as it is.

        Axes of extent 1 have no order and no stride.

        Args:
            layout: how it lies.
            offset: bytes from an aligned address to its element (0, …, 0).
        """
        if layout.dtype is not self.dtype or len(layout.shape) != len(self.order):
            return False
        if offset % self.alignment:
            return False
        if self.strides is Strides.ANY:
            return True
        dense = self.layout(layout.shape)
        if layout.canonical() == dense.canonical():
            return True
        return self.strides is Strides.PITCHED and _is_pitched(layout, self)

    def same_place(self, other: Format, shape: Sequence[int]) -> bool:
        """Whether the dense layouts of both, for a tensor of this shape, are equal."""
        return self.layout(shape).canonical() == other.layout(shape).canonical()

    def __str__(self) -> str:
        order = "" if self.order == tuple(range(len(self.order))) else _order_text(self.order)
        strides = "" if self.strides is Strides.DENSE else f" {self.strides.value}"
        alignment = "" if self.alignment == 1 else f" align {self.alignment}"
        return f"{self.dtype}{order}{strides}{alignment}"


@dataclass(frozen=True)
class Layout:
    """How one tensor lies in memory.

    Args:
        dtype: how elements are stored.
        shape: in logical order.
        strides: bytes from one position to the next along each axis.
    """

    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def span(self) -> tuple[int, int]:
        """First and one past the last byte, counted from element (0, …, 0); (0, 0) if empty."""
        if not self.size:
            return 0, 0
        reach = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        low = sum(r for r in reach if r < 0)
        high = sum(r for r in reach if r > 0)
        return low, high + self.dtype.numpy.itemsize

    def canonical(self) -> Layout:
        """The same with stride 0 on axes of extent 1, where it means nothing."""
        if not self.size:
            return Layout(self.dtype, self.shape, (0,) * len(self.shape))
        strides = (0 if n == 1 else s for n, s in zip(self.shape, self.strides, strict=True))
        return Layout(self.dtype, self.shape, tuple(strides))

    @property
    def is_dense(self) -> bool:
        """Whether the elements fill their span without gap or overlap, in whatever order."""
        low, high = self.span
        return high - low == self.size * self.dtype.numpy.itemsize and not self._overlaps()

    def _overlaps(self) -> bool:
        """Whether two elements may share a byte (exact for strides that nest)."""
        axes = sorted((abs(s), n) for n, s in zip(self.shape, self.strides, strict=True) if n > 1)
        reach = self.dtype.numpy.itemsize
        for stride, extent in axes:
            if stride < reach:
                return True
            reach = stride * (extent - 1) + reach
        return False

    def __str__(self) -> str:
        shape = ", ".join(map(str, self.shape))
        return f"{self.dtype}[{shape}] strides {list(self.strides)}"


def row_major(type_: TensorType, strides: Strides = Strides.DENSE) -> Format:
    """The format with the last axis fastest, elements as the type has them."""
    return Format(type_.dtype, tuple(range(type_.rank)), strides)


def channels_last(type_: TensorType, strides: Strides = Strides.DENSE) -> Format:
    """The format of [N, C, *S] with the channels fastest."""
    return Format(type_.dtype, (0, *range(2, type_.rank), 1), strides)


def _is_pitched(layout: Layout, format_: Format) -> bool:
    step = layout.dtype.numpy.itemsize
    moving = [axis for axis in reversed(format_.order) if layout.shape[axis] > 1]
    for position, axis in enumerate(moving):
        stride = layout.strides[axis]
        if position == 0 and axis == format_.order[-1] and stride != step:
            return False
        if stride < step or (position and stride % format_.alignment):
            return False
        step = stride * layout.shape[axis]
    return True


def _order_text(order: tuple[int, ...]) -> str:
    names = "NCDHW" if len(order) == 5 else "NC" + "HW"[-(len(order) - 2) :]
    if 3 <= len(order) <= 5:
        return " " + "".join(names[axis] for axis in order)
    return " " + ",".join(map(str, order))
