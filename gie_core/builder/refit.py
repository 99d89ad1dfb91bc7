"""New weights for an engine, without choosing kernels again."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gie_core.builder.expand import expand
from gie_core.builder.pipeline import optimize
from gie_core.builder.profiles import sharing_weights
from gie_core.engine.file import Package
from gie_core.engine.plan import Plan, Step
from gie_core.errors import GieError
from gie_core.ir.clone import clone_graph
from gie_core.ir.graph import Graph, Value
from gie_core.ir.op import Op
from gie_core.ir.specialize import specialize
from gie_core.ir.types import Array, as_array, type_of
from gie_core.kernels.provider import NamedProvider
from gie_core.plugin.host import PluginHost
from gie_core.runtime.replan import packer

__all__ = ["RefitError", "refitted"]


class RefitError(GieError):
    """The weights of an engine can't be exchanged."""


def refitted(
    package: Package,
    weights: Mapping[str, Any],
    providers: Sequence[NamedProvider],
    host: PluginHost,
) -> Package:
    """The package with other weights.

    The passes run again, since they compute weights from weights (a batch norm's become part of
    a convolution's), and constants are packed again for the kernels that were chosen.

    Args:
        package: built to be refitted.
        weights: arrays by the name of the constant in the imported graph, of its type.
        providers: those that the plans name.
        host: with the passes that the package was built with.

    Raises:
        RefitError: the engine can't be refitted, an array does not fit, or other weights make
            another network of it.
    """
    if package.source is None:
        raise RefitError("this engine keeps no weights to exchange; build it with refit=True")
    source = _with_weights(package.source, weights)
    graph = clone_graph(source)
    optimize(graph, host)
    _check_same(package.graph, graph)
    plans = sharing_weights([_plan(plan, graph, providers) for plan in package.plans])
    return replace(package, graph=graph, source=source, plans=tuple(plans), digest="")


def _with_weights(graph: Graph, weights: Mapping[str, Any]) -> Graph:
    names = [value.name for value in graph.constants]
    for name in weights:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise RefitError(f"the network has no weight {name!r}{hint}")
    fitting = {name: _fitting(graph.value(name), array) for name, array in weights.items()}
    return clone_graph(graph, fitting)


def _fitting(value: Value, given: Any) -> Array:
    array = as_array(given)
    if type_of(array) != value.type:
        raise RefitError(f"the weight {value.name!r} is {value.type}, but got {type_of(array)}")
    return array


def _check_same(old: Graph, new: Graph) -> None:
    """Check that two graphs differ in nothing but the elements of constants.

    Raises:
        RefitError: they do.
    """
    pairs = zip(old.nodes, new.nodes, strict=False)
    values = zip(old.values(), new.values(), strict=False)
    same = len(old) == len(new) and len(list(old.values())) == len(list(new.values()))
    same = same and all(a.name == b.name and a.type == b.type for a, b in values)
    same = same and all(
        _same_op(a.op, b.op)
        and [v and v.name for v in a.operands] == [v and v.name for v in b.operands]
        for a, b in pairs
    )
    if not same:
        raise RefitError(
            "with these weights the optimized network has another structure; build it again"
        )


def _same_op(old: Op, new: Op) -> bool:
    mine, theirs = old.attribute_values(), new.attribute_values()
    bodies = old.subgraphs()
    if type(old) is not type(new) or mine.keys() != theirs.keys():
        return False
    for name, body in bodies.items():
        _check_same(body, theirs[name])
    return all(mine[name] == theirs[name] for name in mine.keys() - bodies.keys())


def _plan(plan: Plan, graph: Graph, providers: Sequence[NamedProvider]) -> Plan:
    """A plan with the constants of another graph of the same structure."""
    inlined = expand(specialize(graph, plan.sizes)).graph
    known = {value.name: value.data for value in inlined.constants if value.data is not None}
    new = clone_graph(plan.graph, known)
    nodes = dict(zip(plan.graph.nodes, new.nodes, strict=True))
    pack = packer(providers)
    steps: list[Step] = []
    weights: list[Array] = []
    for step in plan.steps:
        node = nodes[step.node]
        packed = pack(node, step.provider, step.candidate) if step.constants else ()
        numbers = tuple(range(len(weights), len(weights) + len(packed)))
        steps.append(replace(step, node=node, constants=numbers))
        weights += packed
    return replace(plan, graph=new, steps=tuple(steps), weights=tuple(weights))
