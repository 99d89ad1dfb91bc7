"""Views: results that are an operand's own memory, seen with other strides."""

from __future__ import annotations

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.types import Array
from gie_core.kernels.format import Layout
from gie_core.ops.run import ExecutionError, compute_node

__all__ = ["VIEW_OPS", "slice_of", "view_layouts"]

VIEW_OPS = frozenset({"dropout", "expand", "identity", "reshape", "slice", "split", "transpose"})
"""Ops that may only move elements of their first operand."""


def view_layouts(node: Node, layout: Layout) -> tuple[tuple[int, Layout], ...] | None:
    """How the results lie in the memory of the first operand, if no element has to move.

    NumPy decides: the op's reference is run on an array with these strides, and what it
    returns is either a view of it or not.

    Args:
        node: static.
        layout: of its first operand.

    Returns:
        For each result: bytes from the operand's element (0, …, 0) to the result's, and the
        layout. ``None`` if some result is no view.
    """
    if node.op.name not in VIEW_OPS or not layout.size:
        return None
    low, high = layout.span
    # Pages that nobody touches cost nothing, and only a copy would touch these.
    memory = np.empty(high - low, np.uint8)
    operand = np.ndarray(layout.shape, layout.dtype.numpy, memory, -low, layout.strides)
    try:
        results = compute_node(node, node.op, [operand, *(_data(v) for v in node.operands[1:])])
    except ExecutionError:
        return None
    found: list[tuple[int, Layout]] = []
    for value, result in zip(node.results, results, strict=True):
        is_view = np.may_share_memory(result, memory) and result.shape == value.tensor.shape
        if not is_view or result.dtype != operand.dtype:
            return None
        offset = _address(result) - _address(operand)
        found.append((offset, Layout(layout.dtype, result.shape, result.strides)))
    return tuple(found)


def slice_of(layout: Layout, axis: int, start: int, extent: int) -> tuple[int, Layout]:
    """A part of a tensor along one axis: its distance in bytes, and its layout."""
    shape = (*layout.shape[:axis], extent, *layout.shape[axis + 1 :])
    return start * layout.strides[axis], Layout(layout.dtype, shape, layout.strides)


def _address(array: Array) -> int:
    return array.__array_interface__["data"][0]


def _data(value: object) -> Array | None:
    return getattr(value, "data", None)
