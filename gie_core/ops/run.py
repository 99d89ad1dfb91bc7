"""Running a graph with the ops' own references, one node after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from gie_core.errors import GieError
from gie_core.ir.dims import Dim, evaluate_dim, free_symbols, symbol
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.op import Op
from gie_core.ir.types import Shape, TensorType

__all__ = [
    "ExecutionError",
    "RunGraph",
    "as_tuple",
    "bind_inputs",
    "bind_symbols",
    "compute_node",
    "failed",
    "run_graph",
]

RunGraph = Callable[[Graph, Sequence[Any]], Sequence[Any]]


class ExecutionError(GieError):
    """A node could not run, or an input does not fit."""


def run_graph(
    graph: Graph, inputs: Sequence[Any], compute: Callable[..., tuple[Any, ...]] | None = None
) -> list[Any]:
    """Run a graph.

    Args:
        graph: any graph whose ops have references.
        inputs: one array per graph input (a list for a sequence, ``None`` for an empty optional).
        compute: runs one node, ``compute(node, op, operands)``; by default its reference.

    Returns:
        One array per graph output.

    Raises:
        ExecutionError: an input's type or shape does not fit, or a node fails; names it.
    """
    compute = compute or compute_node
    sizes = bind_inputs(graph, inputs)
    values: dict[Value, Any] = dict(zip(graph.inputs, inputs, strict=True))
    values.update((constant, constant.data) for constant in graph.constants)
    for node in graph.nodes:
        operands = [None if v is None else values[v] for v in node.operands]
        results = compute(node, resolve(node, sizes), operands)
        for value, array in zip(node.results, results, strict=True):
            bind_symbols(value, array, sizes)
            values[value] = array
    return [values[value] for value in graph.outputs]


def compute_node(node: Node, op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
    """Run one node by its op's reference; ``op`` is the node's, with numbers for symbols.

    Raises:
        ExecutionError: the op has no reference, or it fails.
    """
    if not op.has_reference():
        raise ExecutionError(f"{op.name} has no reference implementation (node {_where(node)})")
    extra: dict[str, Any] = {"run": run_graph} if op.subgraphs() else {}
    try:
        with np.errstate(all="ignore"):
            result = op.compute(*operands, **extra)
    except ExecutionError:
        raise
    except Exception as error:  # whatever NumPy raises becomes one error that names the node
        raise failed(node, error) from error
    return _as_results(node, result)


def failed(node: Node, error: Exception) -> ExecutionError:
    """The error that says which node failed, and why; a user's error needs no type's name."""
    reason = f"{error}" if isinstance(error, GieError) else f"{type(error).__name__}: {error}"
    return ExecutionError(f"{node.op.name} failed at {_where(node)}: {reason}")


def resolve(node: Node, sizes: Mapping[str, int]) -> Op:
    """The node's op with its symbolic dimensions as numbers.

    Raises:
        ExecutionError: a symbol is not bound, or a dimension divides by zero.
    """
    try:
        return node.op.resolve(sizes)
    except KeyError as error:
        raise ExecutionError(
            f"the dimension {error} is not known when {_where(node)} runs"
        ) from None
    except ZeroDivisionError as error:
        raise failed(node, error) from error


def bind_inputs(graph: Graph, inputs: Sequence[Any]) -> dict[str, int]:
    """Check a graph's inputs against their types; returns the numbers for the symbols in these.

    Raises:
        ExecutionError: their number, or a dtype, rank or extent does not fit.
    """
    if len(inputs) != len(graph.inputs):
        raise ExecutionError(
            f"graph {graph.name!r} has {len(graph.inputs)} inputs, but got {len(inputs)}"
        )
    sizes: dict[str, int] = {}
    # Twice: an extent such as 2*n is checked when some later input has bound n.
    for value, array in (*zip(graph.inputs, inputs, strict=True),) * 2:
        bind_symbols(value, array, sizes)
    return sizes


def bind_symbols(value: Value, array: Any, sizes: dict[str, int]) -> None:
    """Check an array against a value's type and learn the symbols in its shape.

    A dimension that is a symbol of its own binds it; any other expression is checked
    if its symbols are bound.

    Raises:
        ExecutionError: dtype, rank or an extent does not fit.
    """
    type_ = value.type
    if not isinstance(type_, TensorType) or array is None:
        return
    if array.dtype != type_.dtype.numpy:
        raise ExecutionError(f"%{value.name} is {type_}, but got an array of {array.dtype}")
    if type_.shape is None:
        return
    try:
        fits = len(type_.shape) == array.ndim and all(
            _fits(dim, extent, sizes) for dim, extent in zip(type_.shape, array.shape, strict=True)
        )
    except ZeroDivisionError:
        raise ExecutionError(
            f"%{value.name} is {type_}, which divides by zero{_given(type_.shape, sizes)}"
        ) from None
    if not fits:
        raise ExecutionError(
            f"%{value.name} is {type_}{_given(type_.shape, sizes)}, but got an array of shape "
            f"{list(array.shape)}"
        )


def _given(shape: Shape, sizes: Mapping[str, int]) -> str:
    """What is known of the symbols in a shape, for messages."""
    known = {s: sizes[s] for s in sorted(free_symbols(*shape)) if s in sizes}
    return f" with {', '.join(f'{s} = {n}' for s, n in known.items())}" if known else ""


def _fits(dim: Dim, extent: int, sizes: dict[str, int]) -> bool:
    if isinstance(dim, int):
        return dim == extent
    names = free_symbols(dim)
    if names <= sizes.keys():
        return evaluate_dim(dim, sizes) == extent
    name = min(names)
    if dim == symbol(name):
        sizes[name] = extent
    return True


def as_tuple(result: Any) -> tuple[Any, ...]:
    """What a reference returned as a tuple of results."""
    return cast("tuple[Any, ...]", result) if isinstance(result, tuple) else (result,)


def _as_results(node: Node, result: Any) -> tuple[Any, ...]:
    results = as_tuple(result)
    if len(results) != len(node.results):
        raise ExecutionError(
            f"{node.op.name} at {_where(node)} returned {len(results)} results, not "
            f"{len(node.results)}"
        )
    return tuple(np.asarray(cast("Any", r)) if np.isscalar(r) else r for r in results)


def _where(node: Node) -> str:
    names = ", ".join(f"%{r.name}" for r in node.results)
    return f"{names} (from {', '.join(node.sources)})" if node.sources else names
