"""Ops that move elements without computing: reshape, transpose, concat, slice, pad and kin.

They take every element type, strings included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, TypeVar, cast

import numpy as np

from gie_core.ir.conversion import compute_dtype
from gie_core.ir.dims import Dim, ceil_div, product
from gie_core.ir.op import Op, OpError, Trait
from gie_core.ir.types import Array, DType, Shape, TensorType
from gie_core.ops.extents import (
    as_ints,
    at_least_zero,
    check_axis,
    merge_dims,
    merge_shapes,
    replace_dim,
)
from gie_core.ops.operands import bracketed, check_choice, check_dtype, check_number, check_scalar

__all__ = [
    "Concat",
    "DepthToSpace",
    "Expand",
    "Pad",
    "Range",
    "Reshape",
    "ShapeOf",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Tile",
    "Transpose",
    "Trilu",
]

_DimT = TypeVar("_DimT", Dim, int)


class Reshape(Op, name="reshape"):
    """The elements of x in row-major order in another shape; also squeeze, unsqueeze, flatten.

    Args:
        shape: the new shape; 0 means an extent of 0, and there is no -1.
    """

    shape: Shape

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(isinstance(d, int) and d < 0 for d in self.shape):
            raise OpError(f"reshape needs extents ≥ 0, not {bracketed(self.shape)}")

    def infer(self, x: TensorType) -> TensorType:
        surplus = product(x.dims) - product(self.shape)
        if isinstance(surplus, int) and surplus:
            raise OpError(f"{x} has not as many elements as the shape {bracketed(self.shape)}")
        return TensorType(x.dtype, self.shape)

    def compute(self, x: Array) -> Array:
        return x.reshape(as_ints(self.shape))


class Transpose(Op, name="transpose"):
    """Axis i of the result is axis ``permutation[i]`` of x."""

    permutation: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if sorted(self.permutation) != list(range(len(self.permutation))):
            raise OpError(f"{list(self.permutation)} does not name each axis once")

    def infer(self, x: TensorType) -> TensorType:
        if len(self.permutation) != x.rank:
            raise OpError(f"the permutation {list(self.permutation)} does not fit {x}")
        return TensorType(x.dtype, tuple(x.dims[axis] for axis in self.permutation))

    def compute(self, x: Array) -> Array:
        return x.transpose(self.permutation)


class Expand(Op, name="expand"):
    """x repeated along dimensions of extent 1 and along new leading ones.

    Args:
        shape: the result's shape: of x's rank or more, and equal to x's extents, aligned at the
            last dimension, wherever those are not 1.
    """

    shape: Shape

    def infer(self, x: TensorType) -> TensorType:
        missing = len(self.shape) - x.rank
        fits = missing >= 0 and all(
            not (isinstance(given, int) and isinstance(wanted, int)) or given in (1, wanted)
            for given, wanted in zip(x.dims, self.shape[missing:], strict=True)
        )
        if not fits:
            raise OpError(f"{x} cannot expand to the shape {bracketed(self.shape)}")
        return TensorType(x.dtype, self.shape)

    def compute(self, x: Array) -> Array:
        return np.broadcast_to(x, as_ints(self.shape))


class Concat(Op, name="concat"):
    """The operands one behind the other along ``axis``; their other extents are equal."""

    axis: int

    def infer(self, *xs: TensorType) -> TensorType:
        if not xs:
            raise OpError("it needs at least one operand")
        first, axis = xs[0], check_axis(self.axis, xs[0].rank)
        shape = first.dims
        for x in xs[1:]:
            check_dtype(first.dtype, operand=x)
            shape = merge_shapes(shape, x.dims, "the operands", skip=axis)
        extent: Dim = 0
        for x in xs:
            extent = extent + x.dims[axis]
        return TensorType(first.dtype, replace_dim(shape, axis, extent))

    def compute(self, *xs: Array) -> Array:
        return np.concatenate(xs, self.axis)


class Split(Op, name="split", results=("*y",)):
    """x cut along ``axis`` into pieces of the given sizes, which add up to its extent."""

    axis: int
    sizes: Shape

    def infer(self, x: TensorType) -> tuple[TensorType, ...]:
        axis = check_axis(self.axis, x.rank)
        total: Dim = 0
        for size in self.sizes:
            total = total + size
        merge_dims(x.dims[axis], total, f"the extent of {x} at axis {axis} and the sum of sizes")
        return tuple(TensorType(x.dtype, replace_dim(x.dims, axis, size)) for size in self.sizes)

    def compute(self, x: Array) -> tuple[Array, ...]:
        ends = list(accumulate(as_ints(self.sizes)))
        if ends and ends[-1] != x.shape[self.axis]:
            raise OpError(
                f"the sizes {bracketed(self.sizes)} do not add up to {x.shape[self.axis]}"
            )
        return tuple(np.split(x, ends[:-1], self.axis)) if ends else ()


class Slice(Op, name="slice"):
    """Every ``step``-th element from ``start`` to before ``end`` along each of ``axes``.

    Starts and ends are positions, not counted from the back, and lie within the extent:

    - for a step > 0, both in [0, extent]; the next is ``start + step``;
    - for a step < 0, both in [-1, extent - 1]; the end -1 means "before the first".

    Where the end is not behind the start (in the step's direction), the result is empty.

    Args:
        axes: each at most once.
        starts: one per axis.
        ends: one per axis.
        steps: one per axis, never 0.
    """

    axes: tuple[int, ...]
    starts: Shape
    ends: Shape
    steps: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = {len(self.axes), len(self.starts), len(self.ends), len(self.steps)}
        if len(counts) > 1 or len(set(self.axes)) < len(self.axes):
            raise OpError("slice needs one start, end and step for each axis, and each axis once")
        if 0 in self.steps:
            raise OpError("a step of slice cannot be 0")

    def infer(self, x: TensorType) -> TensorType:
        dims = list(x.dims)
        for axis, start, end, step in self._cuts(self.starts, self.ends):
            extent = dims[check_axis(axis, x.rank)]
            _check_position(start, extent, step, axis)
            _check_position(end, extent, step, axis)
            distance = end - start if step > 0 else start - end
            dims[axis] = at_least_zero(ceil_div(distance, abs(step)))
        return TensorType(x.dtype, tuple(dims))

    def compute(self, x: Array) -> Array:
        index = [slice(None)] * x.ndim
        for axis, start, end, step in self._cuts(as_ints(self.starts), as_ints(self.ends)):
            stop = end if end >= 0 else None
            index[axis] = slice(start, stop, step) if range(start, end, step) else slice(0, 0)
        return x[tuple(index)]

    def _cuts(
        self, starts: tuple[_DimT, ...], ends: tuple[_DimT, ...]
    ) -> Iterator[tuple[int, _DimT, _DimT, int]]:
        return zip(self.axes, starts, ends, self.steps, strict=True)


def _check_position(position: Dim, extent: Dim, step: int, axis: int) -> None:
    low = 0 if step > 0 else -1
    above = position - extent - low
    if (isinstance(position, int) and position < low) or (isinstance(above, int) and above > 0):
        raise OpError(
            f"position {position} at axis {axis} is outside of [{low}, {extent + low}], "
            f"where a slice with step {step} starts and ends"
        )


class Pad(Op, name="pad"):
    """x with elements added around it (or, for negative pads, cut off).

    Args:
        pads: how many for all axes: (begin_0, begin_1, …, end_0, end_1, …). Negative ones
            are cut off first.
        mode: what is added: "constant" the operand ``value`` (one element; default 0, false or
            the empty string), "edge" the nearest element, "reflect" the mirror image without
            repeating the edge, "wrap" the elements from the other end.
    """

    pads: Shape
    mode: str = "constant"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "mode", ("constant", "reflect", "edge", "wrap"))

    def infer(self, x: TensorType, value: TensorType | None = None) -> TensorType:
        if len(self.pads) != 2 * x.rank:
            raise OpError(f"{x} needs {2 * x.rank} pads, not {len(self.pads)}")
        if value is not None:
            check_dtype(x.dtype, value=value)
            check_scalar("the value", value)
        begins, ends = self.pads[: x.rank], self.pads[x.rank :]
        dims: list[Dim] = []
        for begin, extent, end in zip(begins, x.dims, ends, strict=True):
            left = extent + sum(p for p in (begin, end) if isinstance(p, int) and p < 0)
            if isinstance(left, int) and left < 0:
                raise OpError(f"the pads {bracketed(self.pads)} cut off more than {x} has")
            dims.append(begin + extent + end)
        return TensorType(x.dtype, tuple(dims))

    def compute(self, x: Array, value: Array | None = None) -> Array:
        pads = as_ints(self.pads)
        pairs = list(zip(pads[: x.ndim], pads[x.ndim :], x.shape, strict=True))
        kept = x[tuple(slice(max(-begin, 0), d - max(-end, 0)) for begin, end, d in pairs)]
        widths = [(max(begin, 0), max(end, 0)) for begin, end, _ in pairs]
        if self.mode != "constant":
            return np.pad(kept, widths, cast("Any", self.mode))
        fill = _zero(x) if value is None else value.reshape(())
        inside = tuple(slice(b, b + d) for (b, _), d in zip(widths, kept.shape, strict=True))
        shape = [b + d + e for (b, e), d in zip(widths, kept.shape, strict=True)]
        padded = np.full(shape, fill, x.dtype)
        padded[inside] = kept
        return padded


def _zero(x: Array) -> Array:
    return np.asarray("", object) if x.dtype == object else np.zeros((), x.dtype)


class Tile(Op, name="tile"):
    """x repeated ``repeats[i]`` times along axis i."""

    repeats: Shape

    def infer(self, x: TensorType) -> TensorType:
        if len(self.repeats) != x.rank:
            raise OpError(f"{x} needs {x.rank} repeats, not {len(self.repeats)}")
        return TensorType(x.dtype, tuple(d * r for d, r in zip(x.dims, self.repeats, strict=True)))

    def compute(self, x: Array) -> Array:
        return np.tile(x, as_ints(self.repeats))


class ShapeOf(Op, name="shape_of"):
    """The extents of x: i64[rank]."""

    def infer(self, x: TensorType) -> TensorType:
        return TensorType(DType.I64, (x.rank,))

    def compute(self, x: Array) -> Array:
        return np.asarray(x.shape, np.int64)


class Range(Op, name="range", traits=(Trait.OPAQUE,)):
    """start + i·delta for i = 0, 1, … while that is before limit; the operands have one element.

    The result has ⌈(limit - start) / delta⌉ elements, or none. f16 and bf16 are computed in f32.
    """

    def infer(self, start: TensorType, limit: TensorType, delta: TensorType) -> None:
        check_number(start=start)
        check_dtype(start.dtype, limit=limit, delta=delta)
        for name, operand in (("the start", start), ("the limit", limit), ("the delta", delta)):
            check_scalar(name, operand)

    def compute(self, start: Array, limit: Array, delta: Array) -> Array:
        wide = compute_dtype(DType.of(start.dtype))
        first, last, step = (operand.astype(wide).reshape(()) for operand in (start, limit, delta))
        if step == 0:
            raise OpError("the delta of range cannot be 0")
        if wide.kind in "iu":
            numbers = range(first.item(), last.item(), step.item())
            return np.asarray(numbers, wide).astype(start.dtype)
        count = max(0, math.ceil(float(last - first) / float(step)))
        return (first + np.arange(count, dtype=wide) * step).astype(start.dtype)


class Trilu(Op, name="trilu"):
    """The upper or lower triangle of the matrices in the last two dimensions; the rest is 0.

    Args:
        upper: keep what is on and above the k-th diagonal, otherwise on and below it.
        k: 0 the main diagonal, > 0 above it, < 0 below it.
    """

    upper: bool = True
    k: int = 0

    def infer(self, x: TensorType) -> TensorType:
        if x.rank < 2:
            raise OpError(f"{x} holds no matrices; the rank must be 2 or more")
        return x

    def compute(self, x: Array) -> Array:
        rows, columns = np.ogrid[: x.shape[-2], : x.shape[-1]]
        above = columns - rows - self.k
        return np.where(above >= 0 if self.upper else above <= 0, x, _zero(x))


class DepthToSpace(Op, name="depth_to_space"):
    """[N, C, H, W] to [N, C/block², H·block, W·block]: channels become pixels of a block.

    Args:
        block: extent of a block.
        mode: how a channel number is made up: "DCR" block row, block column, channel (from the
            slowest); "CRD" channel, block row, block column.
    """

    block: int
    mode: str = "DCR"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "mode", ("DCR", "CRD"))
        _check_block(self.block)

    def infer(self, x: TensorType) -> TensorType:
        n, c, h, w = _image_dims(x)
        _check_divides(self.block**2, c, "channels")
        return TensorType(x.dtype, (n, c // self.block**2, h * self.block, w * self.block))

    def compute(self, x: Array) -> Array:
        (n, c, h, w), b = x.shape, self.block
        if self.mode == "DCR":
            blocks = x.reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2)
        else:
            blocks = x.reshape(n, c // b**2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
        return blocks.reshape(n, c // b**2, h * b, w * b)


class SpaceToDepth(Op, name="space_to_depth"):
    """[N, C, H, W] to [N, C·block², H/block, W/block]: the inverse of depth_to_space, mode DCR."""

    block: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_block(self.block)

    def infer(self, x: TensorType) -> TensorType:
        n, c, h, w = _image_dims(x)
        _check_divides(self.block, h, "rows")
        _check_divides(self.block, w, "columns")
        return TensorType(x.dtype, (n, c * self.block**2, h // self.block, w // self.block))

    def compute(self, x: Array) -> Array:
        (n, c, h, w), b = x.shape, self.block
        blocks = x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
        return blocks.reshape(n, c * b**2, h // b, w // b)


def _check_block(block: int) -> None:
    if block < 1:
        raise OpError(f"a block has an extent of 1 or more, not {block}")


def _image_dims(x: TensorType) -> tuple[Dim, Dim, Dim, Dim]:
    if x.rank != 4:
        raise OpError(f"{x} is not of the form [N, C, H, W]")
    n, c, h, w = x.dims
    return n, c, h, w


def _check_divides(divisor: int, extent: Dim, what: str) -> None:
    if isinstance(extent, int) and extent % divisor:
        raise OpError(f"{extent} {what} do not divide into blocks; use a multiple of {divisor}")
