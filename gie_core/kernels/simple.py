"""The smallest provider: says which nodes it runs, and computes their results."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from gie_core.ir.graph import Node, Value
from gie_core.ir.specialize import extents, is_static
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Strides, row_major
from gie_core.kernels.provider import Launch, Memory
from gie_core.runtime.target import Target

__all__ = ["ArrayProvider"]


class ArrayProvider(ABC):
    """A base class for host kernels that are one function of NumPy arrays.

    A subclass writes ``accepts`` and ``compute``. Each node has one candidate, which reads
    operands with any strides and writes results in row-major order; constants stay as they are.
    """

    @abstractmethod
    def accepts(self, node: Node) -> Support:
        """Whether ``compute`` runs the node; a rejection says why.

        Args:
            node: operands and results are tensors of known shapes.
        """

    @abstractmethod
    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        """Write the results of a node. Runs under ``np.errstate(all="ignore")``.

        Args:
            node: one that ``accepts`` took.
            operands: one array each, constants included, ``None`` for absent ones. Read only.
            out: one array for each result; each element must be written. They share no memory
                with the operands, and may have gaps between rows.
        """

    def work(self, node: Node) -> Work:
        """What there is to do: by default, to read and write everything once, in one step."""
        sizes = {v: _elements(v) for v in (*node.operands, *node.results) if v is not None}
        moved = sum(size * v.tensor.dtype.numpy.itemsize for v, size in sizes.items())
        return Work(bytes=moved, steps=sum(sizes[v] for v in node.results))

    def supports(self, node: Node, target: Target) -> Support:
        if target.kind != "host":
            return Support.no("it runs on the host only")
        if not is_static(node):
            return Support.later()
        return self.accepts(node)

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        operands = tuple(
            None if v is None or _is_constant(v) else row_major(v.tensor, Strides.ANY)
            for v in node.operands
        )
        results = tuple(row_major(v.tensor, Strides.PITCHED) for v in node.results)
        return [Candidate("arrays", operands, results, work=self.work(node))]

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        return [v.data for v in node.operands if v is not None and v.data is not None]

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        constants = iter(memory.constants)
        operands = tuple(
            next(constants) if v is not None and _is_constant(v) else array
            for v, array in zip(node.operands, memory.operands, strict=True)
        )
        return [lambda: self.compute(node, operands, memory.results)]


def _is_constant(value: Value) -> bool:
    return value.data is not None


def _elements(value: Value) -> int:
    return math.prod(extents(value))
