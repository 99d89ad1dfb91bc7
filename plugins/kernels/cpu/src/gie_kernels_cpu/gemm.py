"""Matrix products. A constant right side is packed once, its columns one after the other."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np

from gie_core.ir.graph import Node
from gie_core.ir.types import Array, DType, TensorType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Format, Strides
from gie_core.kernels.provider import Launch, Memory
from gie_core.ops.extents import as_ints
from gie_core.ops.linear import Gemm
from gie_kernels_cpu.blocks import spans
from gie_kernels_cpu.cost import matrix_products
from gie_kernels_cpu.formats import narrowed
from gie_kernels_cpu.halves import is_finite, widening
from gie_kernels_cpu.kernel import (
    Constants,
    Epilogue,
    Method,
    Piece,
    carve,
    float_support,
    padded,
    static_support,
    stored_as,
    wide_dtype,
    workspace_size,
)
from gie_kernels_cpu.launches import Call, in_order

__all__ = ["GemmProduct", "MatmulProduct"]

BLOCK = 1 << 17
"""Elements of narrow weights that are widened at once."""

PLAIN = "gemm"
COLUMNS = "gemm b by columns"
"""The right side lies column by column, as a transposed matrix does."""


@dataclass(frozen=True)
class _Form:
    """alpha · a @ b + beta · c, where a or b may be transposed first."""

    alpha: float = 1.0
    beta: float = 1.0
    transpose_a: bool = False
    transpose_b: bool = False


@dataclass(frozen=True)
class _Product:
    """A product, and how its operands are stored.

    Args:
        form: what is computed.
        types: of a, b, c and the result; ``None`` if there is no c.
        packed: which operands ``prepack`` hands over.
        candidate: its name.
    """

    form: _Form
    types: tuple[TensorType | None, ...]
    packed: tuple[bool, bool, bool]
    candidate: str

    @property
    def _wide(self) -> np.dtype[Any]:
        """In which it is computed."""
        a = self.types[0]
        assert a is not None  # only c may be absent
        return wide_dtype(a.dtype.numpy)

    @property
    def narrow(self) -> DType | None:
        """What a constant b is rounded to, if it is."""
        b, words = self.types[1], self.candidate.removesuffix(" weights").split()
        is_narrow = b is not None and b.rank == 2 and words[-1] in ("f16", "bf16")
        return DType.of(words[-1]) if is_narrow and self.packed[1] else None

    @property
    def _weights(self) -> np.dtype[Any]:
        """How a constant b is packed."""
        return self._wide if self.narrow is None else self.narrow.numpy

    def stored(self, type_: TensorType) -> DType:
        """How an operand or the result is stored."""
        return narrowed(type_.dtype, stored_as(self.candidate, DType.F32))

    def formats(self) -> list[Format | None]:
        """Of a, b, c and the result."""
        found: list[Format | None] = []
        for position, type_ in enumerate(self.types):
            if type_ is None or (*self.packed, False)[position]:
                found.append(None)
                continue
            order = list(range(type_.rank))
            if position == 1 and self.candidate == COLUMNS:
                order[-2:] = order[:-3:-1]
            strides = Strides.ANY if position == 2 else Strides.PITCHED
            found.append(Format(self.stored(type_), tuple(order), strides))
        return found

    @property
    def pieces(self) -> dict[str, Piece]:
        """The scratch arrays: widened operands, a scaled c, and a result before it is rounded."""
        found: dict[str, Piece] = {}
        for position, (name, type_) in enumerate(zip("abcy", self.types, strict=True)):
            if type_ is None or (*self.packed, False)[position]:
                continue
            is_scaled = name == "c" and self.form.beta != 1
            if self.stored(type_).numpy != self._wide or is_scaled:
                found[name] = as_ints(type_.dims), self._wide
        if self.packed[1] and self._weights != self._wide:
            columns, depth = self._columns()
            found["b"] = (min(columns, _columns_at_once(depth)), depth), self._wide
        return found

    def pack(self, a: Array | None, b: Array | None, c: Array | None) -> Iterator[Array]:
        """The constants among the operands."""
        if a is not None:
            yield a.astype(self._wide, copy=False)
        if b is not None:
            columns = b if self.form.transpose_b or b.ndim < 2 else b.swapaxes(-1, -2)
            columns = _scaled(columns.astype(self._wide, copy=False), self.form.alpha)
            with np.errstate(over="ignore"):
                yield np.ascontiguousarray(columns, self._weights)
        if c is not None:
            yield _scaled(c.astype(self._wide, copy=False), self.form.beta)

    def calls(
        self, a: Array, b: Array, c: Array | None, y: Array, scratch: Mapping[str, Array]
    ) -> Iterator[Call]:
        """Calls that compute the result into ``y``, in the dtype that is computed in."""
        form = self.form
        if "a" in scratch:
            yield from widening(a, scratch["a"])
            a = scratch["a"]
        if "b" in scratch and not self.packed[1]:
            yield from widening(b, scratch["b"])
            b = scratch["b"]
        yield from self._multiply(a.T if form.transpose_a else a, b, y, scratch)
        if form.alpha != 1 and not self.packed[1]:
            yield partial(np.multiply, y, y.dtype.type(form.alpha), out=y)
        if c is not None and "c" in scratch:
            yield from widening(c, scratch["c"])
            c = scratch["c"]
            yield partial(np.multiply, c, y.dtype.type(form.beta), out=c)
        if c is not None:
            yield partial(np.add, y, c, out=y)

    def _multiply(
        self, a: Array, b: Array, y: Array, scratch: Mapping[str, Array]
    ) -> Iterator[Call]:
        if a.ndim == 1:
            a, y = a[None], y[None] if b.ndim == 1 else np.expand_dims(y, -2)
        if b.ndim == 1:
            b, y = b[:, None], y[..., None]
        elif self.form.transpose_b or self.packed[1]:
            b = b.swapaxes(-1, -2)
        if b.dtype == self._wide:
            yield partial(np.matmul, a, b, out=y)
            return
        depth, columns = b.shape
        for part in spans(columns, _columns_at_once(depth)):
            narrow = b[:, part].T
            block = scratch["b"][: len(narrow)]
            yield from widening(narrow, block, finite=is_finite(narrow))
            yield partial(np.matmul, a, block.T, out=y[..., part])

    def _columns(self) -> tuple[int, int]:
        """Number and length of the columns of a b of rank 2."""
        b = self.types[1]
        assert b is not None  # only c may be absent
        rows, columns = as_ints(b.dims)
        return (rows, columns) if self.form.transpose_b else (columns, rows)


class _Products(Method):
    """Products of float matrices, or of stacks of them."""

    fuses = True

    @abstractmethod
    def form(self, node: Node) -> _Form:
        """What is computed."""

    def supports(self, node: Node) -> Support:
        support = static_support(node)
        return float_support(node) if support.ok else support

    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        packed = [v is not None and constants(v) is not None for v in node.operands]
        found: list[Candidate] = []
        for name in _names(node, packed[1]):
            product = self._product(node, name, packed)
            *operands, result = product.formats()
            assert result is not None  # results are not prepacked
            found.append(
                Candidate(
                    name,
                    tuple(operands[: len(node.operands)]),
                    (result,),
                    workspace=workspace_size(*product.pieces.values()),
                    work=_work(node, product.form),
                    packed=product.narrow,
                )
            )
        return found

    def prepack(self, node: Node, candidate: str, constants: Constants) -> Sequence[Array]:
        known = [constants(operand) for operand in node.operands]
        product = self._product(node, candidate, [array is not None for array in known])
        return list(product.pack(*padded(known, 3)))

    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        present = [value is not None for value in node.operands]
        packed = [p and a is None for p, a in zip(present, memory.operands, strict=True)]
        constants = iter(memory.constants)
        arrays = [
            next(constants) if is_packed else array
            for is_packed, array in zip(packed, memory.operands, strict=True)
        ]
        product = self._product(node, candidate, packed)
        pieces = product.pieces
        scratch = dict(zip(pieces, carve(memory.workspace, *pieces.values()), strict=True))
        y: Array = memory.results[0]
        wide = scratch.get("y", y)
        a, b, c = padded(arrays, 3)
        launches = [in_order(product.calls(a, b, c, wide, scratch))]
        return [*launches, *_finish(node, wide, y, epilogue)]

    def _product(self, node: Node, candidate: str, packed: Sequence[bool]) -> _Product:
        operands = padded([v and v.tensor for v in node.operands], 3)
        a, b, c = (*packed, False)[:3]
        return _Product(self.form(node), (*operands, node.result.tensor), (a, b, c), candidate)


class MatmulProduct(_Products):
    """``matmul``."""

    def form(self, node: Node) -> _Form:
        return _Form()


class GemmProduct(_Products):
    """``gemm``; factors are folded into constant operands."""

    def form(self, node: Node) -> _Form:
        op = cast("Gemm", node.op)
        return _Form(op.alpha, op.beta, op.transpose_a, op.transpose_b)


def _finish(node: Node, wide: Array, y: Array, epilogue: Epilogue | None) -> Iterator[Launch]:
    """Run the epilogue on the result in the node's own dtype, and store it."""
    store = in_order([partial(np.copyto, y, wide, casting="unsafe")])
    if wide is not y and node.result.tensor.dtype.numpy == y.dtype:
        yield store
        wide = y
    if epilogue is not None:
        yield epilogue(wide, tuple(slice(0, n) for n in y.shape))
    if wide is not y:
        yield store


