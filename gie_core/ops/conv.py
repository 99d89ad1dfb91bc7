"""Convolution, its transpose, and its integer form.

What neural networks call a convolution is a cross-correlation: the kernel is not
flipped. Data is [N, C, *spatial] with any number of spatial axes.
"""

from __future__ import annotations

import math

import numpy as np

from gie_core.ir.op import OpError
from gie_core.ir.types import Array, DType, Shape, TensorType
from gie_core.ops.extents import as_ints, merge_dims
from gie_core.ops.operands import check_dtype, check_float, check_rank, check_shape
from gie_core.ops.precision import narrow, widen
from gie_core.ops.window import Window, Windowed

__all__ = ["Conv", "ConvInteger", "ConvTranspose"]


class Convolution(Windowed):
    """Base of the convolutions.

    Args:
        groups: channels are split into so many groups, each convolved by itself.
    """

    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups < 1:
            raise OpError(f"{self.name} needs groups ≥ 1, got {self.groups}")

    def window(self, weight: Shape) -> Window:
        """The geometry with this weight's shape; the last axes of a weight are the kernel's."""
        return self.window_over(weight[2:])

    def check_ranks(self, x: TensorType, weight: TensorType) -> None:
        """Check that both have the same rank, at least 3, and that ``groups`` divides."""
        check_rank("x", x, 3, or_more=True)
        check_rank("weight", weight, x.rank)
        first = weight.dims[0]
        if isinstance(first, int) and first % self.groups:
            raise OpError(f"{self.groups} groups do not divide the first extent of weight {weight}")

    def result_shape(self, x: TensorType, weight: TensorType) -> Shape:
        """Shape of ``x`` convolved with ``weight``."""
        self.check_ranks(x, weight)
        merge_dims(x.dims[1], weight.dims[1] * self.groups, "the channels of x and of weight")
        extents = self.window(weight.dims).extents(x.dims[2:])
        return (x.dims[0], weight.dims[0], *extents)


