"""Ops that move elements without computing: concat, pad, and copies where no view will do."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from typing import cast

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array, DType, TensorType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Format, Strides, row_major
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.extents import as_ints
from gie_core.ops.identity import Dropout, Identity
from gie_core.ops.run import compute_node
from gie_core.ops.shape import Concat, Expand, Pad, Reshape, Slice, Split, Transpose
from gie_kernels_cpu.blocks import Region, spans
from gie_kernels_cpu.formats import narrowed, ordered, variants
from gie_kernels_cpu.kernel import Constants, Epilogue, Method, static_support
from gie_kernels_cpu.launches import Call, in_order

__all__ = ["MOVING", "Concatenation", "Padding", "ViewCopy", "copies"]

TILE = 256, 64
"""Extents of a part that is copied at once from one order of the axes to another: along the
source's fastest axis, and along the result's. What one read brings into the cache is used before
it is driven out."""


class _Moving(Method):
    """Any element type but strings; f32 values may be stored in 16 bits."""

    def supports(self, node: Node) -> Support:
        for value in (*node.operands, *node.results):
            if value is not None and _holds_strings(value.type):
                return Support.no(f"%{value.name} holds strings")
        return static_support(node)

    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        types = [value.tensor for value in node.results]
        moved = sum(math.prod(as_ints(type_.dims)) for type_ in types)
        found: list[Candidate] = []
        for name, storage in variants(types[0].rank, types[0].dtype):
            operands = [
                None
                if value is None or constants(value) is not None
                else self.operand_format(node, name, value.tensor, storage)
                for value in node.operands
            ]
            results = [ordered(name, t, narrowed(t.dtype, storage)) for t in types]
            width = results[0].dtype.numpy.itemsize
            work = Work(steps=moved, bytes=2 * moved * width, calls=len(node.operands))
            found.append(Candidate(name, tuple(operands), tuple(results), work=work))
        return found

    def prepack(self, node: Node, candidate: str, constants: Constants) -> Sequence[Array]:
        return [array for array in map(constants, node.operands) if array is not None]

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        constants = iter(memory.constants)
        operands = [
            next(constants) if value is not None and array is None else array
            for value, array in zip(node.operands, memory.operands, strict=True)
        ]
        return [in_order(self.calls(node, operands, memory.results))]

    def operand_format(
        self, node: Node, candidate: str, type_: TensorType, storage: DType
    ) -> Format:
        """What an operand has to lie like; by default as the result, if it has four axes."""
        strides = Strides.PITCHED if type_.rank == 4 else Strides.ANY
        return ordered(candidate, type_, narrowed(type_.dtype, storage), strides)

    @abstractmethod
    def calls(
        self, node: Node, operands: Sequence[Array | None], results: Sequence[Array]
    ) -> Iterator[Call]:
        """Calls that write the results."""


class Concatenation(_Moving):
    """``concat``."""

    def calls(
        self, node: Node, operands: Sequence[Array | None], results: Sequence[Array]
    ) -> Iterator[Call]:
        axis, begin = cast("Concat", node.op).axis, 0
        for operand in operands:
            assert operand is not None  # none is optional
            end = begin + operand.shape[axis]
            yield from copies(results[0][(*[slice(None)] * axis, slice(begin, end))], operand)
            begin = end


class ViewCopy(_Moving):
    """Ops whose reference returns views of the first operand: reshape, transpose, slice, ….

    A builder does without them wherever the view will do. Here it is copied.
    """

    def operand_format(
        self, node: Node, candidate: str, type_: TensorType, storage: DType
    ) -> Format:
        strides = Strides.DENSE if node.op.name == "reshape" else Strides.ANY
        type_ = TensorType(narrowed(type_.dtype, storage), type_.shape)
        return row_major(type_, strides)

    def calls(
        self, node: Node, operands: Sequence[Array | None], results: Sequence[Array]
    ) -> Iterator[Call]:
        views = compute_node(node, node.op, operands)
        for view, result in zip(views, results, strict=True):
            yield from copies(result, view)


class Padding(_Moving):
    """``pad`` with one value."""

    def supports(self, node: Node) -> Support:
        if cast("Pad", node.op).mode != "constant":
            return Support.no(f"the mode is {cast('Pad', node.op).mode}, not constant")
        return super().supports(node)

    def operand_format(
        self, node: Node, candidate: str, type_: TensorType, storage: DType
    ) -> Format:
        if type_.rank != node.result.tensor.rank:  # the value
            stored = TensorType(narrowed(type_.dtype, storage), type_.shape)
            return row_major(stored, Strides.ANY)
        return super().operand_format(node, candidate, type_, storage)

    def calls(
        self, node: Node, operands: Sequence[Array | None], results: Sequence[Array]
    ) -> Iterator[Call]:
        (x, *value), (y,) = operands, results
        assert x is not None  # only the value may be absent
        fill = value[0].reshape(()) if value and value[0] is not None else np.zeros((), x.dtype)
        pads = as_ints(cast("Pad", node.op).pads)
        inside: Region = ()
        kept: Region = ()
        for begin, end, n, extent in zip(
            pads[: x.ndim], pads[x.ndim :], x.shape, y.shape, strict=True
        ):
            low, high = max(0, begin), extent - max(0, end)
            for beside in slice(0, low), slice(high, extent):
                if beside.start < beside.stop and y[(*inside, beside)].size:
                    yield partial(np.copyto, y[(*inside, beside)], fill)
            inside = (*inside, slice(low, high))
            kept = (*kept, slice(max(0, -begin), n - max(0, -end)))
        yield from copies(y[inside], x[kept])


MOVING: dict[type[Op], Method] = {
    Concat: Concatenation(),
    Pad: Padding(),
    **dict.fromkeys((Dropout, Expand, Identity, Reshape, Slice, Split, Transpose), ViewCopy()),
}
"""What moves elements, by op."""


def copies(target: Array, source: Array) -> Iterator[Call]:
    """Calls that copy an array to another of its shape, whatever the orders of their axes."""
    written, read = _fastest(target), _fastest(source)
    sides = (target.shape[read], target.shape[written]) if target.ndim else (0, 0)
    if read == written or any(n < least for n, least in zip(sides, TILE, strict=True)):
        yield partial(np.copyto, target, source, casting="unsafe")
        return
    for along_read, along_written in product(*map(spans, sides, TILE)):
        index = [slice(None)] * target.ndim
        index[read], index[written] = along_read, along_written
        yield partial(np.copyto, target[tuple(index)], source[tuple(index)], casting="unsafe")


def _fastest(array: Array) -> int:
    """The axis along which neighbours are closest in memory; 0 if there is none."""
    steps = [
        (abs(stride), -axis)
        for axis, (n, stride) in enumerate(zip(array.shape, array.strides, strict=True))
        if n > 1
    ]
    return -min(steps, default=(0, 0))[1]


def _holds_strings(type_: object) -> bool:
    return isinstance(type_, TensorType) and type_.dtype is DType.STR
