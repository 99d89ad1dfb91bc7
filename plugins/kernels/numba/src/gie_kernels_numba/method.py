"""What a method is, and what all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from gie_core.ir.graph import Node
from gie_core.ir.types import Array, TensorType
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.provider import Launch, Memory

__all__ = ["RATE", "Method", "static_support"]

RATE = 8
"""Steps in a nanosecond by the cost model, which knows NumPy's; used to say how long a compiled
loop takes."""


class Method(ABC):
    """One way to compute some nodes. Stateless; nodes are static."""

    @abstractmethod
    def supports(self, node: Node) -> Support:
        """Whether it computes the node; if not, why."""

    @abstractmethod
    def candidates(self, node: Node) -> Sequence[Candidate]:
        """The ways to compute a supported node."""

    @abstractmethod
    def prepack(self, node: Node) -> Sequence[Array]:
        """The constants as all candidates want them."""

    @abstractmethod
    def bind(self, node: Node, candidate: str, memory: Memory) -> Launch:
        """What computes the node in this memory. Compiles, if nobody has before."""


def static_support(node: Node) -> Support:
    """Yes where the shape of every operand and result is known and the op has no symbols."""
    for value in (*node.operands, *node.results):
        if value is None:
            continue
        if not isinstance(value.type, TensorType) or not value.type.is_static:
            return Support.no(f"the shape of %{value.name} is not known before it runs")
    if node.op.symbols():
        return Support.no("its attributes are not known before it runs")
    return Support.yes()
