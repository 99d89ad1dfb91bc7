"""Seeded random arrays for a graph's inputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gie_core.ir.conversion import integer_range
from gie_core.ir.dims import evaluate_dim, free_symbols
from gie_core.ir.graph import Graph, Value
from gie_core.ir.types import Array, DType, TensorType

__all__ = ["random_array", "random_inputs"]

LARGEST_EXTENT = 4


def random_inputs(
    graph: Graph, rng: np.random.Generator, sizes: Mapping[str, int] | None = None
) -> list[Array]:
    """One array for each input of a graph.

    Args:
        graph: its inputs are tensors of known rank.
        rng: where the numbers come from.
        sizes: extents of symbols; the others get 1 to 4.
    """
    types = [_input_type(value) for value in graph.inputs]
    names = sorted(free_symbols(*(dim for type_ in types for dim in type_.dims)))
    extents = {name: int(rng.integers(1, LARGEST_EXTENT + 1)) for name in names}
    extents.update(sizes or {})
    return [
        random_array(type_.dtype, tuple(evaluate_dim(dim, extents) for dim in type_.dims), rng)
        for type_ in types
    ]


def random_array(dtype: DType, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Normal floats, small integers of both signs where there are any, or booleans."""
    if dtype is DType.BOOL:
        return rng.integers(0, 2, shape).astype(np.bool_)
    if dtype.is_integer:
        low, high = integer_range(dtype)
        return rng.integers(max(low, -8), min(high, 8), shape, endpoint=True).astype(dtype.numpy)
    if dtype.is_complex:
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype.numpy)
    return rng.normal(size=shape).astype(dtype.numpy)


def _input_type(value: Value) -> TensorType:
    if value.tensor.shape is None:
        raise ValueError(f"the input %{value.name} has an unknown rank; give it a shape")
    return value.tensor
