"""Memory as kernels get it, laid out as a format allows, in buffers that show every stray write.

Around and between the elements lie guard bytes. The address of element (0, …, 0) is a multiple of
the format's alignment, and of nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

from gie_core.ir.graph import Value
from gie_core.ir.types import Array
from gie_core.kernels.format import Format, Layout

__all__ = ["ARRANGEMENTS", "GUARD", "Buffer", "Scratch", "extents", "poisoned_memory", "scratch"]

GUARD = 0xA5
"""What every byte that belongs to nobody holds."""

_MARGIN = 128  # bytes before and behind the elements
_SCRATCH_ALIGNMENT = 64


def _dense(format_: Format, shape: Sequence[int]) -> Layout:
    return format_.layout(shape)


def _pitched(format_: Format, shape: Sequence[int], apart: int = 1) -> Layout:
    """A slice of a larger tensor; ``apart`` elements from one to the next on the fastest axis."""
    itemsize = format_.dtype.numpy.itemsize
    unit = max(itemsize, format_.alignment)
    strides = [0] * len(shape)
    step = itemsize * apart
    for position, axis in enumerate(reversed(format_.order)):
        if position:
            step = (-(-step // unit) + 1) * unit
        strides[axis] = step
        step *= max(1, shape[axis])
    return Layout(format_.dtype, tuple(shape), tuple(strides))


def _strided(format_: Format, shape: Sequence[int]) -> Layout:
    return _pitched(format_, shape, apart=2)


def _reversed(format_: Format, shape: Sequence[int]) -> Layout:
    dense = format_.layout(shape)
    return Layout(dense.dtype, dense.shape, tuple(-stride for stride in dense.strides))


def _transposed(format_: Format, shape: Sequence[int]) -> Layout:
    return Format(format_.dtype, format_.order[::-1]).layout(shape)


def _broadcast(format_: Format, shape: Sequence[int]) -> Layout:
    """All positions of the slowest axis that has several are one."""
    dense = format_.layout(shape)
    axis = next((axis for axis in format_.order if shape[axis] > 1), None)
    strides = (0 if n == axis else stride for n, stride in enumerate(dense.strides))
    return Layout(dense.dtype, dense.shape, tuple(strides))


ARRANGEMENTS: dict[str, Callable[[Format, Sequence[int]], Layout]] = {
    "dense": _dense,
    "pitched": _pitched,
    "strided": _strided,
    "reversed": _reversed,
    "transposed": _transposed,
    "broadcast": _broadcast,
}
"""How a tensor may lie in memory: the layout for a format and a shape.

"dense" fits any format, "pitched" those with ``Strides.PITCHED`` or ``ANY``, the rest only ``ANY``.
"""


def extents(value: Value) -> tuple[int, ...]:
    """The shape of a value that is static."""
    return tuple(dim for dim in value.tensor.dims if isinstance(dim, int))


class Buffer:
    """One tensor in memory of its own, with guard bytes.

    Args:
        layout: where its elements lie.
        alignment: bytes; a power of two.
    """

    def __init__(self, layout: Layout, alignment: int = 1) -> None:
        itemsize = layout.dtype.numpy.itemsize
        low, high = layout.span
        unit = max(alignment, itemsize)
        self.layout = layout
        self._bytes, begin = _aligned(high - low + 2 * (unit + _MARGIN), 2 * unit, GUARD)
        # At an odd multiple of the unit, beyond the margin.
        self._offset = begin + -(-(_MARGIN - low) // (2 * unit)) * 2 * unit + unit
        if self._offset + high > self._bytes.size:
            raise AssertionError("the buffer is too small")
        self.array = self._view(layout.shape, layout.dtype.numpy, self._bytes, layout.strides)
        owned = np.zeros(self._bytes.size, np.bool_)
        each = (*layout.shape, itemsize)
        self._view(each, np.dtype(np.bool_), owned, (*layout.strides, 1))[...] = True
        self._guards = ~owned

    def poison(self, byte: int) -> None:
        """Fill the elements with a byte, and what lies between them with guards."""
        self._bytes[...] = np.where(self._guards, np.uint8(GUARD), np.uint8(byte))

    def fill(self, values: Array) -> None:
        """Write the elements, converted to the storage's type."""
        self._bytes[self._guards] = GUARD
        with np.errstate(all="ignore"):
            self.array[...] = values

    def read_only(self) -> Array:
        """The elements, as a kernel sees an operand."""
        view = self.array.view()
        view.flags.writeable = False
        return view

    def snapshot(self) -> bytes:
        """All bytes."""
        return self._bytes.tobytes()

    @property
    def is_guarded(self) -> bool:
        """Whether nothing but elements was written."""
        return bool((self._bytes[self._guards] == GUARD).all())

    def _view(
        self, shape: Sequence[int], dtype: np.dtype[Any], base: Array, strides: Sequence[int]
    ) -> Array:
        return np.ndarray(tuple(shape), dtype, base.data, self._offset, tuple(strides))


@dataclass(frozen=True)
class Scratch:
    """A workspace with guard bytes on both sides.

    Args:
        array: uint8, 64-byte aligned.
        guards: the bytes before and behind.
    """

    array: Array
    guards: tuple[Array, Array]

    @property
    def is_guarded(self) -> bool:
        """Whether nothing beyond the workspace was written."""
        return all(bool((guard == GUARD).all()) for guard in self.guards)


def scratch(size: int) -> Scratch:
    """A workspace of exactly ``size`` bytes."""
    memory, begin = _aligned(size + 2 * _MARGIN, _SCRATCH_ALIGNMENT, GUARD)
    first = begin + _MARGIN
    return Scratch(memory[first : first + size], (memory[:first], memory[first + size :]))


@contextmanager
def poisoned_memory() -> Generator[None, None, None]:
    """Let ``np.empty`` and ``np.empty_like`` return what no kernel can take for an answer."""

    def poisoned(allocate: Callable[..., Array]) -> Callable[..., Array]:
        def replacement(*args: Any, **options: Any) -> Array:
            array = allocate(*args, **options)
            if array.dtype != object:
                array.reshape(-1).view(np.uint8)[...] = 0xFF  # NaN, or an extreme integer
            return array

        return replacement

    with (
        mock.patch.object(np, "empty", poisoned(np.empty)),
        mock.patch.object(np, "empty_like", poisoned(np.empty_like)),
    ):
        yield


def _aligned(size: int, alignment: int, byte: int) -> tuple[Array, int]:
    """Bytes, and the index of the first whose address is a multiple of ``alignment``."""
    memory = np.full(size + 2 * alignment, byte, np.uint8)
    return memory, -memory.ctypes.data % alignment
