"""Ops whose operands hold positions, and ops that find positions."""

from __future__ import annotations

from typing import Any

import numpy as np

from gie_core.ir.dims import Dim
from gie_core.ir.op import Op, OpError, Trait
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.extents import as_ints, check_axis, merge_dims, merge_shapes, replace_dim
from gie_core.ops.operands import (
    check_choice,
    check_dtype,
    check_indices,
    check_number,
    check_rank,
    check_shape,
)
from gie_core.ops.precision import narrow, widen

__all__ = [
    "ArgMax",
    "ArgMin",
    "Compress",
    "CumSum",
    "Gather",
    "GatherElements",
    "GatherNd",
    "NonZero",
    "OneHot",
    "ReverseSequence",
    "ScatterElements",
    "ScatterNd",
    "TopK",
]

_REDUCTIONS: dict[str, np.ufunc] = {
    "add": np.add,
    "mul": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
}


class Gather(Op, name="gather"):
    """The slices of x at positions ``indices`` along ``axis``, which the indices' shape replaces.

    Indices lie in [-extent, extent); negative ones count from the back.
    """

    axis: int = 0

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        check_indices("the indices", indices)
        axis = check_axis(self.axis, x.rank)
        return TensorType(x.dtype, replace_dim(x.dims, axis, *indices.dims))

    def compute(self, x: Array, indices: Array) -> Array:
        return np.take(x, indices.astype(np.int64), self.axis)


class GatherElements(Op, name="gather_elements"):
    """y[i, j, …] = x[i, …, indices[i, j, …], …, k]: the index replaces that of ``axis`` only.

    The indices have x's rank and, except along ``axis``, no larger extents. Negative ones count
    from the back.
    """

    axis: int = 0

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        check_indices("the indices", indices)
        _check_within(x, indices, check_axis(self.axis, x.rank))
        return TensorType(x.dtype, indices.dims)

    def compute(self, x: Array, indices: Array) -> Array:
        return x[_element_positions(x, indices, self.axis)]


class ScatterElements(Op, name="scatter_elements"):
    """x with updates[i, j, …] at the position [i, …, indices[i, j, …], …, k] (see gather_elements).

    Args:
        axis: the axis along which the indices count.
        reduction: how an update joins what is there: "none" replaces it (of several updates of
            one position, the last one stays), or "add", "mul", "min", "max".
    """

    axis: int = 0
    reduction: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "reduction", ("none", *_REDUCTIONS))

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        check_indices("the indices", indices)
        check_dtype(x.dtype, updates=updates)
        _check_within(x, indices, check_axis(self.axis, x.rank))
        merge_shapes(indices.dims, updates.dims, "the indices and the updates")
        return x

    def compute(self, x: Array, indices: Array, updates: Array) -> Array:
        return _scatter(x, _element_positions(x, indices, self.axis), updates, self.reduction)


class GatherNd(Op, name="gather_nd"):
    """The slices of x that the vectors in the last dimension of ``indices`` point at.

    x is [*B, *D], indices [*B, *Q, k]: a vector of k ≤ rank(D) numbers points at an element or,
    if shorter, at a slice of D within its batch. The result is [*B, *Q, *D[k:]]. Negative indices
    count from the back.

    Args:
        batch_dims: the rank of B.
    """

    batch_dims: int = 0

    def infer(self, x: TensorType, indices: TensorType) -> TensorType:
        batch = self.batch_dims
        if not 0 <= batch < min(x.rank, indices.rank):
            raise OpError(f"{x} and {indices} do not both have more than {batch} dimensions")
        count = _vector_length(x, indices, batch)
        lead = merge_shapes(indices.dims[:batch], x.dims[:batch], "x and the indices")
        return TensorType(x.dtype, (*lead, *indices.dims[batch:-1], *x.dims[batch + count :]))

    def compute(self, x: Array, indices: Array) -> Array:
        points = indices.shape[:-1]
        batches = np.indices(points, sparse=True)[: self.batch_dims]
        return x[(*batches, *_vectors(indices))]


