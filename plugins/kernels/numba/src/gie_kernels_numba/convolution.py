"""What convolutions channels last share: their operands, constants and formats, also in groups."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

import numpy as np

from gie_core.ir.graph import Node, Value
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Format, Strides, channels_last, row_major
from gie_core.kernels.provider import KernelError, Launch, Memory
from gie_core.ops.conv import Conv
from gie_core.ops.extents import as_ints
from gie_core.ops.window import Window
from gie_kernels_numba.body import Body, body_of, operand_of
from gie_kernels_numba.formula import arranged
from gie_kernels_numba.method import Method
from gie_kernels_numba.scalar import refusal

__all__ = ["ConvolutionMethod", "window_of"]

AXES = ("n", "c", "h", "w")


class ConvolutionMethod(Method):
    """Convolutions of f32 images by constant weights, and the programs behind them.

    Attributes:
        name: of the only candidate.
    """

    name: ClassVar[str]

    @abstractmethod
    def refusal(self, body: Body) -> str:
        """Why a convolution of images is not computed, or ""."""

    @abstractmethod
    def work(self, body: Body) -> Work:
        """What is to be done."""

    @abstractmethod
    def launch(
        self, body: Body, x: Array, weight: Array, bias: Array, reads: Mapping[str, Array], y: Array
    ) -> Launch:
        """What computes a body.

        Args:
            x: [N, H, W, C], like all others with gaps perhaps.
            weight: [kernel positions × channels of a group, results].
            bias: [results].
            reads: [N, P, Q, results] for each parameter "r0", "r1", … of the body's result.
            y: [N, P, Q, results].
        """

    def supports(self, node: Node) -> Support:
        body = body_of(node)
        if isinstance(body, str):
            return Support.no(body)
        reason = _refusal(body) or self.refusal(body) or refusal(body.result)
        return Support.no(reason) if reason else Support.yes()

    def candidates(self, node: Node) -> Sequence[Candidate]:
        body = _checked(node)
        formats: dict[Value, Format | None] = {}
        for value in (*(read.value for read in body.reads), operand_of(body.first, 0)):
            if _constant(body, value) is None:
                order = channels_last if value.tensor.rank == 4 else row_major
                formats[value] = order(value.tensor, Strides.PITCHED)
        operands = tuple(value and formats.get(value) for value in _inner(node, body))
        results = (channels_last(node.result.tensor, Strides.PITCHED),)
        return [Candidate(self.name, operands, results, work=self.work(body))]

    def prepack(self, node: Node) -> Sequence[Array]:
        body = _checked(node)
        weight, bias = _weights(body)
        packed = np.ascontiguousarray(weight.reshape(len(weight), -1).T)
        zeros = np.zeros(len(weight), np.float32)
        return [packed, zeros if bias is None else bias, *_known(body).values()]

    def bind(self, node: Node, candidate: str, memory: Memory) -> Launch:
        body = _checked(node)
        weight, bias, *others = _right(node, body, memory.constants)
        arrays = dict(zip(_inner(node, body), memory.operands, strict=True))
        arrays.update(zip(_known(body), others, strict=True))
        (result,) = memory.results
        reads = {
            f"r{n}": _like(arrays[read.value], read.index, result)
            for n, read in enumerate(body.reads)
        }
        x, y = (np.moveaxis(a, 1, -1) for a in (arrays[operand_of(body.first, 0)], result))
        return self.launch(body, x, weight, bias, reads, y)


def window_of(body: Body) -> Window:
    """The convolution's window."""
    return cast("Conv", body.first.op).window(operand_of(body.first, 1).tensor.dims)


def _refusal(body: Body) -> str:
    first = body.first
    if not isinstance(first.op, Conv):
        return f"there is no loop for {first.op.name} here"
    if first.result.tensor.dtype is not DType.F32:
        return f"it is {first.result.tensor.dtype}, not f32"
    if first.result.tensor.rank != 4:
        return "it is no convolution of images"
    for value in first.operands[1:]:
        if value is not None and _constant(body, value) is None:
            return f"its weight %{value.name} is not constant"
    return ""


def _checked(node: Node) -> Body:
    body = body_of(node)
    if isinstance(body, str):
        raise TypeError(f"{node}: {body}")
    return body


def _inner(node: Node, body: Body) -> Sequence[Value | None]:
    """For each operand of the node, the value of the body that stands for it."""
    return node.operands if body.first is node else list(body.outer)


def _constant(body: Body, value: Value) -> Array | None:
    outer = body.outer[value]
    return None if outer is None else outer.data


def _weights(body: Body) -> tuple[Array, Array | None]:
    found = [None if v is None else _constant(body, v) for v in body.first.operands[1:]]
    weight, bias = (*found, None)[:2]
    if weight is None:
        raise TypeError(f"{body.first}: its weight is not constant")
    return weight, bias


def _right(node: Node, body: Body, constants: Sequence[Array]) -> Sequence[Array]:
    """The packed constants. Compiled loops look at no shape, and engine files are not trusted.

    Raises:
        KernelError: they are not what ``prepack`` makes.
    """
    results, *kernel = as_ints(operand_of(body.first, 1).tensor.dims)
    known = [as_ints(value.tensor.dims) for value in _known(body)]
    expected = [(math.prod(kernel), results), (results,), *known]
    if [(c.dtype, c.shape) for c in constants] != [(np.float32, shape) for shape in expected]:
        found = ", ".join(f"{c.dtype} {list(c.shape)}" for c in constants)
        wanted = ", ".join(f"float32 {list(shape)}" for shape in expected)
        raise KernelError(
            f"{node}: its packed weights are {found}, not {wanted}; build the engine again"
        )
    return constants


def _known(body: Body) -> dict[Value, Array]:
    """The constants among what is read besides the weights, x included."""
    values = (*(read.value for read in body.reads), operand_of(body.first, 0))
    found = {value: _constant(body, value) for value in values}
    return {value: array for value, array in found.items() if array is not None}


def _like(array: Array, index: Sequence[int | None], result: Array) -> Array:
    """What a program reads, as N, H, W, C and broadcast to the result's shape."""
    axes = [1 if axis is None else AXES[axis] for axis in index]
    return np.moveaxis(np.broadcast_to(arranged(array, axes, AXES), result.shape), 1, -1)
