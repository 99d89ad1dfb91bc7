"""The provider: which loops compute which op."""

from __future__ import annotations

from collections.abc import Sequence

from gie_core.ir.graph import Node
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.conv import Conv
from gie_core.ops.group import Group
from gie_core.runtime.target import Target
from gie_kernels_numba.depthwise import DepthwiseLoop
from gie_kernels_numba.method import Method, static_support
from gie_kernels_numba.pointwise import PointwiseLoop

__all__ = ["NumbaProvider"]


class NumbaProvider:
    """Kernels for the host, compiled by Numba when they are bound."""

    def __init__(self) -> None:
        self._depthwise = DepthwiseLoop()
        self._pointwise = PointwiseLoop()

    def supports(self, node: Node, target: Target) -> Support:
        if target.kind != "host":
            return Support.no("these kernels run on the host")
        support = static_support(node)
        return self._method(node).supports(node) if support.ok else support

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        return self._method(node).candidates(node)

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        return self._method(node).prepack(node)

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        return [self._method(node).bind(node, candidate, memory)]

    def _method(self, node: Node) -> Method:
        return self._depthwise if isinstance(node.op, Conv | Group) else self._pointwise
