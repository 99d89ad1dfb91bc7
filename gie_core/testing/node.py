"""Checking what a provider says of one node, and all the ways in which it runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gie_core.ir.dims import free_symbols
from gie_core.ir.graph import Graph, Node
from gie_core.ir.op import Op
from gie_core.ir.specialize import is_static, specialize
from gie_core.ir.types import TensorType
from gie_core.kernels.provider import FunctionProvider, KernelProvider
from gie_core.ops.run import compute_node, run_graph
from gie_core.runtime.target import HOST, Target
from gie_core.testing.claims import ask, check_support
from gie_core.testing.functions import Call, check_function
from gie_core.testing.judge import Judge, isolate
from gie_core.testing.provider import check_candidate

__all__ = ["calls_of", "problems_of", "static"]

_DEFAULT_EXTENT = 3
"""Of symbols without a size."""


def problems_of(
    provider: KernelProvider,
    judge: Judge,
    calls: Sequence[Call],
    only: str = "",
    target: Target = HOST,
) -> list[str]:
    """What is wrong with how a provider runs a node, a sentence each.

    Args:
        provider: must support the node.
        judge: of the node.
        calls: what the node is run with, twice.
        only: runs no candidates but those with this in their name.
        target: where to run.
    """
    node = judge.node
    try:
        support = provider.supports(node, target)
        check_support(support)
        assert support.ok, f"{node.op.name} is not supported: {support.reason}"
        if not is_static(node):
            _check_function(provider, judge, calls, target)
            return []
        candidates = ask(provider, node.graph, target)
    except AssertionError as error:
        return [str(error)]
    except Exception as error:  # noqa: BLE001 - whatever a provider raises is wrong with it
        return [f"it raises {type(error).__name__}: {error}"]
    chosen = [candidate for candidate in candidates if only in candidate.name]
    if not chosen:
        names = ", ".join(repr(candidate.name) for candidate in candidates)
        return [f"no candidate's name contains {only!r}; there are {names}"]
    data = [call.operands for call in calls]
    # An engine that comes from a file binds to a node that the provider has never seen.
    (copy,) = isolate(node).nodes
    return [
        f"candidate {candidate.name!r}: {failure}"
        for candidate in chosen
        for failure in check_candidate(provider, copy, candidate, data, judge)
    ]


def _check_function(
    provider: KernelProvider, judge: Judge, calls: Sequence[Call], target: Target
) -> None:
    node = judge.node
    assert isinstance(provider, FunctionProvider), (
        f"{node.op.name} is supported though it isn't static, but the provider has no function"
    )
    function = provider.function(node, target)
    check_function(function, node, calls, judge.tolerance, judge.exact)


def static(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """The graph with numbers for the symbols of its inputs, 3 for those without a size."""
    types = [v.type for v in graph.inputs]
    dims = [dim for t in types if isinstance(t, TensorType) for dim in t.shape or ()]
    names = free_symbols(*dims)
    return specialize(graph, {name: sizes.get(name, _DEFAULT_EXTENT) for name in names})


def calls_of(graph: Graph, inputs: Sequence[Any]) -> dict[Node, Call]:
    """What each node is run with when the graph is given these inputs."""
    calls: dict[Node, Call] = {}

    def compute(node: Node, op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
        calls[node] = Call(op, tuple(operands))
        return compute_node(node, op, operands)

    run_graph(graph, inputs, compute)
    return calls
