"""Random layers: what neural networks compute with weights and over neighbours."""

from __future__ import annotations

from typing import Any

from gie_core.ir.graph import Graph
from gie_core.ops.conv import Conv, ConvTranspose
from gie_core.ops.linear import Gemm, Matmul
from gie_core.ops.norm import BatchNorm, Softmax
from gie_core.ops.pool import AveragePool, MaxPool
from gie_core.ops.reduce import ReduceMax, ReduceMean, ReduceSum
from gie_core.testing.steps.choices import (
    Choices,
    axis_of,
    extent_of,
    has_rank,
    is_float,
    is_image,
    pick_value,
    weights,
)

__all__ = ["batch_norm", "conv", "linear", "pool", "reduce", "softmax"]


def conv(graph: Graph, choose: Choices) -> None:
    """A convolution or its transpose."""
    x = pick_value(graph, choose, is_image)
    channels, rank = extent_of(x, 1), x.tensor.rank - 2
    groups = choose.pick([g for g in (1, 2, 3) if channels % g == 0])
    results = groups * choose.integer(1, 3)
    kernel = [choose.integer(1, 3) for _ in range(rank)]
    window: dict[str, Any] = {
        "strides": [choose.integer(1, 2) for _ in range(rank)],
        "pads": [choose.integer(0, 2) for _ in range(2 * rank)],
        "dilations": [choose.integer(1, 2) for _ in range(rank)],
    }
    is_plain = bool(choose.integer(0, 2))
    shape = (results, channels // groups) if is_plain else (channels, results // groups)
    weight = weights(graph, choose, x.tensor.dtype, (*shape, *kernel))
    biases = [None, weights(graph, choose, x.tensor.dtype, (results,))]
    op = (Conv if is_plain else ConvTranspose)(groups=groups, **window)
    graph.add(op, x, weight, choose.pick(biases))


def batch_norm(graph: Graph, choose: Choices) -> None:
    """A batch norm with constant statistics."""
    x = pick_value(graph, choose, lambda v: is_float(v) and v.tensor.rank > 1)
    count = extent_of(x, 1)
    vectors = [choose.rng.normal(size=count) for _ in range(3)]
    vectors.append(choose.rng.uniform(0.5, 2, count))
    constants = [graph.add_constant(v.astype(x.tensor.dtype.numpy)) for v in vectors]
    graph.add(BatchNorm(), x, *constants)


def pool(graph: Graph, choose: Choices) -> None:
    """A pool."""
    x = pick_value(graph, choose, is_image)
    rank = x.tensor.rank - 2
    kernel = [choose.integer(1, 3) for _ in range(rank)]
    window: dict[str, Any] = {
        "kernel": kernel,
        "strides": [choose.integer(1, 2) for _ in range(rank)],
        "pads": [choose.integer(0, (k - 1) // 2) for k in kernel] * 2,
        "ceil_mode": choose.pick([False, True]),
    }
    average = AveragePool(count_include_pad=choose.pick([False, True]), **window)
    graph.add(choose.pick([MaxPool(**window), average]), x)


def linear(graph: Graph, choose: Choices) -> None:
    """A gemm or matmul with constant weights."""
    x = pick_value(graph, choose, lambda v: is_float(v) and v.tensor.rank >= 2)
    depth, columns = extent_of(x, x.tensor.rank - 1), choose.integer(1, 4)
    transposed = choose.pick([False, True])
    if x.tensor.rank > 2 or choose.integer(0, 1):
        graph.add(Matmul(), x, weights(graph, choose, x.tensor.dtype, (depth, columns)))
        return
    shape = (columns, depth) if transposed else (depth, columns)
    bias = choose.pick([None, weights(graph, choose, x.tensor.dtype, (columns,))])
    op = Gemm(alpha=choose.pick([1.0, 0.5]), beta=choose.pick([1.0, 2.0]), transpose_b=transposed)
    graph.add(op, x, weights(graph, choose, x.tensor.dtype, shape), bias)


def softmax(graph: Graph, choose: Choices) -> None:
    """A softmax."""
    x = pick_value(graph, choose, lambda v: is_float(v) and has_rank(v))
    graph.add(Softmax(axis=axis_of(x, choose)), x)


def reduce(graph: Graph, choose: Choices) -> None:
    """A reduction."""
    x = pick_value(graph, choose, lambda v: v.tensor.dtype.is_number and has_rank(v))
    axes = sorted({axis_of(x, choose), axis_of(x, choose)})
    kinds = [ReduceSum, ReduceMax, ReduceMean] if is_float(x) else [ReduceSum, ReduceMax]
    graph.add(choose.pick(kinds)(axes=tuple(axes), keep_dims=choose.pick([True, False])), x)
