"""Types of the outputs of a graph that a node runs as its body."""

from __future__ import annotations

from collections.abc import Sequence

from gie_core.ir.dims import Dim, SymInt, free_symbols, substitute_dim, symbol
from gie_core.ir.graph import Graph
from gie_core.ir.op import OpError
from gie_core.ir.types import OptionalType, SequenceType, TensorType, Type, may_equal

__all__ = ["call_types", "join_types"]


def call_types(body: Graph, operands: Sequence[Type]) -> tuple[Type, ...]:
    """The output types of ``body`` when its inputs are of the given types.

    Symbols of a body are its own: those in its inputs' shapes stand for the operands' extents.
    An output whose extents depend on an operand of unknown rank has unknown rank too.

    Raises:
        OpError: the operands do not fit the body's inputs.
    """
    if len(body.inputs) != len(operands):
        raise OpError(f"the body has {len(body.inputs)} inputs, but got {len(operands)} operands")
    meanings: dict[str, Dim] = {}
    unknown: set[str] = set()
    for value, operand in zip(body.inputs, operands, strict=True):
        if not may_equal(value.type, operand):
            raise OpError(f"the body's input %{value.name} is a {value.type}, not a {operand}")
        _learn(value.type, operand, meanings, unknown)
    unknown -= meanings.keys()
    return tuple(_substituted(value.type, meanings, unknown) for value in body.outputs)


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


def _learn(declared: Type, given: Type, meanings: dict[str, Dim], unknown: set[str]) -> None:
    """Note what the symbols of a body's input stand for."""
    if not (isinstance(declared, TensorType) and isinstance(given, TensorType)):
        return
    if given.shape is None or declared.shape is None:
        unknown |= free_symbols(*(declared.shape or ()))
        return
    for dim, extent in zip(declared.shape, given.shape, strict=True):
        for name in free_symbols(dim):
            if dim == symbol(name) and meanings.setdefault(name, extent) != extent:
                _check_one_extent(name, meanings[name], extent)


def _check_one_extent(name: str, a: Dim, b: Dim) -> None:
    if not (isinstance(a, SymInt) or isinstance(b, SymInt)):
        raise OpError(f"the dimension {name!r} of the body cannot be both {a} and {b}")


def _substituted(type_: Type, meanings: dict[str, Dim], unknown: set[str]) -> Type:
    match type_:
        case TensorType(dtype, shape) if shape is not None:
            if not unknown.isdisjoint(free_symbols(*shape)):
                return TensorType(dtype, None)
            return TensorType(dtype, tuple(substitute_dim(dim, meanings) for dim in shape))
        case SequenceType(item):
            return SequenceType(_substituted(item, meanings, unknown))
        case OptionalType(item):
            return OptionalType(_substituted(item, meanings, unknown))
        case _:
            return type_