def _names(node: Node, is_packed: bool) -> Iterator[str]:
    """The candidates' names; f32 may be stored in 16 bits, all of it or only the weights."""
    rank = _tensor(node, 1).rank
    yield PLAIN
    if rank > 1 and not is_packed:
        yield COLUMNS
    if node.result.tensor.dtype is DType.F32:
        for storage in DType.F16, DType.BF16:
            yield f"{PLAIN} {storage}"
            if is_packed and rank == 2:
                yield f"{PLAIN} {storage} weights"


def _work(node: Node, form: _Form) -> Work:
    a = as_ints(_tensor(node, 0).dims)
    depth = a[0] if form.transpose_a else a[-1]
    size = math.prod(as_ints(node.result.tensor.dims))
    b = as_ints(_tensor(node, 1).dims)
    columns = 1 if len(b) == 1 else b[-2] if form.transpose_b else b[-1]
    return matrix_products(1, size // max(1, columns), depth, columns)


def _tensor(node: Node, position: int) -> TensorType:
    operand = node.operands[position]
    assert operand is not None  # only c may be absent
    return operand.tensor


def _columns_at_once(depth: int) -> int:
    return max(1, BLOCK // max(1, depth))


def _scaled(array: Array, factor: float) -> Array:
    return array if factor == 1 else array * array.dtype.type(factor)
