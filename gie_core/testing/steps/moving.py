"""Random nodes that move elements without computing."""

from __future__ import annotations

import math

import numpy as np

from gie_core.ir.graph import Graph
from gie_core.ops.index import Gather
from gie_core.ops.shape import Concat, Expand, Pad, Reshape, ShapeOf, Slice, Split, Tile, Transpose
from gie_core.testing.steps.choices import (
    Choices,
    axis_of,
    extent_of,
    has_rank,
    ints,
    is_float,
    is_image,
    pick_value,
    weights,
)

__all__ = [
    "concat",
    "expand",
    "gather",
    "pad",
    "reshape",
    "shape_of",
    "slice_",
    "split",
    "transpose",
]


def reshape(graph: Graph, choose: Choices) -> None:
    """A reshape, or one that does nothing."""
    x = pick_value(graph, choose)
    dims = list(x.tensor.dims)
    kind = choose.pick(["merge", "unsqueeze", "flatten", "same"])
    if kind == "merge" and len(dims) > 1:
        axis = choose.integer(0, len(dims) - 2)
        dims[axis : axis + 2] = [dims[axis] * dims[axis + 1]]
    elif kind == "unsqueeze":
        dims.insert(choose.integer(0, len(dims)), 1)
    elif kind == "flatten":
        dims = [math.prod(ints(dims))]
    graph.add(Reshape(shape=tuple(dims)), x)


def transpose(graph: Graph, choose: Choices) -> None:
    """A transpose that moves one axis."""
    x = pick_value(graph, choose, lambda v: v.tensor.rank > 1)
    axes = list(range(x.tensor.rank))
    first = choose.integer(0, len(axes) - 1)
    second = choose.integer(0, len(axes) - 1)
    axes.insert(first, axes.pop(second))
    graph.add(Transpose(permutation=tuple(axes)), x)


def expand(graph: Graph, choose: Choices) -> None:
    """A broadcast or a tile."""
    x = pick_value(graph, choose)
    dims = tuple(choose.integer(1, 2) if d == 1 else d for d in x.tensor.dims)
    if choose.integer(0, 1):
        graph.add(Expand(shape=(*[2] * choose.integer(0, 1), *dims)), x)
    else:
        graph.add(Tile(repeats=tuple(choose.integer(1, 2) for _ in dims)), x)


def concat(graph: Graph, choose: Choices) -> None:
    """A concatenation, of constants too."""
    x = pick_value(graph, choose, has_rank)
    others = [x]
    for _ in range(choose.integer(0, 2)):
        if x.tensor.is_static and not choose.integer(0, 2):
            others.append(weights(graph, choose, x.tensor.dtype, ints(x.tensor.dims)))
        else:
            others.append(pick_value(graph, choose, lambda v: v.type == x.type))
    graph.add(Concat(axis=axis_of(x, choose)), *others)


def split(graph: Graph, choose: Choices) -> None:
    """A cut in two."""
    x = pick_value(graph, choose, has_rank)
    axis = axis_of(x, choose)
    first = choose.integer(0, extent_of(x, axis))
    rest = extent_of(x, axis) - first
    graph.add(Split(axis=axis, sizes=(first, rest) if first and rest else (first + rest,)), x)


def slice_(graph: Graph, choose: Choices) -> None:
    """A slice, forward or backward."""
    x = pick_value(graph, choose, has_rank)
    axis = axis_of(x, choose)
    extent = extent_of(x, axis)
    start = choose.integer(0, extent - 1)
    end = choose.integer(start + 1, extent)
    step = choose.integer(1, 2)
    if choose.integer(0, 2):
        graph.add(Slice(axes=(axis,), starts=(start,), ends=(end,), steps=(step,)), x)
    else:
        graph.add(Slice(axes=(axis,), starts=(end - 1,), ends=(start - 1,), steps=(-step,)), x)


def pad(graph: Graph, choose: Choices) -> None:
    """A pad."""
    x = pick_value(graph, choose, lambda v: v.tensor.dtype.is_number and has_rank(v))
    pads = [choose.integer(0, 1) for _ in range(2 * x.tensor.rank)]
    if is_image(x) and choose.integer(0, 3):
        pads[:2] = pads[x.tensor.rank : x.tensor.rank + 2] = [0, 0]
    lowest = -math.inf if is_float(x) else 0
    value = graph.add_constant(np.asarray(choose.pick([0, 1, lowest]), x.tensor.dtype.numpy))
    mode = "constant" if choose.integer(0, 3) else "edge"
    graph.add(Pad(pads=tuple(pads), mode=mode), x, choose.pick([None, value]))


def gather(graph: Graph, choose: Choices) -> None:
    """A gather with constant indices."""
    x = pick_value(graph, choose, has_rank)
    axis = axis_of(x, choose)
    indices = choose.rng.integers(0, extent_of(x, axis), choose.pick([(2,), (), (1,)]))
    graph.add(Gather(axis=axis), x, graph.add_constant(np.asarray(indices, np.int64)))


def shape_of(graph: Graph, choose: Choices) -> None:
    """A value's shape."""
    graph.add(ShapeOf(), pick_value(graph, choose))
