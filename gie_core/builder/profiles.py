"""Profiles: for which sizes of the inputs plans are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gie_core.builder.report import Rejection
from gie_core.builder.ways import nobody
from gie_core.engine.plan import Plan
from gie_core.errors import GieError
from gie_core.ir.dims import evaluate_dim
from gie_core.ir.graph import Graph, Value
from gie_core.ir.specialize import SizeError, extents, specialize, symbol_name, symbols_of_inputs
from gie_core.ir.types import TensorType
from gie_core.kernels.provider import NamedProvider
from gie_core.runtime import replan
from gie_core.runtime.target import Target

__all__ = ["Shapes", "check_runnable", "likely_sizes", "profile_sizes", "sharing_weights"]

Shapes = Mapping[str, Sequence[int]] | Sequence[Mapping[str, Sequence[int]]]
"""Shapes by the name of the input; several such mappings for several profiles."""


def profile_sizes(graph: Graph, shapes: Shapes | None) -> list[dict[str, int]]:
    """What the symbols stand for in each profile.

    Returns:
        One dict a profile; a single empty one for a graph without symbols in its inputs, and
        none where there are symbols but no shapes.

    Raises:
        GieError: a shape does not fit its input, or an input's sizes are not given.
    """
    profiles = [shapes] if isinstance(shapes, Mapping) else list(shapes or ())
    found = [_sizes(graph, each) for each in profiles]
    if not symbols_of_inputs(graph):
        return [{}]
    return [dict(pairs) for pairs in dict.fromkeys(tuple(sorted(f.items())) for f in found)]


def _sizes(graph: Graph, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    inputs = {value.name: value for value in graph.inputs}
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        if name not in inputs:
            raise GieError(f"there is no input {name!r}; the inputs are {', '.join(inputs)}")
        _bind(inputs[name], tuple(shape), sizes)
    open_ = sorted(symbols_of_inputs(graph) - sizes.keys())
    if open_:
        raise GieError(f"the shapes don't say what {', '.join(open_)} stands for; give all inputs'")
    for name, shape in shapes.items():
        _check(inputs[name], tuple(shape), sizes)
    return sizes


def _bind(value: Value, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    dims = value.type.shape if isinstance(value.type, TensorType) else None
    if dims is None or len(dims) != len(shape) or any(n < 0 for n in shape):
        raise GieError(
            f"the shape {list(shape)} does not fit the input {value.name!r}: {value.type}"
        )
    for dim, extent in zip(dims, shape, strict=True):
        if (name := symbol_name(dim)) is not None:
            sizes.setdefault(name, extent)


def _check(value: Value, shape: tuple[int, ...], sizes: Mapping[str, int]) -> None:
    for dim, extent in zip(
        extents(value) if value.tensor.is_static else value.tensor.shape or (),
        shape,
        strict=True,
    ):
        if evaluate_dim(dim, sizes) != extent:
            given = ", ".join(f"{name} = {n}" for name, n in sorted(sizes.items()))
            with_ = f" with {given}" if given else ""
            raise GieError(
                f"the shape {list(shape)} does not fit the input {value.name!r}: "
                f"{value.type}{with_}"
            )


def likely_sizes(graph: Graph) -> dict[str, int] | None:
    """Sizes at which the graph makes sense, the smallest of a few; ``None`` if none of them do."""
    symbols = sorted(symbols_of_inputs(graph))
    for extent in (1, 4, 32, 224):
        sizes = dict.fromkeys(symbols, extent)
        try:
            values = specialize(graph, sizes).values()
        except SizeError:
            continue
        types = [v.type for v in values if isinstance(v.type, TensorType)]
        if all(not isinstance(d, int) or d > 0 for type_ in types for d in type_.shape or ()):
            return sizes
    return None


def check_runnable(graph: Graph, target: Target, providers: Sequence[NamedProvider]) -> None:
    """Check that somebody runs, or may run, every node, those of inner graphs included.

    Raises:
        KernelError: nobody does; gives each provider's reason.
    """
    for node in graph.nodes:
        rejections: list[Rejection] = []
        for each in providers:
            support = each.provider.supports(node, target)
            if support.ok or support.open:
                break
            rejections.append(Rejection(each.name, support.reason))
        else:
            if not node.op.subgraphs():
                raise nobody(node, target, rejections)
            for body in node.op.subgraphs().values():
                check_runnable(body, target, providers)


def sharing_weights(plans: Sequence[Plan]) -> list[Plan]:
    """The plans with the arrays of those before in place of equal ones."""
    shared: list[Plan] = []
    for plan in plans:
        shared.append(replan.sharing_weights(plan, shared))
    return shared
