"""Axes and extents in shape rules: checking, merging, replacing."""

from __future__ import annotations

from gie_core.ir.dims import Atom, Dim, SymInt, certainly_differ, dim_max
from gie_core.ir.op import OpError
from gie_core.ir.types import Shape

__all__ = [
    "as_ints",
    "at_least_zero",
    "check_axis",
    "is_provably_zero_or_more",
    "merge_dims",
    "merge_shapes",
    "replace_dim",
]


def as_ints(dims: Shape) -> tuple[int, ...]:
    """Dimensions of an op that runs, where symbols have become numbers.

    Raises:
        OpError: one is still symbolic.
    """
    for dim in dims:
        if isinstance(dim, SymInt):
            raise OpError(f"the dimension {dim} is not known; bind its symbols before running")
    return tuple(dim for dim in dims if isinstance(dim, int))


def check_axis(axis: int, rank: int) -> int:
    """``axis`` itself.

    Raises:
        OpError: a tensor of this rank has no such axis.
    """
    if not 0 <= axis < rank:
        raise OpError(f"axis {axis} does not exist in a tensor of rank {rank}")
    return axis


def merge_dims(a: Dim, b: Dim, what: str) -> Dim:
    """The better known of two extents that must be equal.

    Raises:
        OpError: they certainly differ; ``what`` names them.
    """
    if certainly_differ(a, b):
        raise OpError(f"{what} must be equal, not {a} and {b}")
    return b if isinstance(b, int) else a


def merge_shapes(a: Shape, b: Shape, what: str, skip: int | None = None) -> Shape:
    """Merge all extents of two shapes; those at axis ``skip`` may differ and ``a``'s is taken.

    Raises:
        OpError: the ranks or two extents certainly differ; ``what`` names the operands.
    """
    if len(a) != len(b):
        raise OpError(f"{what} must have one rank, not {len(a)} and {len(b)}")
    return tuple(
        p if axis == skip else merge_dims(p, q, f"the extents of {what} at axis {axis}")
        for axis, (p, q) in enumerate(zip(a, b, strict=True))
    )


def replace_dim(shape: Shape, axis: int, *extents: Dim) -> Shape:
    """``shape`` with the extent at ``axis`` replaced by none, one or several."""
    return (*shape[:axis], *extents, *shape[axis + 1 :])


def at_least_zero(dim: Dim) -> Dim:
    """max(dim, 0), without the ``max`` where the sign is plain to see."""
    return dim if is_provably_zero_or_more(dim) else dim_max(dim, 0)


def is_provably_zero_or_more(dim: Dim) -> bool:
    """Whether only non-negative things are added and multiplied; ``False`` says nothing."""
    if isinstance(dim, SymInt):
        return all(
            coefficient >= 0 and all(map(_is_atom_zero_or_more, monomial))
            for monomial, coefficient in dim.terms
        )
    return dim >= 0


def _is_atom_zero_or_more(atom: Atom) -> bool:
    known = [is_provably_zero_or_more(operand) for operand in atom.operands]
    match atom.function:
        case "max":
            return any(known)
        case "mod":
            return known[1]  # a remainder has the divisor's sign
        case _:
            return all(known)