class ScatterNd(Op, name="scatter_nd"):
    """x with slices replaced by, or joined with, ``updates``, where vectors in ``indices`` point.

    indices is [*Q, k], updates [*Q, *x.shape[k:]]; see gather_nd.

    Args:
        reduction: as for scatter_elements.
    """

    reduction: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "reduction", ("none", *_REDUCTIONS))

    def infer(self, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        check_dtype(x.dtype, updates=updates)
        count = _vector_length(x, indices, 0)
        expected = (*indices.dims[:-1], *x.dims[count:])
        merge_shapes(expected, updates.dims, "the addressed slices and the updates")
        return x

    def compute(self, x: Array, indices: Array, updates: Array) -> Array:
        return _scatter(x, _vectors(indices), updates, self.reduction)


class OneHot(Op, name="one_hot"):
    """A new axis of extent ``depth`` that holds the on value at the index and off elsewhere.

    ``values`` is [off, on]. Indices may be any numbers; fractions are cut off, negative ones count
    from the back, and one outside of [-depth, depth) sets nothing.

    Args:
        depth: extent of the new axis.
        axis: where the new axis stands in the result.
    """

    depth: Dim
    axis: int

    def infer(self, indices: TensorType, values: TensorType) -> TensorType:
        check_shape("values", values, (2,))
        axis = check_axis(self.axis, indices.rank + 1)
        shape = (*indices.dims[:axis], self.depth, *indices.dims[axis:])
        return TensorType(values.dtype, shape)

    def compute(self, indices: Array, values: Array) -> Array:
        (depth,) = as_ints((self.depth,))
        wanted = np.expand_dims(indices.astype(np.int64), self.axis)
        shape = [1] * wanted.ndim
        shape[self.axis] = depth
        position = np.arange(depth, dtype=np.int64).reshape(shape)
        hit = (position == wanted) | (position - depth == wanted)
        return np.where(hit, values[1:], values[:1])


class TopK(Op, name="top_k", results=("values", "indices")):
    """The k largest (or smallest) elements along ``axis``, in order, and their indices (i64).

    Of equal elements, that with the lower index comes first. NaN counts as larger than all.

    Args:
        k: how many; at most the extent.
        axis: along which to look.
        largest: the largest, otherwise the smallest.
        sorted: the order of the results matters; the reference sorts in any case.
    """

    k: Dim
    axis: int
    largest: bool = True
    sorted: bool = True

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        extent = x.dims[check_axis(self.axis, x.rank)]
        if isinstance(self.k, int) and isinstance(extent, int) and not 0 <= self.k <= extent:
            raise OpError(f"axis {self.axis} of {x} does not have {self.k} elements")
        shape = replace_dim(x.dims, self.axis, self.k)
        return TensorType(x.dtype, shape), TensorType(DType.I64, shape)

    def compute(self, x: Array) -> tuple[Array, Array]:
        (k,) = as_ints((self.k,))
        wide = widen(x)
        if self.largest:
            # Reversed before and after a stable sort, equal elements keep their order.
            backward = np.argsort(np.flip(wide, self.axis), self.axis, kind="stable")
            order = x.shape[self.axis] - 1 - np.flip(backward, self.axis)
        else:
            order = np.argsort(wide, self.axis, kind="stable")
        chosen = np.take(order, range(k), self.axis).astype(np.int64)
        return np.take_along_axis(x, chosen, self.axis), chosen


class CumSum(Op, name="cumsum"):
    """Sums of the elements up to each position along ``axis``; f16 and bf16 are summed in f32.

    Args:
        axis: along which to sum.
        exclusive: leave out the element at the position itself.
        reverse: sum from the end.
    """

    axis: int
    exclusive: bool = False
    reverse: bool = False

    def infer(self, x: TensorType) -> TensorType:
        check_number(x=x)
        check_axis(self.axis, x.rank)
        return x

    def compute(self, x: Array) -> Array:
        wide = widen(x)
        steps = np.flip(wide, self.axis) if self.reverse else wide
        if self.exclusive:
            steps = np.roll(steps, 1, self.axis)
            steps[(slice(None),) * self.axis + (slice(0, 1),)] = 0
        sums = np.cumsum(steps, self.axis, dtype=wide.dtype)
        return narrow(np.flip(sums, self.axis) if self.reverse else sums, DType.of(x.dtype))


class _ArgExtremum(Op):
    axis: int
    keep_dims: bool = True
    last: bool = False

    def infer(self, x: TensorType) -> TensorType:
        axis = check_axis(self.axis, x.rank)
        if x.dims[axis] == 0:
            raise OpError(f"axis {axis} of {x} has no elements to compare")
        return TensorType(DType.I64, replace_dim(x.dims, axis, *((1,) if self.keep_dims else ())))

    def _find(self, x: Array, find: Any) -> Array:
        wide = np.flip(widen(x), self.axis) if self.last else widen(x)
        found = find(wide, self.axis, keepdims=self.keep_dims)
        return np.asarray(x.shape[self.axis] - 1 - found if self.last else found, np.int64)


class ArgMax(_ArgExtremum, name="arg_max"):
    """The index (i64) of the largest element along ``axis``; NaN counts as larger than all.

    Args:
        axis: along which to look.
        keep_dims: keep the axis, with extent 1.
        last: of several largest elements, the index of the last instead of the first.
    """

    def compute(self, x: Array) -> Array:
        return self._find(x, np.argmax)


class ArgMin(_ArgExtremum, name="arg_min"):
    """The index (i64) of the smallest element along ``axis``; NaN counts as smaller than all.

    Args:
        axis: along which to look.
        keep_dims: keep the axis, with extent 1.
        last: of several smallest elements, the index of the last instead of the first.
    """

    def compute(self, x: Array) -> Array:
        return self._find(x, np.argmin)


class NonZero(Op, name="nonzero", traits=(Trait.OPAQUE,)):
    """The positions of elements that are not 0, in row-major order: i64[rank, count]."""

    def infer(self, x: TensorType) -> None:
        """The count depends on the data."""

    def compute(self, x: Array) -> Array:
        return np.argwhere(x).T.astype(np.int64)


class Compress(Op, name="compress", traits=(Trait.OPAQUE,)):
    """The slices along ``axis`` where ``condition`` (bool, 1-D) holds.

    A condition shorter than the axis stands for false behind its end.

    Args:
        axis: which axis; ``None`` takes x as one flat list of elements.
    """

    axis: int | None = None

    def infer(self, x: TensorType, condition: TensorType) -> None:
        if condition.dtype is not DType.BOOL or condition.rank != 1:
            raise OpError(f"the condition must be bool and 1-D, not {condition}")
        if self.axis is not None:
            check_axis(self.axis, x.rank)

    def compute(self, x: Array, condition: Array) -> Array:
        return np.compress(condition, x, self.axis)


class ReverseSequence(Op, name="reverse_sequence"):
    """The first ``lengths[b]`` elements along ``time_axis`` reversed, for each batch index b.

    Args:
        batch_axis: the axis that lengths (1-D integers) belong to.
        time_axis: the axis to reverse.
    """

    batch_axis: int = 1
    time_axis: int = 0

    def infer(self, x: TensorType, lengths: TensorType) -> TensorType:
        check_indices("the lengths", lengths)
        batch, time = check_axis(self.batch_axis, x.rank), check_axis(self.time_axis, x.rank)
        if batch == time:
            raise OpError(f"the batch axis and the time axis are both {batch}")
        check_rank("lengths", lengths, 1)
        merge_dims(x.dims[batch], lengths.dims[0], "the batch and the number of lengths")
        return x

    def compute(self, x: Array, lengths: Array) -> Array:
        extent = x.shape[self.time_axis]
        ends = lengths.astype(np.int64)[:, None]
        if (ends < 0).any() or (ends > extent).any():
            raise OpError(f"a length lies outside of [0, {extent}]")
        time = np.arange(extent, dtype=np.int64)
        source = np.where(time < ends, ends - 1 - time, time)  # [batch, time]
        if self.batch_axis > self.time_axis:
            source = source.T
        others = tuple(a for a in range(x.ndim) if a not in (self.batch_axis, self.time_axis))
        return np.take_along_axis(x, np.expand_dims(source, others), self.time_axis)


# ── Positions ───────────────────────────────────────────────────────────────────────


def _check_within(x: TensorType, indices: TensorType, axis: int) -> None:
    """Indices of gather_elements and scatter_elements: no larger than x except along the axis."""
    if indices.rank != x.rank:
        raise OpError(f"{x} needs indices of its rank, not {indices}")
    for other, (extent, count) in enumerate(zip(x.dims, indices.dims, strict=True)):
        if other != axis and isinstance(extent, int) and isinstance(count, int) and count > extent:
            raise OpError(f"{indices} is larger than {x} at axis {other}")


def _element_positions(x: Array, indices: Array, axis: int) -> tuple[Array, ...]:
    """One array of positions for each axis of x, broadcasting to the indices' shape."""
    positions: list[Array] = list(np.indices(indices.shape, sparse=True))
    positions[axis] = indices.astype(np.int64)
    return tuple(positions)


def _vector_length(x: TensorType, indices: TensorType, batch: int) -> int:
    check_indices("the indices", indices)
    count = indices.dims[-1] if indices.rank else 0
    if not isinstance(count, int):
        raise OpError(f"the last extent of the indices, {count}, must be a number")
    if not 1 <= count <= x.rank - batch:
        raise OpError(
            f"{indices} holds vectors of {count} numbers, for {x.rank - batch} axes of {x}"
        )
    return count


def _vectors(indices: Array) -> tuple[Array, ...]:
    """One array of positions for each number in the index vectors."""
    return tuple(np.moveaxis(indices.astype(np.int64), -1, 0))


def _scatter(x: Array, positions: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    if reduction == "none":
        result = x.copy()
        result[positions] = updates
        return result
    result = widen(x).copy()
    _REDUCTIONS[reduction].at(result, positions, widen(updates))
    return narrow(result, DType.of(x.dtype))
