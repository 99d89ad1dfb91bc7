"""Resize of images: a gather or a matrix product per axis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, cast

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.types import Array, TensorType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Strides
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.extents import as_ints
from gie_core.ops.resize import Resize
from gie_kernels_cpu.formats import is_channels_last, narrowed, ordered, variants
from gie_kernels_cpu.halves import widening
from gie_kernels_cpu.kernel import (
    Constants,
    Epilogue,
    Method,
    Piece,
    carve,
    float_support,
    static_support,
    wide_dtype,
    workspace_size,
)
from gie_kernels_cpu.launches import Call, in_order

__all__ = ["ImageResize"]


class ImageResize(Method):
    """``resize`` of [N, C, H, W] along H and W.

    "nearest" gathers rows, then columns; the other modes multiply by a matrix of weights per axis,
    which the op's reference gives. They are computed in f32, or in f64 for f64.
    """

    def supports(self, node: Node) -> Support:
        support = static_support(node)
        if not support.ok:
            return support
        op, x = cast("Resize", node.op), _input(node)
        if x.rank != 4 or as_ints(op.sizes)[:2] != as_ints(x.dims)[:2]:
            return Support.no("it does not keep the first two of four axes")
        if any(scale != 1 for scale in op.scales[:2]):
            return Support.no("it scales the first two axes")
        if op.coordinates == "tf_crop_and_resize":
            return Support.no("it crops")
        return float_support(node)

    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        x, y = _input(node), node.result.tensor
        moved = math.prod(as_ints(x.dims)) + math.prod(as_ints(y.dims))
        found: list[Candidate] = []
        for name, storage in variants(4, x.dtype):
            stored = narrowed(x.dtype, storage)
            way = _way(node, name, stored.numpy)
            work = Work(way.products, moved, moved * stored.numpy.itemsize, calls=4)
            found.append(
                Candidate(
                    name,
                    (ordered(name, x, stored, way.strides),),
                    (ordered(name, y, stored),),
                    workspace_size(*way.pieces),
                    work,
                )
            )
        return found

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        (x,), (y,) = memory.operands, memory.results
        way = _way(node, candidate, x.dtype)
        if is_channels_last(candidate):
            x, y = np.moveaxis(x, 1, 3), np.moveaxis(y, 1, 3)
        return [in_order(way.calls(x, y, carve(memory.workspace, *way.pieces)))]


@dataclass(frozen=True)
class _Gather:
    """Nearest neighbours: columns go to scratch memory, from where rows are copied.

    Args:
        shape: of x, of rank 4.
        rows: axis of the rows in x; the columns lie along the next.
        indices: which row and which column each of the result is.
        dtype: as stored.
    """

    shape: tuple[int, ...]
    rows: int
    indices: tuple[Array, Array]
    dtype: np.dtype[Any]
    products: ClassVar[float] = 0
    strides: ClassVar[Strides] = Strides.PITCHED

    @property
    def pieces(self) -> list[Piece]:
        """x with the result's columns."""
        axis = self.rows + 1
        wide = (*self.shape[:axis], len(self.indices[1]), *self.shape[axis + 1 :])
        return [(wide, self.dtype)]

    def calls(self, x: Array, y: Array, scratch: Sequence[Array]) -> Iterator[Call]:
        """Calls that write y."""
        (wide,), outer = scratch, (slice(None),) * self.rows
        yield partial(np.take, x, self.indices[1], self.rows + 1, wide, "clip")
        for target, source in enumerate(self.indices[0]):
            yield partial(np.copyto, y[(*outer, target)], wide[(*outer, source)])


@dataclass(frozen=True)
class _Weighted:
    """Interpolation: a product with a matrix of weights for each of the two axes.

    Args:
        shape: of x, of rank 4.
        rows: axis of the rows in x; the columns lie along the next.
        weights: [output, input] for each axis, in the dtype that is computed in.
        stored: dtype of x and y.
    """

    shape: tuple[int, ...]
    rows: int
    weights: tuple[Array, Array]
    stored: np.dtype[Any]
    strides: ClassVar[Strides] = Strides.DENSE

    @property
    def _dtype(self) -> np.dtype[Any]:
        return self.weights[0].dtype

    @property
    def _shapes(self) -> list[tuple[int, ...]]:
        """Of x, of x after one axis, and of y."""
        # With the channels last, both products write long rows if the rows come first.
        first = 1 if self.rows == 2 else 0
        between, end = list(self.shape), list(self.shape)
        between[self.rows + first] = end[self.rows + first] = len(self.weights[first])
        end[self.rows + 1 - first] = len(self.weights[1 - first])
        return [self.shape, tuple(between), tuple(end)]

    @property
    def pieces(self) -> list[Piece]:
        """What lies between the two products; x and y, if they are stored in another dtype."""
        x, between, y = self._shapes
        shapes = [between] if self.stored == self._dtype else [between, x, y]
        return [(shape, self._dtype) for shape in shapes]

    @property
    def products(self) -> float:
        """Number of multiply-adds."""
        x, between, y = map(math.prod, self._shapes)
        first = 1 if self.rows == 2 else 0
        depth = self.shape[self.rows + first], self.shape[self.rows + 1 - first]
        return between * depth[0] + y * depth[1] if x else 0

    def calls(self, x: Array, y: Array, scratch: Sequence[Array]) -> Iterator[Call]:
        """Calls that write y."""
        wide, (rows, columns) = y, self.weights
        between = scratch[0]
        if len(scratch) > 1:
            yield from widening(x, scratch[1])
            x, wide = scratch[1:]
        if self.rows == 2:  # [N, C, H, W]
            yield partial(np.matmul, x, columns.T, out=between)
            yield partial(np.matmul, rows, between, out=wide)
        else:  # [N, H, W, C]
            for image, target in zip(x, between, strict=True):
                lines = image.reshape(len(image), -1)
                yield partial(np.matmul, rows, lines, out=target.reshape(len(target), -1))
            yield partial(np.matmul, columns, between, out=wide)
        if wide is not y:
            yield partial(np.copyto, y, wide, casting="unsafe")


def _way(node: Node, candidate: str, stored: np.dtype[Any]) -> _Gather | _Weighted:
    op, dims = cast("Resize", node.op), as_ints(_input(node).dims)
    last = is_channels_last(candidate)
    shape = (dims[0], *dims[2:], dims[1]) if last else dims
    rows = 1 if last else 2
    if op.mode == "nearest":
        each = tuple(_along(op, axis, np.arange(dims[axis])) for axis in (2, 3))
        return _Gather(shape, rows, (each[0], each[1]), stored)
    eyes = (_along(op, axis, np.eye(dims[axis])) for axis in (2, 3))
    height, width = (np.ascontiguousarray(w, wide_dtype(stored)) for w in eyes)
    return _Weighted(shape, rows, (height, width), stored)


def _along(op: Resize, axis: int, x: Array) -> Array:
    """What the op makes of x if the first axis of x is the given one, and the others stay."""
    sizes = (op.sizes[axis], *x.shape[1:])
    scales = (op.scales[axis], *[1.0] * (x.ndim - 1)) if op.scales else ()
    return replace(op, sizes=sizes, scales=scales, roi=()).compute(x)


def _input(node: Node) -> TensorType:
    x = node.operands[0]
    assert x is not None  # the only operand
    return x.tensor
