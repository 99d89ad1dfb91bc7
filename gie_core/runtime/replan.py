"""Plans for sizes of inputs that nobody planned for: quick, without timing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from gie_core.engine.assemble import Chosen, Decisions, assemble
from gie_core.engine.plan import AT_RUN_TIME, Plan
from gie_core.engine.views import VIEW_OPS
from gie_core.ir.graph import Graph, Node
from gie_core.ir.specialize import SizeError, is_static, specialize
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Candidate
from gie_core.kernels.format import Format, row_major
from gie_core.kernels.provider import KernelError, NamedProvider
from gie_core.ops.run import ExecutionError
from gie_core.ops.shape import Concat
from gie_core.runtime.dispatch import keeps_types
from gie_core.runtime.target import Target

__all__ = ["packer", "plan_sizes", "sharing_weights"]


def plan_sizes(
    graph: Graph,
    sizes: Mapping[str, int],
    providers: Sequence[NamedProvider],
    target: Target,
    preferred: Mapping[str, tuple[str, str]] | None = None,
) -> Plan:
    """A plan for inputs of some sizes.

    Every node takes the candidate that was chosen for it at the sizes that were planned, or the
    first one if it has no such candidate at these.

    Args:
        graph: optimized.
        sizes: an extent for each symbol in the inputs' shapes.
        providers: in the order in which they are asked.
        target: what to run on.
        preferred: provider and candidate, by the name of a node's first result.

    Raises:
        KernelError: nobody runs some node.
        ExecutionError: the sizes make no sense.
    """
    try:
        static = specialize(graph, sizes)
    except SizeError as error:
        raise ExecutionError(str(error)) from error
    chosen: dict[Node, Chosen] = {}
    views: set[Node] = set()
    joins: dict[Node, tuple[Format, frozenset[int]]] = {}
    for node in static.nodes:
        if is_static(node) and node.op.name in VIEW_OPS:
            views.add(node)
        if is_static(node) and isinstance(node.op, Concat):
            everything = frozenset(range(len(node.operands)))
            joins[node] = (row_major(node.result.tensor), everything)
            continue
        wish = (preferred or {}).get(node.results[0].name) if node.results else None
        chosen[node] = _choose(node, providers, target, wish)
    decisions = Decisions(static, chosen, frozenset(views), joins)
    plan = assemble(decisions, packer(providers))
    plan.sizes.update(sizes)
    return plan


def sharing_weights(plan: Plan, others: Iterable[Plan]) -> Plan:
    """The plan with the arrays of other plans in place of its own where both hold the same bytes.

    Kernels pack their weights anew for every size, mostly in the same way.
    """
    known: dict[tuple[object, ...], dict[int, Array]] = {}
    for array in (weight for other in others for weight in other.weights):
        known.setdefault(_kind(array), {})[id(array)] = array

    def shared(array: Array) -> Array:
        if array.dtype == object or not array.flags.c_contiguous:
            return array
        alike = known.get(_kind(array), {}).values()
        return next((other for other in alike if _are_equal(array, other)), array)

    return replace(plan, weights=tuple(map(shared, plan.weights)))


def _kind(array: Array) -> tuple[object, ...]:
    return array.dtype, array.shape, array.strides


def _are_equal(array: Array, other: Array) -> bool:
    a, b = (each.reshape(-1).view(np.uint8) for each in (array, other))
    return array is other or (np.array_equal(a[:64], b[:64]) and np.array_equal(a, b))


def packer(providers: Sequence[NamedProvider]) -> Callable[[Node, str, str], Sequence[Array]]:
    """What packs constants for the candidates of some providers."""
    by_name = {each.name: each.provider for each in providers}

    def pack(node: Node, provider: str, candidate: str) -> Sequence[Array]:
        return by_name[provider].prepack(node, candidate)

    return pack


def _choose(
    node: Node,
    providers: Sequence[NamedProvider],
    target: Target,
    wish: tuple[str, str] | None,
) -> Chosen:
    static, reasons, may_later = is_static(node), list[str](), bool(node.op.subgraphs())
    offered: list[tuple[str, Candidate]] = []
    for each in providers:
        support = each.provider.supports(node, target)
        if not support.ok:
            reasons.append(f"{each.name}: {support.reason}")
            may_later = may_later or support.open
        elif static:
            found = each.provider.candidates(node, target)
            offered += [
                (each.name, candidate) for candidate in found if keeps_types(node, candidate)
            ]
        else:
            return Chosen(each.name, None)
    for name, candidate in offered:
        if (name, candidate.name) == wish:
            return Chosen(name, candidate)
    if offered:
        return Chosen(*offered[0])
    if may_later:
        return Chosen(AT_RUN_TIME, None)
    raise KernelError(f"nothing runs {node} on {target}: {'; '.join(reasons)}")
