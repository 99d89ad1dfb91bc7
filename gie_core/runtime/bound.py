"""Kernels that run on arrays as they come: bound anew only where they have to be."""

from __future__ import annotations

import operator
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.specialize import extents
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Candidate
from gie_core.kernels.provider import Launch, Memory, NamedProvider
from gie_core.runtime.memory import aligned_bytes, read_only

__all__ = ["BoundKernel"]

SMALL = 1 << 16
"""Bytes of an array that are copied in less time than a kernel is bound."""


class BoundKernel:
    """A candidate for a static node, as a function of arrays.

    Small arrays are copied to and from memory that the kernel stays bound to. Large operands are
    read where they lie; the kernel stays bound to those that come twice in a row, as weights do
    that a loop hands to its body.

    Args:
        node: static.
        owner: of the candidate.
        candidate: one that reads and writes arrays in row-major order.
    """

    def __init__(self, node: Node, owner: NamedProvider, candidate: Candidate) -> None:
        self._node = node
        self._owner = owner
        self._candidate = candidate
        self._constants = tuple(owner.provider.prepack(node, candidate.name))
        self._are_results_small = all(result.nbytes <= SMALL for result in self._new_results())
        self._seen: list[weakref.ref[Array]] = []
        self._bound: _Bound | None = None

    def __call__(self, operands: Sequence[Any]) -> tuple[Array, ...]:
        """The results, in memory that is the caller's."""
        given = [
            None if format_ is None else np.asarray(array, order="C")
            for array, format_ in zip(operands, self._candidate.operands, strict=True)
        ]
        large = [array for array in given if array is not None and array.nbytes > SMALL]
        if self._bound is None or not _are_same(large, self._bound.large):
            self._bound = None  # what it holds is no longer needed
            if not self._are_results_small or not _are_same(large, [ref() for ref in self._seen]):
                self._seen = [weakref.ref(array) for array in large]
                results = self._new_results()
                self._run(self._bind(given, results))
                return results
            self._bound = self._bind_for_good(given, large)
        small = (array for array in given if array is not None and array.nbytes <= SMALL)
        for memory, array in zip(self._bound.small, small, strict=True):
            np.copyto(memory, array)
        self._run(self._bound.launches)
        return tuple(result.copy() for result in self._bound.results)

    def _bind_for_good(self, given: Sequence[Array | None], large: list[Array]) -> _Bound:
        own = [a if a is None or a.nbytes > SMALL else np.empty_like(a) for a in given]
        small = [array for array in own if array is not None and array.nbytes <= SMALL]
        results = self._new_results()
        return _Bound(large, small, results, self._bind(own, results))

    def _bind(self, given: Sequence[Array | None], results: tuple[Array, ...]) -> Sequence[Launch]:
        operands = tuple(None if array is None else read_only(array) for array in given)
        workspace = aligned_bytes(self._candidate.workspace)
        memory = Memory(operands, results, self._constants, workspace)
        return self._owner.provider.bind(self._node, self._candidate.name, memory)

    def _run(self, launches: Sequence[Launch]) -> None:
        with np.errstate(all="ignore"):
            for launch in launches:
                launch()

    def _new_results(self) -> tuple[Array, ...]:
        return tuple(np.empty(extents(v), v.tensor.dtype.numpy) for v in self._node.results)


@dataclass(frozen=True)
class _Bound:
    """What a kernel is bound to: operands that lie elsewhere, and memory of its own."""

    large: list[Array]
    small: list[Array]
    results: tuple[Array, ...]
    launches: Sequence[Launch]


def _are_same(arrays: Sequence[Array], others: Sequence[Array | None]) -> bool:
    return len(arrays) == len(others) and all(map(operator.is_, arrays, others))
