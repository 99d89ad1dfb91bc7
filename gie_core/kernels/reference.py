"""Kernels that are functions, and the provider of last resort: every op's own reference."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.specialize import extents
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Strides, row_major
from gie_core.kernels.provider import Function, Launch, Memory
from gie_core.ops.run import ExecutionError, compute_node
from gie_core.runtime.target import HOST, Target

__all__ = ["REFERENCE", "FunctionKernels", "ReferenceProvider"]

REFERENCE = "reference"
"""The name under which the references are known."""


class FunctionKernels(ABC):
    """Base of providers whose kernels are functions that make their results themselves.

    Nodes that are not static are run by such a function; the results for static ones are copied
    to where they belong.
    """

    @abstractmethod
    def supports(self, node: Node, target: Target) -> Support:
        """Whether ``function`` runs the node."""

    @abstractmethod
    def function(self, node: Node, target: Target) -> Function:
        """What runs the node."""

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        """One, for operands with any strides."""
        operands = tuple(
            None if v is None or v.data is not None else row_major(v.tensor, Strides.ANY)
            for v in node.operands
        )
        results = tuple(row_major(v.tensor, Strides.PITCHED) for v in node.results)
        values = [v for v in (*node.operands, *node.results) if v is not None]
        elements = sum(math.prod(extents(v)) for v in values)
        # A reference makes its result anew, often in several steps, and is copied from there.
        work = Work(bytes=16 * elements, steps=4 * elements, calls=20)
        return [Candidate("NumPy", operands, results, work=work)]

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        """The constants as they are."""
        return [v.data for v in node.operands if v is not None and v.data is not None]

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        constants = iter(memory.constants)
        operands = tuple(
            next(constants) if v is not None and v.data is not None else array
            for v, array in zip(node.operands, memory.operands, strict=True)
        )
        function = self.function(node, HOST)

        def launch() -> None:
            results = function(node.op, operands)
            for target, result in zip(memory.results, results, strict=True):
                _put(result, target)

        return [launch]


class ReferenceProvider(FunctionKernels):
    """Every op's own NumPy reference; the last to be asked."""

    def supports(self, node: Node, target: Target) -> Support:
        if target.kind != "host":
            return Support.no("the references run on the host")
        if node.op.subgraphs():
            return Support.no("the graphs inside it run node by node")
        if not node.op.has_reference():
            return Support.no(f"{node.op.name} has no reference")
        return Support.yes()

    def function(self, node: Node, target: Target) -> Function:
        def run(op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
            return compute_node(node, op, operands)

        return run


def _put(result: Array, target: Array) -> None:
    if result.shape != target.shape or result.dtype != target.dtype:
        raise ExecutionError(
            f"it gave {result.dtype}{list(result.shape)} where "
            f"{target.dtype}{list(target.shape)} was expected"
        )
    np.copyto(target, result)
