"""Arrays as JSON and sections of bytes.

An array is ``[dtype, shape, section, order]``: the section holds its elements as they lay in
memory, little-endian, ``order`` its axes from the slowest to the fastest. Weights keep the order
that a kernel wants them in, so that they need not be moved when they are read. Strings stand in
the JSON: ``["str", shape, [text, …]]``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gie_core.engine.container import Section
from gie_core.engine.json_reader import Item
from gie_core.ir.types import Array, DType

__all__ = ["ArrayTable", "array_from_json"]

MAX_EXTENT = 2**48
_DTYPES = {dtype.value: dtype for dtype in DType}


class ArrayTable:
    """Collects arrays; equal ones are kept once, and equal bytes are one section.

    Attributes:
        entries: the arrays as JSON.
        sections: the bytes.
    """

    def __init__(self) -> None:
        self.entries: list[list[Any]] = []
        self.sections: list[Section] = []
        self._numbers: dict[str, int] = {}
        self._digests: dict[str, int] = {}
        self._seen: dict[int, tuple[Array, int]] = {}  # keeps the array, so that its id stays its

    def number(self, array: Array) -> int:
        """The number of an array, which must not change any more."""
        if id(array) not in self._seen:
            entry = self._entry(array)
            number = self._numbers.setdefault(repr(entry), len(self.entries))
            if number == len(self.entries):
                self.entries.append(entry)
            self._seen[id(array)] = array, number
        return self._seen[id(array)][1]

    def section(self, section: Section) -> int:
        """The number of a section."""
        number = self._digests.setdefault(section.digest, len(self.sections))
        if number == len(self.sections):
            self.sections.append(section)
        return number

    def _entry(self, array: Array) -> list[Any]:
        dtype = DType.of(array.dtype)
        if dtype is DType.STR:
            return [dtype.value, list(array.shape), [str(each) for each in array.ravel()]]
        order = _memory_order(array)
        native = array.transpose(order).astype(dtype.numpy, copy=False)
        flat = np.ascontiguousarray(native).reshape(-1).view(np.uint8)
        return [dtype.value, list(array.shape), self.section(Section.of(flat)), order]


def array_from_json(item: Item, sections: Sequence[Section]) -> Array:
    """The array that a piece of JSON describes: read only, in the memory of its section.

    Raises:
        JsonError: it is no array, or the section does not fit it.
    """
    entry = item.items()
    if not entry:
        item.fail("it is empty")
    dtype = _DTYPES[entry[0].choice(tuple(_DTYPES))]
    if dtype is DType.STR:
        return _strings(item)
    _, extents, number, axes = item.items(4)
    shape, order = extents.integers(0, MAX_EXTENT), axes.integers()
    data = sections[number.index(len(sections), "section")].data
    if sorted(order) != list(range(len(shape))):
        axes.fail(f"it is no order of {len(shape)} axes")
    if math.prod(shape) * dtype.numpy.itemsize != data.size:
        item.fail(f"{dtype}{list(shape)} does not take the {data.size} bytes of its section")
    return _shaped(item, data.view(dtype.numpy), [shape[axis] for axis in order]).transpose(
        np.argsort(order)
    )


def _strings(item: Item) -> Array:
    _, extents, texts = item.items(3)
    shape = extents.integers(0, MAX_EXTENT)
    items = [text.text() for text in texts.items()]
    if math.prod(shape) != len(items):
        item.fail(f"str{list(shape)} does not have {len(items)} elements")
    array: Array = np.array(items, np.object_)
    array.flags.writeable = False
    return _shaped(item, array, shape)


def _shaped(item: Item, flat: Array, shape: Sequence[int]) -> Array:
    try:
        return flat.reshape(shape)
    except ValueError as error:  # too many axes, or an empty array of enormous extents
        item.fail(str(error))


def _memory_order(array: Array) -> list[int]:
    """The axes from the slowest to the fastest; as they are if the array is not dense."""
    axes = list(range(array.ndim))
    if array.flags.c_contiguous:
        return axes
    order = sorted(axes, key=lambda axis: -array.strides[axis])
    return order if array.transpose(order).flags.c_contiguous else axes
