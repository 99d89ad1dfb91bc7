"""Normalizations with given statistics, or with those of rows that lie behind one another."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from gie_core.ir.expr import Param, call
from gie_core.ir.graph import Node
from gie_core.ir.types import Array, DType, TensorType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Format, Strides, row_major
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.extents import as_ints
from gie_core.ops.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from gie_kernels_cpu.blocks import BLOCK, spans
from gie_kernels_cpu.formats import narrowed, ordered, variants
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
from gie_kernels_cpu.lrn import LocalResponse
from gie_kernels_cpu.program import CompiledProgram
from gie_kernels_cpu.softmax import RowSoftmax

__all__ = [
    "BatchNormalization",
    "ChannelNormalization",
    "LayerNormalization",
    "LocalResponse",
    "RowSoftmax",
]


class _Normalization(Method):
    def supports(self, node: Node) -> Support:
        support = static_support(node)
        return float_support(node) if support.ok else support


class BatchNormalization(_Normalization):
    """``batch_norm`` as one multiply-add per element.

    The factors per channel are constants where all they are made of is; else each run makes them.
    """

    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        x = _input(node)
        size = math.prod(as_ints(x.dims))
        others = _parameter_formats(node, constants)
        found: list[Candidate] = []
        for name, storage in variants(x.rank, x.dtype):
            stored = narrowed(x.dtype, storage)
            format_ = ordered(name, x, stored)
            work = Work(steps=2 * size, bytes=2 * size * stored.numpy.itemsize, calls=2)
            found.append(
                Candidate(
                    name,
                    (format_, *others),
                    (format_,),
                    self._workspace(x, stored.numpy),
                    work,
                    in_place=((0, 0),),
                )
            )
        return found

    def prepack(self, node: Node, candidate: str, constants: Constants) -> Sequence[Array]:
        arrays = [a for a in map(constants, node.operands[1:]) if a is not None]
        if len(arrays) < 4:
            return arrays
        wide = wide_dtype(arrays[0].dtype)
        return [p.astype(wide) for p in _factors(cast("BatchNorm", node.op), *arrays)]

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        (x, *others), (y,) = memory.operands, memory.results
        op, wide = cast("BatchNorm", node.op), wide_dtype(x.dtype)
        program = _affine(x.shape, x.dtype)
        scratch = memory.workspace[program.workspace :]
        if all(array is None for array in others):
            factors, update = memory.constants, []
        else:
            constants = iter(memory.constants)
            arrays = [next(constants) if a is None else a for a in others]
            factors = carve(scratch, *[((_channels(x.shape),), wide)] * 2)
            update = [in_order([partial(_update, op, arrays, factors)])]
        column = (1, -1, *[1] * (x.ndim - 2)) if x.ndim > 1 else (1,)
        views = [factor.reshape(column) for factor in factors]
        return [*update, program.bind([x, *views], [y], memory.workspace)]

    def _workspace(self, x: TensorType, stored: np.dtype[Any]) -> int:
        shape = as_ints(x.dims)
        factors = workspace_size(*[((_channels(shape),), wide_dtype(stored))] * 2)
        return _affine(shape, stored).workspace + factors


def _channels(shape: tuple[int, ...]) -> int:
    return shape[1] if len(shape) > 1 else 1


def _factors(
    op: BatchNorm, scale: Array, bias: Array, mean: Array, variance: Array
) -> tuple[Array, Array]:
    """What x is multiplied by, and what is added then; f64 [C].

    There are two roundings more than in the reference, so it is computed in double precision.
    """
    factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + op.epsilon)
    return factor, bias.astype(np.float64) - mean.astype(np.float64) * factor


def _update(op: BatchNorm, parameters: Sequence[Array], factors: Sequence[Array]) -> None:
    scale, bias, mean, variance = parameters
    for place, factor in zip(factors, _factors(op, scale, bias, mean, variance), strict=True):
        np.copyto(place, factor, casting="unsafe")


def _affine(shape: tuple[int, ...], stored: np.dtype[Any]) -> CompiledProgram:
    """x · a + b, with a factor and an addend per channel."""
    dtype = DType.of(wide_dtype(stored))
    x, a, b = (Param(name, dtype) for name in "xab")
    column = (1, _channels(shape), *[1] * (len(shape) - 2)) if len(shape) > 1 else (1,)
    pieces = [(shape, stored), (column, dtype.numpy), (column, dtype.numpy)]
    return CompiledProgram([x, a, b], [call("+", call("*", x, a), b)], pieces, [stored])


class _RowNormalization(_Normalization):
    """Rows get mean 0 and variance 1, then a scale and a bias."""

    @abstractmethod
    def rows(self, node: Node) -> int:
        """Number of rows."""

    @abstractmethod
    def epsilon(self, node: Node) -> float:
        """What is added to a variance."""

    @abstractmethod
    def arranged(self, parameter: Array, rank: int) -> Array:
        """The scale or the bias as it broadcasts to x."""

    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        x = _input(node)
        size = math.prod(as_ints(x.dims))
        others = _parameter_formats(node, constants)
        found: list[Candidate] = []
        for name, storage in variants(0, x.dtype):
            stored = narrowed(x.dtype, storage)
            format_ = ordered(name, x, stored, Strides.DENSE)
            scratch = workspace_size(*self._pieces(node, stored.numpy))
            work = Work(steps=8 * size, bytes=2 * size * stored.numpy.itemsize, calls=12)
            found.append(
                Candidate(name, (format_, *others), (format_,), scratch, work, in_place=((0, 0),))
            )
        return found

    def prepack(self, node: Node, candidate: str, constants: Constants) -> Sequence[Array]:
        arrays = [a for a in map(constants, node.operands[1:]) if a is not None]
        return [array.astype(wide_dtype(array.dtype)) for array in arrays]

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        (x, *others), (y,) = memory.operands, memory.results
        constants = iter(memory.constants)
        parameters = [
            next(constants) if array is None else array
            for array, value in zip(others, node.operands[1:], strict=True)
            if value is not None
        ]
        scratch = carve(memory.workspace, *self._pieces(node, x.dtype))
        wide = y if len(scratch) == 2 else scratch[2]
        calls = [*self._standardized(node, x, wide, scratch)]
        for function, parameter in zip((np.multiply, np.add), parameters, strict=False):
            calls.append(partial(function, wide, self.arranged(parameter, x.ndim), out=wide))
        if wide is not y:
            calls.append(partial(np.copyto, y, wide, casting="unsafe"))
        return [in_order(calls)]

    def _standardized(
        self, node: Node, x: Array, y: Array, scratch: Sequence[Array]
    ) -> Iterator[Call]:
        """Calls that write (x − mean) / √(variance + epsilon) of each row into y."""
        rows, at_once, length = self._extents(node)
        source, target = x.reshape(rows, length), y.reshape(rows, length)
        ones = np.ones(length, y.dtype)
        for part in spans(rows, at_once):
            some, block = source[part], target[part]
            squares, sums = scratch[0][: block.size].reshape(block.shape), scratch[1][: len(block)]
            if some.dtype != block.dtype:
                yield from widening(some, block)
                some = block
            yield partial(np.matmul, some, ones, out=sums)
            yield partial(np.divide, sums, sums.dtype.type(length), out=sums)
            yield partial(np.subtract, some, sums[:, None], out=block)
            yield partial(np.multiply, block, block, out=squares)
            yield partial(np.matmul, squares, ones, out=sums)
            yield partial(np.divide, sums, sums.dtype.type(length), out=sums)
            yield partial(np.add, sums, sums.dtype.type(self.epsilon(node)), out=sums)
            yield partial(np.sqrt, sums, out=sums)
            yield partial(np.divide, block, sums[:, None], out=block)

    def _extents(self, node: Node) -> tuple[int, int, int]:
        """How many rows there are, how many are handled at once, and their length."""
        rows = self.rows(node)
        length = math.prod(as_ints(_input(node).dims)) // max(1, rows)
        return rows, max(1, min(rows, BLOCK // max(1, length))), length

    def _pieces(self, node: Node, stored: np.dtype[Any]) -> list[Piece]:
        """Squares and sums of some rows; all rows, if x and y are of another dtype."""
        _, at_once, length = self._extents(node)
        wide = wide_dtype(stored)
        whole: list[Piece] = [] if wide == stored else [(as_ints(_input(node).dims), wide)]
        return [((at_once * length,), wide), ((at_once,), wide), *whole]


class LayerNormalization(_RowNormalization):
    """``layer_norm``: rows of the last axes."""

    def rows(self, node: Node) -> int:
        return math.prod(as_ints(_input(node).dims)[: cast("LayerNorm", node.op).axis])

    def epsilon(self, node: Node) -> float:
        return cast("LayerNorm", node.op).epsilon

    def arranged(self, parameter: Array, rank: int) -> Array:
        return parameter


class ChannelNormalization(_RowNormalization):
    """``instance_norm`` and ``group_norm``: rows are channels, or groups of them."""

    def rows(self, node: Node) -> int:
        images, channels, *_ = as_ints(_input(node).dims)
        return images * (node.op.groups if isinstance(node.op, GroupNorm) else channels)

    def epsilon(self, node: Node) -> float:
        return cast("GroupNorm | InstanceNorm", node.op).epsilon

    def arranged(self, parameter: Array, rank: int) -> Array:
        return parameter.reshape(-1, *[1] * (rank - 2))


def _parameter_formats(node: Node, constants: Constants) -> list[Format | None]:
    return [
        None if v is None or constants(v) is not None else row_major(v.tensor, Strides.ANY)
        for v in node.operands[1:]
    ]


def _input(node: Node) -> TensorType:
    x = node.operands[0]
    assert x is not None  # the first operand is never absent
    return x.tensor
