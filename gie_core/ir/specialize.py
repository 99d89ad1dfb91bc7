"""Specialization: a graph with numbers in place of symbols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np

from gie_core.errors import GieError
from gie_core.ir.dims import Dim, SymInt, evaluate_dim, free_symbols, substitute_dim, symbol
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.op import Op
from gie_core.ir.types import DType, TensorType, Type

__all__ = [
    "SizeError",
    "extents",
    "is_static",
    "is_static_type",
    "specialize",
    "symbol_name",
    "symbols_of_inputs",
]


class SizeError(GieError):
    """A graph makes no sense with some sizes.

    Args:
        what: goes wrong.
        sizes: with which.
    """

    def __init__(self, what: str, sizes: Mapping[str, int]) -> None:
        given = ", ".join(f"{name} = {n}" for name, n in sorted(sizes.items()))
        super().__init__(f"{what} with {given}; give other sizes")


def specialize(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """A copy for inputs of certain sizes.

    Symbols that ``sizes`` does not name, such as the number of elements that ``nonzero`` finds,
    stay. Bodies of groups are specialized too; those of control flow, whose values may change
    their shape from one iteration to the next, are not.

    Args:
        graph: stays as it is; constants' arrays are shared, those that aren't row-major copied.
        sizes: an extent for each symbol.

    Raises:
        SizeError: the graph makes no sense with these sizes.
    """
    try:
        return _specialize(graph, sizes)
    except ZeroDivisionError:
        raise SizeError(f"a dimension of graph {graph.name!r} divides by zero", sizes) from None


def _specialize(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    copy = Graph(graph.name)
    copy.metadata.update(graph.metadata)
    copies: dict[Value, Value] = {}
    for value in graph.inputs:
        copies[value] = copy.add_input(value.name, _sized_type(value.type, sizes))
    for value in graph.constants:
        copies[value] = copy.add_constant(np.asarray(value.data, order="C"), value.name)
    for node in graph.nodes:
        operands = [None if v is None else copies[v] for v in node.operands]
        made = copy.add(
            _sized_op(node.op, operands, sizes),
            *operands,
            names=[v.name for v in node.results],
            types=[_sized_result(v, sizes) for v in node.results],
            sources=node.sources,
        )
        made.metadata.update(node.metadata)
        copies.update(zip(node.results, made.results, strict=True))
    for value, its_copy in copies.items():
        its_copy.quantization = value.quantization
    names = zip(graph.output_names, graph.outputs, strict=True)
    copy.set_outputs([(name, copies[value]) for name, value in names])
    for state in graph.states:
        copy.add_state(copies[state.input], copies[state.output])
    return copy


def is_static(node: Node) -> bool:
    """Whether memory for all results can be set aside before the node runs.

    That needs tensors of known shapes and fixed-size elements, and an op without symbols that
    runs no graphs but a group's.
    """
    values = [v for v in (*node.operands, *node.results) if v is not None]
    if not all(is_static_type(v.type) for v in values) or node.op.symbols():
        return False
    return not node.op.subgraphs() or node.op.name == "group"


def is_static_type(type_: Type) -> bool:
    """A tensor of known shape, of elements that all take the same room."""
    return isinstance(type_, TensorType) and type_.is_static and type_.dtype is not DType.STR


def extents(value: Value) -> tuple[int, ...]:
    """The shape of a tensor that has no symbols in it.

    Raises:
        ValueError: it has.
    """
    dims = value.tensor.dims
    if not all(isinstance(dim, int) for dim in dims):
        raise ValueError(f"%{value.name} is {value.type}, not of a known shape")
    return cast("tuple[int, ...]", dims)


def symbols_of_inputs(graph: Graph) -> frozenset[str]:
    """The symbols that the sizes of the inputs decide."""
    types = (v.type for v in graph.inputs if isinstance(v.type, TensorType))
    dims = (dim for type_ in types for dim in type_.shape or ())
    return frozenset(name for d in dims if (name := symbol_name(d)) is not None)


def symbol_name(dim: Dim) -> str | None:
    """The name of a dimension that is a symbol and nothing else."""
    names = free_symbols(dim)
    return next((name for name in names if len(names) == 1 and dim == symbol(name)), None)


def _sized_op(op: Op, operands: list[Value | None], sizes: Mapping[str, int]) -> Op:
    if op.name == "group":
        (name, body), *_ = op.subgraphs().items()
        return op.replace(**{name: specialize(body, _sizes_of_body(body, operands, sizes))})
    return op.resolve(sizes) if op.symbols() and op.symbols() <= sizes.keys() else op


def _sizes_of_body(
    body: Graph, operands: list[Value | None], outside: Mapping[str, int]
) -> dict[str, int]:
    """The numbers for the symbols in a group's body.

    A symbol that is an extent of an input stands for the operand's; the others are those of the
    graph around the body.
    """
    sizes = dict(outside)
    for inner, outer in zip(body.inputs, operands, strict=True):
        if outer is None or not isinstance(inner.type, TensorType):
            continue
        for dim, extent in zip(inner.type.shape or (), outer.tensor.shape or (), strict=False):
            name = symbol_name(dim)
            if name is not None and isinstance(extent, int):
                sizes[name] = extent
            elif name is not None:
                sizes.pop(name, None)
    return sizes


def _sized_result(value: Value, sizes: Mapping[str, int]) -> Type:
    try:
        return _sized_type(value.type, sizes)
    except ValueError:
        what = f"an extent of %{value.name}: {value.type} is negative"
        raise SizeError(what, sizes) from None


def _sized_type(type_: Type, sizes: Mapping[str, int]) -> Type:
    if not isinstance(type_, TensorType) or type_.shape is None or type_.is_static:
        return type_
    return TensorType(type_.dtype, tuple(_sized_dim(dim, sizes) for dim in type_.shape))


def _sized_dim(dim: Dim, sizes: Mapping[str, int]) -> Dim:
    if not isinstance(dim, SymInt):
        return dim
    if free_symbols(dim) <= sizes.keys():
        return evaluate_dim(dim, sizes)
    known: dict[str, Dim] = {name: sizes[name] for name in free_symbols(dim) & sizes.keys()}
    return substitute_dim(dim, known)
