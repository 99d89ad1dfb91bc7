"""Types of the outputs of a graph that a node runs as its body."""

from __future__ import annotations

from collections.abc import Sequence

from gie_core.ir.dims import Dim, certainly_differ, free_symbols, substitute_dim, symbol
from gie_core.ir.graph import Graph
from gie_core.ir.op import OpError
from gie_core.ir.types import OptionalType, SequenceType, TensorType, Type, may_equal

__all__ = ["call_types", "join_types"]


def call_types(body: Graph, operands: Sequence[Type]) -> tuple[Type, ...]:
    """The output types of ``body`` when its inputs are of the given types.

    Symbols of a body are its own: those in its inputs' shapes stand for the operands' extents.
    An output has unknown rank where its extents depend on an operand of unknown rank, or on a
    symbol that only the body's own nodes bind.

    Raises:
        OpError: the operands do not fit the body's inputs.
    """
    if len(body.inputs) != len(operands):
        raise OpError(f"the body has {len(body.inputs)} inputs, but got {len(operands)} operands")
    extents: list[tuple[Dim, Dim]] = []
    for value, operand in zip(body.inputs, operands, strict=True):
        if not may_equal(value.type, operand):
            raise OpError(f"the body's input %{value.name} is a {value.type}, not a {operand}")
        extents += _extents(value.type, operand)
    meanings = _meanings(extents)
    return tuple(_substituted(value.type, meanings) for value in body.outputs)


def join_types(a: Type, b: Type, what: str) -> Type:
    """The most precise type of a value that is of type ``a`` or of type ``b``.

    Tensors whose shapes differ join to unknown rank.

    Raises:
        OpError: the element types differ, or the types are of two kinds; ``what`` names the value.
    """
    if a == b:
        return a
    if isinstance(a, TensorType) and isinstance(b, TensorType) and a.dtype is b.dtype:
        return TensorType(a.dtype, None)
    if isinstance(a, SequenceType) and isinstance(b, SequenceType):
        return SequenceType(join_types(a.item, b.item, what))
    if isinstance(a, OptionalType) and isinstance(b, OptionalType):
        return OptionalType(join_types(a.item, b.item, what))
    raise OpError(f"{what} cannot be both a {a} and a {b}")


def _extents(declared: Type, given: Type) -> list[tuple[Dim, Dim]]:
    """Each dimension of a body's input beside the operand's extent, where both are known."""
    if not (isinstance(declared, TensorType) and isinstance(given, TensorType)):
        return []
    if declared.shape is None or given.shape is None:
        return []
    return list(zip(declared.shape, given.shape, strict=True))


def _meanings(extents: Sequence[tuple[Dim, Dim]]) -> dict[str, Dim]:
    """What the symbols of a body stand for."""
    meanings: dict[str, Dim] = {}
    for dim, extent in extents:
        for name in free_symbols(dim):
            if dim == symbol(name) and certainly_differ(meanings.setdefault(name, extent), extent):
                raise OpError(
                    f"the dimension {name!r} of the body cannot be both {meanings[name]} and "
                    f"{extent}"
                )
    # A body cut out of the graph around it speaks of that graph's symbols.
    for dim, extent in extents:
        if dim == extent:
            for name in free_symbols(dim):
                meanings.setdefault(name, symbol(name))
    return meanings


def _substituted(type_: Type, meanings: dict[str, Dim]) -> Type:
    match type_:
        case TensorType(dtype, shape) if shape is not None:
            if not free_symbols(*shape) <= meanings.keys():
                return TensorType(dtype, None)
            return TensorType(dtype, tuple(substitute_dim(dim, meanings) for dim in shape))
        case SequenceType(item):
            return SequenceType(_substituted(item, meanings))
        case OptionalType(item):
            return OptionalType(_substituted(item, meanings))
        case _:
            return type_
