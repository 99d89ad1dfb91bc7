"""Checks of operands and attributes in shape rules: rank, shape, element type, choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gie_core.ir.dims import Dim, certainly_differ
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import DType, Shape, TensorType

__all__ = [
    "bracketed",
    "check_broadcasts_to",
    "check_choice",
    "check_dtype",
    "check_float",
    "check_indices",
    "check_number",
    "check_rank",
    "check_scalar",
    "check_shape",
]


def bracketed(dims: Iterable[Dim]) -> str:
    """Dimensions as text for messages: ``[n, 3]``."""
    return f"[{', '.join(map(str, dims))}]"


def check_rank(name: str, x: TensorType, rank: int, or_more: bool = False) -> None:
    """Check the number of dimensions.

    Raises:
        OpError: it is not ``rank``, nor, where that is allowed, more.
    """
    if x.rank < rank or (x.rank > rank and not or_more):
        raise OpError(f"{name} must have rank {rank}{' or more' if or_more else ''}, got {x}")


def check_shape(name: str, x: TensorType, shape: Shape) -> None:
    """Check rank and extents; symbolic extents fit what they may equal.

    Raises:
        OpError: the shape is provably another one.
    """
    extents = zip(x.dims, shape, strict=False)
    if x.rank != len(shape) or any(certainly_differ(a, b) for a, b in extents):
        raise OpError(f"{name} must have shape {bracketed(shape)}, got {x}")


def check_broadcasts_to(name: str, x: TensorType, shape: Shape) -> None:
    """Check that ``x`` stretches to ``shape`` without adding to it.

    Raises:
        OpError: it provably does not.
    """
    aligned = zip(reversed(x.dims), reversed(shape), strict=False)
    if x.rank > len(shape) or any(
        isinstance(own, int) and isinstance(target, int) and own not in (1, target)
        for own, target in aligned
    ):
        raise OpError(f"{name} must broadcast to {bracketed(shape)}, got {x}")


def check_float(**operands: TensorType | None) -> None:
    """Check that the present operands are real floats, given by name.

    Raises:
        OpError: one is not.
    """
    for name, x in operands.items():
        if x is not None and not x.dtype.is_float:
            raise OpError(f"{name} must be of a floating-point type, got {x}")


def check_number(**operands: TensorType | None) -> None:
    """Check that the present operands are numbers (not bool, not strings), given by name.

    Raises:
        OpError: one is not.
    """
    for name, x in operands.items():
        if x is not None and not x.dtype.is_number:
            raise OpError(f"{name} must be of a number type, got {x}")


def check_dtype(dtype: DType, **operands: TensorType | None) -> None:
    """Check that the present operands have one element type, given by name.

    Raises:
        OpError: one has another.
    """
    for name, x in operands.items():
        if x is not None and x.dtype is not dtype:
            raise OpError(f"{name} must be of type {dtype}, got {x}")


def check_choice(op: Op, name: str, choices: Sequence[str]) -> None:
    """Check that a string attribute has one of the allowed values.

    Raises:
        OpError: it has not.
    """
    value = getattr(op, name)
    if value not in choices:
        allowed = ", ".join(map(repr, choices))
        raise OpError(f"attribute {name!r} of {op.name} is {value!r}; it must be one of {allowed}")


def check_indices(name: str, indices: TensorType) -> None:
    """Check that an operand can hold positions.

    Raises:
        OpError: its element type is not an integer.
    """
    if not indices.dtype.is_integer:
        raise OpError(f"{name} must be integers, not {indices}")


def check_scalar(name: str, value: TensorType) -> None:
    """Check that an operand holds one element (any rank, as far as its extents are known).

    Raises:
        OpError: it certainly holds another number of elements.
    """
    if value.shape is not None and any(isinstance(d, int) and d != 1 for d in value.shape):
        raise OpError(f"{name} must have one element, not the shape of {value}")
