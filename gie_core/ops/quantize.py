"""Quantization and its inverse: real = scale · (stored - zero point).

A scale and its zero point hold for the whole tensor (one element), for one index along an axis
(1-D), or for a block of indices along an axis (x's rank).
"""

from __future__ import annotations

import numpy as np

from gie_core.ir.dims import ceil_div
from gie_core.ir.expr import Expr, Param, substitute
from gie_core.ir.expr_numpy import evaluate_expr
from gie_core.ir.expr_text import parse_expr
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType, Shape, TensorType
from gie_core.ops.extents import check_axis
from gie_core.ops.operands import check_dtype, check_float, check_scalar, check_shape

__all__ = ["Dequantize", "Quantize"]


class _Scaled(Op):
    """What both directions share: where scales lie, and a formula over x, scale and zero_point."""

    axis: int | None = 1
    block: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block < 0 or (self.block and self.axis is None):
            raise OpError(f"a block of {self.block} along axis {self.axis} does not exist")

    def formula(self, *dtypes: DType) -> str:
        """The op in the pointwise language, for one element and its scale."""
        raise NotImplementedError(f"{type(self).__name__} must define formula()")

    def expression(self, *operands: Expr) -> Expr | None:
        """Defined where there is one scale: along an axis, operands do not broadcast as usual."""
        return self._expression(*operands) if self.axis is None else None

    def _expression(self, *operands: Expr) -> Expr:
        names = [spec.name for spec in self.operand_specs()][: len(operands)]
        dtypes = {name: o.dtype for name, o in zip(names, operands, strict=True)}
        template = parse_expr(self.formula(*dtypes.values()), dtypes)
        return substitute(template, dict(zip(names, operands, strict=True)))

    def _check_scale(self, x: TensorType, scale: TensorType, zero_point: TensorType | None) -> None:
        check_float(scale=scale)
        expected = self._scale_shape(x, scale)
        check_shape("scale", scale, expected)
        if zero_point is not None:
            check_shape("zero_point", zero_point, scale.dims)

    def _scale_shape(self, x: TensorType, scale: TensorType) -> Shape:
        if self.axis is None:
            check_scalar("the scale", scale)
        if self.axis is None or all(d == 1 for d in scale.dims):
            if scale.rank > x.rank:
                raise OpError(f"the scale {scale} has more dimensions than {x}")
            return scale.dims
        axis = check_axis(self.axis, x.rank)
        if not self.block:
            return (x.dims[axis],)
        return (*x.dims[:axis], ceil_div(x.dims[axis], self.block), *x.dims[axis + 1 :])

    def _compute(self, x: Array, scale: Array, zero_point: Array | None) -> Array:
        arrays = {"x": x, "scale": self._spread(scale, x)}
        if zero_point is not None:
            arrays["zero_point"] = self._spread(zero_point, x)
        params = [Param(name, DType.of(array.dtype)) for name, array in arrays.items()]
        return evaluate_expr(self._expression(*params), arrays)

    def _spread(self, values: Array, x: Array) -> Array:
        """Scales or zero points in a shape that broadcasts to x."""
        if values.size == 1:
            return values.reshape((1,) * x.ndim)
        assert self.axis is not None, "the shape rule lets only one element pass without an axis"
        if self.block:
            repeated = np.repeat(values, self.block, self.axis)
            return repeated[(slice(None),) * self.axis + (slice(0, x.shape[self.axis]),)]
        shape = [1] * x.ndim
        shape[self.axis] = -1
        return values.reshape(shape)


class Quantize(_Scaled, name="quantize"):
    """x / scale, rounded to nearest (ties to even), plus the zero point, saturated to ``to``.

    The division is done, and rounded, in the scale's element type. For a floating-point ``to`` the
    quotient is rounded to that type instead of to an integer. NaN becomes the integer 0.

    Args:
        to: the element type of the result and of the zero point.
        axis: along which scales differ; ``None`` says that there is one scale (a scale of one
            element is always allowed).
        block: how many neighbours along the axis share a scale; 0 for per-axis scales.
        saturate: what is too large for an 8-bit float becomes its largest value, otherwise
            infinite or NaN; integers always saturate.
    """

    to: DType = DType.U8
    saturate: bool = True

    def formula(self, *dtypes: DType) -> str:
        x, scale = dtypes[:2]
        quotient = f"{_convert('x', x, scale)} / scale"
        wide = scale if scale.bits >= 32 else DType.F32
        # Exact: whatever is too large for f32 to count on is far out of range anyway.
        value = _convert(quotient, scale, wide)
        if self.to.is_integer:
            value = f"round({value})"
        if len(dtypes) > 2:
            value = f"{value} + {wide}(zero_point)"
        saturate = ", sat" if self.to.is_integer or self.saturate else ""
        return f"{self.to}({value}{saturate})"

    def infer(
        self, x: TensorType, scale: TensorType, zero_point: TensorType | None = None
    ) -> TensorType:
        if not x.dtype.is_number or not (self.to.is_integer or self.to.is_float):
            raise OpError(f"cannot quantize {x} to {self.to}")
        if zero_point is not None:
            check_dtype(self.to, zero_point=zero_point)
        self._check_scale(x, scale, zero_point)
        return TensorType(self.to, x.dims)

    def compute(self, x: Array, scale: Array, zero_point: Array | None = None) -> Array:
        return self._compute(x, scale, zero_point)


class Dequantize(_Scaled, name="dequantize"):
    """(x - zero point)·scale, computed in at least f32 and rounded to ``to``.

    Args:
        axis: as for quantize.
        block: as for quantize.
        to: the element type of the result.
    """

    to: DType = DType.F32

    def formula(self, *dtypes: DType) -> str:
        x, scale = dtypes[:2]
        wide = DType.F64 if DType.F64 in (scale, self.to) else DType.F32
        exact = DType.I64 if x.is_integer and x.bits >= 32 else DType.I32
        step = exact if x.is_integer else wide
        centred = "x"
        if len(dtypes) > 2:
            centred, x = f"({_convert('x', x, step)} - {_convert('zero_point', x, step)})", step
        product = f"{_convert(centred, x, wide)} * {_convert('scale', scale, wide)}"
        return _convert(product, wide, self.to)

    def infer(
        self, x: TensorType, scale: TensorType, zero_point: TensorType | None = None
    ) -> TensorType:
        if not (x.dtype.is_integer or x.dtype.is_float) or not self.to.is_float:
            raise OpError(f"cannot dequantize {x} to {self.to}")
        if zero_point is not None:
            check_dtype(x.dtype, zero_point=zero_point)
        self._check_scale(x, scale, zero_point)
        return TensorType(self.to, x.dims)

    def compute(self, x: Array, scale: Array, zero_point: Array | None = None) -> Array:
        return self._compute(x, scale, zero_point)


def _convert(text: str, source: DType, target: DType) -> str:
    return text if source is target else f"{target}({text})"
