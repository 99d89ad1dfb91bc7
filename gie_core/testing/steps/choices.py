"""What random steps have in common: decisions, and the values they work on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from gie_core.ir.dims import Dim
from gie_core.ir.graph import Graph, Value
from gie_core.ir.op import OpError
from gie_core.ir.types import Array, DType
from gie_core.testing.inputs import random_array

__all__ = [
    "Choices",
    "Step",
    "axis_of",
    "broadcastable",
    "extent_of",
    "fits",
    "has_rank",
    "ints",
    "is_float",
    "is_image",
    "is_static",
    "pick_value",
    "weights",
]

T = TypeVar("T")


class Choices(Protocol):
    """Where decisions come from."""

    def pick(self, options: Sequence[T]) -> T:
        """One of several; the first is the simplest."""
        ...

    def integer(self, low: int, high: int) -> int:
        """From ``low`` to ``high``, both included."""
        ...

    @property
    def rng(self) -> np.random.Generator:
        """For the elements of constants."""
        ...


Step = Callable[[Graph, Choices], None]


def pick_value(
    graph: Graph, choose: Choices, fits: Callable[[Value], bool] = lambda value: True
) -> Value:
    """A value that is not a constant; mostly the last that fits.

    Raises:
        OpError: none fits, so the step does nothing.
    """
    values = [v for v in graph.values() if v.data is None and v.tensor.shape is not None]
    fitting = [v for v in reversed(values) if fits(v)]
    if not fitting:
        raise OpError("no value fits")
    return fitting[0] if choose.integer(0, 2) else choose.pick(fitting)


def is_float(value: Value) -> bool:
    """Its elements are floating-point numbers."""
    return value.tensor.dtype.is_float


def is_image(value: Value) -> bool:
    """[N, C, *S] with one or two spatial axes, where only N may be symbolic."""
    dims = value.tensor.dims
    return is_float(value) and len(dims) in (3, 4) and all(isinstance(d, int) for d in dims[1:])


def is_static(value: Value) -> bool:
    """All extents are numbers."""
    return value.tensor.is_static


def has_rank(value: Value) -> bool:
    """It has an axis."""
    return value.tensor.rank > 0


def ints(dims: Sequence[Dim]) -> tuple[int, ...]:
    """The extents of a static shape.

    Raises:
        OpError: one is symbolic.
    """
    if not all(isinstance(d, int) for d in dims):
        raise OpError("a symbol does not fit")
    return tuple(d for d in dims if isinstance(d, int))


def fits(a: Value, b: Value) -> bool:
    """Whether two values of one type surely broadcast, whatever their symbols stand for."""
    pairs = zip(a.tensor.dims[::-1], b.tensor.dims[::-1], strict=False)
    return a.tensor.dtype is b.tensor.dtype and all(p == q or 1 in (p, q) for p, q in pairs)


def axis_of(value: Value, choose: Choices) -> int:
    """One of its axes."""
    return choose.integer(0, value.tensor.rank - 1)


def extent_of(value: Value, axis: int) -> int:
    """A static extent; see ``ints``."""
    return ints([value.tensor.dims[axis]])[0]


def weights(graph: Graph, choose: Choices, dtype: DType, shape: Sequence[int]) -> Value:
    """A random constant; scaled so that sums over it don't grow."""
    data = random_array(dtype, tuple(shape), choose.rng)
    if dtype.is_float:
        data = (data / math.sqrt(max(1, math.prod(shape[1:])))).astype(data.dtype)
    return graph.add_constant(data)


def broadcastable(graph: Graph, choose: Choices, value: Value) -> Value:
    """A constant that broadcasts to a value: often of one element or along one axis, often 0, 1."""
    dims = value.tensor.dims
    kept = choose.pick(["none", "one", "some"])
    along = choose.integer(0, max(0, len(dims) - 1))
    shape = [
        d if isinstance(d, int) and (kept == "some" or (kept == "one" and i == along)) else 1
        for i, d in enumerate(dims)
    ]
    shape = shape[choose.integer(0, len(shape)) if kept == "none" else 0 :]
    dtype = value.tensor.dtype
    data: Array
    match choose.pick(["random", "one", "zero"]):
        case "random":
            data = random_array(dtype, tuple(shape), choose.rng)
        case "one":
            data = np.ones(shape, dtype.numpy)
        case _:
            data = np.full(shape, choose.pick([0.0, -0.0]), dtype.numpy)
    return graph.add_constant(data)
