"""Memory of a context on the host: the arena, and arrays over regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gie_core.engine.plan import ALIGNMENT, Kind, Region, Storage
from gie_core.ir.types import Array

__all__ = ["HostMemory", "aligned_bytes", "read_only"]


class HostMemory:
    """Makes arrays of regions.

    Args:
        storages: as planned.
        arena: bytes.
        constants: the graph's; their bytes are read only.
        lent: memory of the caller in place of storages, by number: contiguous arrays.
    """

    def __init__(
        self,
        storages: Sequence[Storage],
        arena: int,
        constants: Sequence[Array],
        lent: Mapping[int, Array] | None = None,
    ) -> None:
        self._storages = storages
        self._constants = constants
        self._lent = dict(lent or {})
        self.arena = aligned_bytes(arena)

    def lending(self, lent: Mapping[int, Array]) -> HostMemory:
        """The same arena, with memory of the caller in place of some storages."""
        other = HostMemory(self._storages, 0, self._constants, lent)
        other.arena = self.arena
        return other

    def array(self, region: Region) -> Array:
        """The array that lies in a region; it can't reach beyond the region's storage.

        Raises:
            ValueError: the region is not inside its storage.
        """
        layout = region.layout
        memory = self._bytes(region.storage)
        return np.ndarray(layout.shape, layout.dtype.numpy, memory, region.offset, layout.strides)

    def _bytes(self, number: int) -> Array:
        storage = self._storages[number]
        if number in self._lent:
            return self._lent[number].reshape(-1).view(np.uint8)
        if storage.kind is Kind.CONSTANT:
            return _as_bytes(self._constants[storage.offset])
        return self.arena[storage.offset : storage.offset + storage.size]


def aligned_bytes(size: int) -> Array:
    """Uninitialized bytes whose address is a multiple of ``ALIGNMENT``."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.__array_interface__["data"][0] % ALIGNMENT
    return memory[start : start + size]


def read_only(array: Array) -> Array:
    """The same memory, for kernels that must not write it."""
    view = array.view()
    view.flags.writeable = False
    return view


def _as_bytes(array: Array) -> Array:
    flat = array.reshape(-1) if array.flags.c_contiguous else array.ravel(order="K")
    return flat.view(np.uint8)
