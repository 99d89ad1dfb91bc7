"""The provider: which loops compute which op."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gie_core.ir.graph import Node
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.conv import Conv
from gie_core.ops.extents import as_ints
from gie_core.ops.group import Group
from gie_core.runtime.target import Target
from gie_kernels_numba.depthwise import DepthwiseLoop
from gie_kernels_numba.method import Method, static_support
from gie_kernels_numba.pointwise import PointwiseLoop
from gie_kernels_numba.product import ProductLoop

__all__ = ["NumbaProvider"]


SMALLEST = 4096
"""Elements of a result. Less takes some microseconds with NumPy, but compiling it a second."""

CONVOLUTIONS: Sequence[Method] = (DepthwiseLoop(), ProductLoop())
POINTWISE: Sequence[Method] = (PointwiseLoop(),)


class NumbaProvider:
    """Kernels for the host, compiled by Numba when they are bound."""

    def supports(self, node: Node, target: Target) -> Support:
        if target.kind != "host":
            return Support.no("these kernels run on the host")
        support = static_support(node)
        if not support.ok:
            return support
        if sum(math.prod(as_ints(value.tensor.dims)) for value in node.results) < SMALLEST:
            return Support.no("it is too small for a compiled kernel to pay")
        supports = [method.supports(node) for method in self._of(node)]
        if any(support.ok for support in supports):
            return Support.yes()
        return Support.no("; ".join(dict.fromkeys(support.reason for support in supports)))

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        return self._supporting(node).candidates(node)

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        return self._supporting(node).prepack(node)

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        return [self._supporting(node).bind(node, candidate, memory)]

    def _of(self, node: Node) -> Sequence[Method]:
        return CONVOLUTIONS if isinstance(node.op, Conv | Group) else POINTWISE

    def _supporting(self, node: Node) -> Method:
        """The first method that supports a supported node."""
        return next(method for method in self._of(node) if method.supports(node).ok)