class Conv(Convolution, name="conv"):
    """y[n, o, p] = bias[o] + Σ_c,k x[n, c, p·stride + k·dilation − pad] · weight[o, c, k].

    x is [N, C, *S], weight [O, C/groups, *K], bias [O], y [N, O, *P] with
    P = ⌊(S + pads − (K − 1)·dilation − 1) / stride⌋ + 1. All of one float type.
    """

    def infer(
        self, x: TensorType, weight: TensorType, bias: TensorType | None = None
    ) -> TensorType:
        check_float(x=x)
        check_dtype(x.dtype, weight=weight, bias=bias)
        shape = self.result_shape(x, weight)
        if bias is not None:
            check_shape("bias", bias, (weight.dims[0],))
        return TensorType(x.dtype, shape)

    def compute(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        y = correlate(widen(x), widen(weight), self.window(weight.shape), self.groups)
        return narrow(_add_bias(y, bias), DType.of(x.dtype))


class ConvTranspose(Convolution, name="conv_transpose"):
    """Transpose of ``conv``: y[n, o, p·stride + k·dilation − pad] sums x[n, c, p]·weight[c, o, k].

    x is [N, C, *S], weight [C, O/groups, *K], bias [O], y [N, O, *P] with
    P = (S − 1)·stride + (K − 1)·dilation + 1 + output_pads − pads. All of one float type.

    Args:
        output_pads: positions appended at each axis' end, which a stride > 1 leaves open.
    """

    output_pads: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._canonicalize("output_pads", 0)

    def infer(
        self, x: TensorType, weight: TensorType, bias: TensorType | None = None
    ) -> TensorType:
        check_float(x=x)
        check_dtype(x.dtype, weight=weight, bias=bias)
        self.check_ranks(x, weight)
        merge_dims(x.dims[1], weight.dims[0], "the channels of x and of weight")
        channels = weight.dims[1] * self.groups
        if bias is not None:
            check_shape("bias", bias, (channels,))
        self._filled("output_pads", x.rank - 2, 0)
        extents = self.window(weight.dims).transposed_extents(x.dims[2:], self.output_pads)
        return TensorType(x.dtype, (x.dims[0], channels, *extents))

    def compute(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        window = self.window(weight.shape)
        batch, spatial, kernel = x.shape[0], x.shape[2:], weight.shape[2:]
        extents = as_ints(window.transposed_extents(spatial, self.output_pads))
        channels, results = x.shape[1] // self.groups, weight.shape[1] * self.groups
        # One product gives what every input position adds at every kernel position …
        grouped = widen(x).reshape(batch, self.groups, channels, math.prod(spatial))
        matrix = widen(weight).reshape(self.groups, channels, -1).swapaxes(1, 2)
        parts = np.matmul(matrix, grouped).reshape(batch, results, math.prod(kernel), *spatial)
        # … which is then added up in the output, pads included.
        begins, ends = as_ints(window.pads_begin), as_ints(window.pads_end)
        full = tuple(b + n + e for b, n, e in zip(begins, extents, ends, strict=True))
        y = np.zeros((batch, results, *full), parts.dtype)
        for index, tap in enumerate(window.taps(y, spatial)):
            tap += parts[:, :, index]
        inner = (slice(b, b + n) for b, n in zip(begins, extents, strict=True))
        return narrow(_add_bias(y[(..., *inner)], bias), DType.of(x.dtype))


class ConvInteger(Convolution, name="conv_integer"):
    """``conv`` of (x − x_zero_point) and (weight − weight_zero_point), in i32; pads add zeros.

    x and weight are i8 or u8. x_zero_point is a scalar (or [1]), weight_zero_point a scalar
    or [O]. Sums beyond 32 bits wrap.
    """

    def infer(
        self,
        x: TensorType,
        weight: TensorType,
        x_zero_point: TensorType | None = None,
        weight_zero_point: TensorType | None = None,
    ) -> TensorType:
        for name, operand in ("x", x), ("weight", weight):
            if operand.dtype not in (DType.I8, DType.U8):
                raise OpError(f"{name} must be of type i8 or u8, got {operand}")
        check_dtype(x.dtype, x_zero_point=x_zero_point)
        check_dtype(weight.dtype, weight_zero_point=weight_zero_point)
        shape = self.result_shape(x, weight)
        if x_zero_point is not None and x_zero_point.rank:
            check_shape("x_zero_point", x_zero_point, (1,))
        if weight_zero_point is not None and weight_zero_point.dims not in ((), (1,)):
            check_shape("weight_zero_point", weight_zero_point, (weight.dims[0],))
        return TensorType(DType.I32, shape)

    def compute(
        self,
        x: Array,
        weight: Array,
        x_zero_point: Array | None = None,
        weight_zero_point: Array | None = None,
    ) -> Array:
        # Products have 18 bits at most, so float64 adds up 2**35 of them exactly, and fast.
        x, weight = x.astype(np.float64), weight.astype(np.float64)
        if x_zero_point is not None:
            x -= x_zero_point.astype(np.float64).reshape(())
        if weight_zero_point is not None:
            weight -= weight_zero_point.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
        y = correlate(x, weight, self.window(weight.shape), self.groups)
        return y.astype(np.int64).astype(np.int32)


def correlate(x: Array, weight: Array, window: Window, groups: int) -> Array:
    """im2col, then one matrix product per image and group; in the operands' common dtype."""
    extents = as_ints(window.extents(x.shape[2:]))
    batch, results, depth = x.shape[0], weight.shape[0], math.prod(weight.shape[1:])
    columns = np.stack(list(window.taps(window.padded(x, extents), extents)), axis=2)
    columns = columns.reshape(batch, groups, depth, math.prod(extents))
    matrix = weight.reshape(groups, results // groups, depth)
    return np.matmul(matrix, columns).reshape(batch, results, *extents)


def _add_bias(y: Array, bias: Array | None) -> Array:
    if bias is None:
        return y
    return y + widen(bias).reshape(-1, *[1] * (y.ndim - 2))
