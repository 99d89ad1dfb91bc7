"""Questions that passes ask about values and ops."""

from __future__ import annotations

from collections.abc import Iterable

from gie_core.ir.graph import Value
from gie_core.ir.op import Op, Trait
from gie_core.ir.types import Array, Shape, TensorType, Type

__all__ = [
    "data_of",
    "first_reason",
    "is_pure",
    "is_read_once",
    "nbytes",
    "scalar_of",
    "shape_of",
    "vector_along",
]


def data_of(value: Value | None) -> Array | None:
    """The array of a constant; ``None`` for what is computed, given or absent."""
    return None if value is None else value.data


def scalar_of(value: Value | None) -> bool | int | float | None:
    """The element of a constant that has exactly one and is a real number or a bool."""
    data = data_of(value)
    if data is None or data.size != 1 or data.dtype == object or data.dtype.kind == "c":
        return None
    element = data.reshape(()).item()
    return element if isinstance(element, bool | int | float) else float(element)


def shape_of(value: Value | None) -> Shape | None:
    """The shape of a tensor of known rank."""
    if value is None or not isinstance(value.type, TensorType):
        return None
    return value.type.shape


def is_read_once(value: Value) -> bool:
    """One operand of one node reads it, and callers never see it."""
    if len(value.uses) != 1:
        return False
    return not value.uses[0].node.graph.is_output(value)


def is_pure(op: Op) -> bool:
    """Equal operands give equal results, in the graphs inside too."""
    if Trait.IMPURE in op.traits:
        return False
    return all(is_pure(node.op) for body in op.subgraphs().values() for node in body.nodes)


def nbytes(type: Type) -> int | None:
    """The size of a tensor in memory; ``None`` where it is not known."""
    if not isinstance(type, TensorType) or type.shape is None:
        return None
    total = type.dtype.numpy.itemsize
    for extent in type.shape:
        if not isinstance(extent, int):
            return None
        total *= extent
    return total


def vector_along(value: Value | None, axis: int, shape: Shape) -> Array | None:
    """A constant that broadcasts to ``shape`` and varies along ``axis`` only, as that vector.

    Returns:
        1-D, with one element or ``shape[axis]``; ``None`` if it is not such a constant.
    """
    data = data_of(value)
    if data is None or data.ndim > len(shape):
        return None
    extents = (1,) * (len(shape) - data.ndim) + data.shape
    fits = all(
        extent == (1 if other != axis else extent) for other, extent in enumerate(extents)
    ) and extents[axis] in (1, shape[axis])
    return data.reshape(-1) if fits else None


def first_reason(reasons: Iterable[str]) -> str:
    """The first that is not empty, if any."""
    return next((reason for reason in reasons if reason), "")
