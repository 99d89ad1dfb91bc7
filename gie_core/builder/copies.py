"""Copies from one layout into another, as a provider of one kernel, so that they can be timed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gie_core.builder.cost_model import reformat_work
from gie_core.builder.signature import Job
from gie_core.ir.graph import Graph, Node
from gie_core.ir.types import Array, DType, TensorType
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.format import Format, Layout, Strides
from gie_core.kernels.provider import Launch, Memory, NamedProvider
from gie_core.ops.identity import Identity
from gie_core.runtime.target import Target

__all__ = ["copy_job"]


class _Copies:
    """Runs ``identity`` as the host executor copies between formats."""

    def supports(self, node: Node, target: Target) -> Support:
        return Support.yes() if isinstance(node.op, Identity) else Support.no("it is no copy")

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        return ()

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        return ()

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        source, result = memory.operands[0], memory.results[0]
        return [lambda: np.copyto(result, source, casting="unsafe")]


_COPIES = NamedProvider("copy", _Copies(), version=np.__version__)


def copy_job(dtype: DType, source: Layout, result: Layout) -> Job:
    """The copy of a value.

    Args:
        dtype: the value's own type.
        source: where it lies.
        result: where it goes; of the same shape.
    """
    graph = Graph("copy")
    node = graph.add(Identity(), graph.add_input("x", TensorType(dtype, source.shape)))
    any_ = [Format(x.dtype, tuple(range(len(x.shape))), Strides.ANY) for x in (source, result)]
    candidate = Candidate("copy", (any_[0],), (any_[1],), work=reformat_work(source, result))
    return Job(node, _COPIES, candidate, (source,), (result,))
