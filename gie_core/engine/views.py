"""Views: results that are an operand's own memory, seen with other strides."""

from __future__ import annotations

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.specialize import extents
from gie_core.ir.types import Array
from gie_core.kernels.format import Layout
from gie_core.ops.run import ExecutionError, compute_node
from gie_core.ops.shape import Concat

__all__ = ["VIEW_OPS", "slices_of", "view_layouts"]

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


def slices_of(node: Node, layout: Layout) -> list[tuple[int, Layout]]:
    """How the operands of a concatenation lie in its result.

    Args:
        node: a static ``concat``.
        layout: of its result.

    Returns:
        For each operand: bytes from the result's element (0, …, 0) to the operand's, and the
        layout.
    """
    op = node.op
    assert isinstance(op, Concat)
    axis = op.axis % len(layout.shape)
    found: list[tuple[int, Layout]] = []
    start = 0
    for operand in node.operands:
        assert operand is not None
        part = Layout(layout.dtype, extents(operand), layout.strides)
        found.append((start * layout.strides[axis], part))
        start += part.shape[axis]
    return found


def _address(array: Array) -> int:
    return array.__array_interface__["data"][0]


def _data(value: object) -> Array | None:
    return getattr(value, "data", None)
