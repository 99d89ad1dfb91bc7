"""Matrix products and einsum."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from gie_core.ir.dims import Dim
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType, Shape, TensorType
from gie_core.ops.elementwise import broadcast_dims, broadcast_shapes
from gie_core.ops.extents import merge_dims
from gie_core.ops.operands import (
    check_broadcasts_to,
    check_dtype,
    check_number,
    check_rank,
)
from gie_core.ops.precision import narrow, widen

__all__ = ["Einsum", "Gemm", "Matmul", "MatmulInteger"]


class Matmul(Op, name="matmul"):
    """a @ b as NumPy defines it: [*A, M, K] @ [*B, K, N] is [*broadcast(A, B), M, N].

    A 1-D ``a`` is a row, a 1-D ``b`` a column, and their axis is absent from the result.
    Both have one number type; integers wrap.
    """

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        check_number(a=a)
        check_dtype(a.dtype, b=b)
        return TensorType(a.dtype, _product_shape(a, b))

    def compute(self, a: Array, b: Array) -> Array:
        return narrow(np.matmul(widen(a), widen(b)), DType.of(a.dtype))


class Gemm(Op, name="gemm"):
    """alpha · a @ b + beta · c, with a [M, K], b [K, N], c of a shape that broadcasts to [M, N].

    Args:
        alpha: factor of the product; a whole number where the operands are integers.
        beta: factor of ``c``; likewise.
        transpose_a: ``a`` is [K, M].
        transpose_b: ``b`` is [N, K].
    """

    alpha: float = 1.0
    beta: float = 1.0
    transpose_a: bool = False
    transpose_b: bool = False

    def infer(self, a: TensorType, b: TensorType, c: TensorType | None = None) -> TensorType:
        check_number(a=a)
        check_dtype(a.dtype, b=b, c=c)
        check_rank("a", a, 2)
        check_rank("b", b, 2)
        if a.dtype.is_integer and not (self.alpha.is_integer() and self.beta.is_integer()):
            raise OpError(f"alpha and beta must be whole numbers for {a.dtype}")
        rows, depth = a.dims[::-1] if self.transpose_a else a.dims
        depth_b, columns = b.dims[::-1] if self.transpose_b else b.dims
        merge_dims(depth, depth_b, "the inner extents of a and b")
        if c is not None:
            check_broadcasts_to("c", c, (rows, columns))
        return TensorType(a.dtype, (rows, columns))

    def compute(self, a: Array, b: Array, c: Array | None = None) -> Array:
        dtype = DType.of(a.dtype)
        y = np.matmul(
            widen(a).T if self.transpose_a else widen(a),
            widen(b).T if self.transpose_b else widen(b),
        )
        scalar = int if dtype.is_integer else float
        if self.alpha != 1:
            y = y * scalar(self.alpha)
        if c is not None:
            y = y + (widen(c) if self.beta == 1 else widen(c) * scalar(self.beta))
        return narrow(y, dtype)


class MatmulInteger(Op, name="matmul_integer"):
    """(a − a_zero_point) @ (b − b_zero_point) in i32, with the shapes of ``matmul``.

    a and b are i8 or u8. A zero point is a scalar, one number per row of ``a`` ([M] or
    [*A, M, 1]) or per column of ``b`` ([N] or [*B, 1, N]). Sums beyond 32 bits wrap.
    """

    def infer(
        self,
        a: TensorType,
        b: TensorType,
        a_zero_point: TensorType | None = None,
        b_zero_point: TensorType | None = None,
    ) -> TensorType:
        for name, operand in ("a", a), ("b", b):
            if operand.dtype not in (DType.I8, DType.U8):
                raise OpError(f"{name} must be of type i8 or u8, got {operand}")
        check_dtype(a.dtype, a_zero_point=a_zero_point)
        check_dtype(b.dtype, b_zero_point=b_zero_point)
        if a_zero_point is not None and a_zero_point.rank == 1 < a.rank:
            check_broadcasts_to("a_zero_point", a_zero_point, (a.dims[-2],))
        elif a_zero_point is not None:
            check_broadcasts_to("a_zero_point", a_zero_point, a.dims)
        if b_zero_point is not None:
            check_broadcasts_to("b_zero_point", b_zero_point, b.dims)
        return TensorType(DType.I32, _product_shape(a, b))

    def compute(
        self,
        a: Array,
        b: Array,
        a_zero_point: Array | None = None,
        b_zero_point: Array | None = None,
    ) -> Array:
        # Products have 18 bits at most, so float64 adds up 2**35 of them exactly, and fast.
        a, b = a.astype(np.float64), b.astype(np.float64)
        if a_zero_point is not None:
            per_row = a_zero_point.ndim == 1 < a.ndim
            a = a - (a_zero_point[:, None] if per_row else a_zero_point).astype(np.float64)
        if b_zero_point is not None:
            b = b - b_zero_point.astype(np.float64)
        return np.matmul(a, b).astype(np.int64).astype(np.int32)


class Einsum(Op, name="einsum"):
    """Einstein summation over any number of operands of one number type.

    Without "->" the result has the labels that occur once, in alphabetical order, behind
    the ellipsis. Integers wrap.

    Args:
        equation: such as ``"bij,bjk->bik"``; "..." stands for broadcast dimensions.
    """

    equation: str

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "equation", self.equation.replace(" ", ""))
        term = r"[A-Za-z]*(\.\.\.)?[A-Za-z]*"
        if not re.fullmatch(rf"{term}(,{term})*(->{term})?", self.equation):
            raise OpError(f"{self.equation!r} is not an einsum equation such as 'ij,jk->ik'")

    def infer(self, *xs: TensorType) -> TensorType:
        terms, result = self._terms()
        if len(terms) != len(xs):
            raise OpError(f"{self.equation!r} has {len(terms)} terms, but got {len(xs)} operands")
        check_number(**{f"operand {index}": x for index, x in enumerate(xs)})
        check_dtype(xs[0].dtype, **{f"operand {index}": x for index, x in enumerate(xs)})
        extents: dict[str, Dim] = {}
        batch: Shape = ()
        for term, x in zip(terms, xs, strict=True):
            batch = broadcast_shapes(batch, self._read(term, x, extents))
        unknown = set(result.replace("...", "")) - set(extents)
        if unknown or len(set(result) - {"."}) < len(result.replace("...", "")):
            raise OpError(f"the result of {self.equation!r} must name the terms' labels, each once")
        head, dots, tail = result.partition("...")
        if batch and not dots:
            raise OpError(f"the result of {self.equation!r} must have '...', as the terms do")
        outer = (tuple(extents[label] for label in part) for part in (head, tail))
        return TensorType(xs[0].dtype, (*next(outer), *batch, *next(outer)))

    def compute(self, *xs: Array) -> Array:
        y = np.asarray(np.einsum(self.equation, *map(widen, xs), optimize=True))
        return narrow(y, DType.of(xs[0].dtype))

    def _terms(self) -> tuple[list[str], str]:
        """The operands' terms and the result's, spelled out where the equation implies it."""
        left, arrow, result = self.equation.partition("->")
        if not arrow:
            counts = Counter(left.replace(",", "").replace(".", ""))
            once = sorted(label for label, count in counts.items() if count == 1)
            result = "..." * ("..." in left) + "".join(once)
        return left.split(","), result

    def _read(self, term: str, x: TensorType, extents: dict[str, Dim]) -> Shape:
        """Note the extents of a term's labels; returns those under the ellipsis."""
        head, dots, tail = term.partition("...")
        labelled = len(head) + len(tail)
        if x.rank < labelled or (x.rank > labelled and not dots):
            raise OpError(f"the term {term!r} of {self.equation!r} does not fit a {x}")
        end = x.rank - len(tail)
        for label, extent in zip(head + tail, x.dims[: len(head)] + x.dims[end:], strict=True):
            try:
                extents[label] = broadcast_dims(extents.get(label, 1), extent)
            except OpError as error:
                raise OpError(f"the label {label!r} of {self.equation!r}: {error}") from None
        return x.dims[len(head) : end]


def _product_shape(a: TensorType, b: TensorType) -> Shape:
    check_rank("a", a, 1, or_more=True)
    check_rank("b", b, 1, or_more=True)
    inner = b.dims[-2] if b.rank > 1 else b.dims[0]
    merge_dims(a.dims[-1], inner, "the inner extents of a and b")
    batch = broadcast_shapes(a.dims[:-2], b.dims[:-2])
    return (*batch, *a.dims[-2:-1], *(b.dims[-1:] if b.rank > 1 else ()))
