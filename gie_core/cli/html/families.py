"""Families of ops: what kind of work a node is, for its colour."""

from __future__ import annotations

from collections.abc import Iterable

from gie_core.ir.op import Op
from gie_core.ops.group import Group

__all__ = ["FAMILIES", "family_of"]

FAMILIES = {
    "matrix": "convolution, matrix product",
    "pointwise": "pointwise",
    "norm": "normalization",
    "reduce": "pooling, reduction",
    "move": "data movement",
    "other": "control flow, foreign",
}
"""Families and what they are called; those that weigh more in a group come first."""

_ROOMS = {
    **dict.fromkeys(("conv", "linear"), "matrix"),
    **dict.fromkeys(("activation", "arithmetic", "pointwise", "quantize"), "pointwise"),
    "norm": "norm",
    **dict.fromkeys(("pool", "reduce"), "reduce"),
    **dict.fromkeys(("identity", "index", "resize", "shape"), "move"),
}


def family_of(op: Op) -> str:
    """The family of an op; of a group, that of its heaviest node."""
    if isinstance(op, Group):
        return _heaviest(family_of(node.op) for node in op.body.nodes)
    package, _, room = type(op).__module__.rpartition(".")
    return _ROOMS.get(room, "other") if package == "gie_core.ops" else "other"


def _heaviest(families: Iterable[str]) -> str:
    return min(families, key=list(FAMILIES).index, default="other")
