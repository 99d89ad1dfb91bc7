"""Quantization of a value: real = scale · (stored - zero_point)."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass

from gie_core.ir.types import DType

__all__ = ["Quantization"]


@dataclass(frozen=True)
class Quantization:
    """How a real tensor is, or may be, stored in integers.

    Args:
        dtype: the storage type.
        scale: one number, or one per index of ``axis``; > 0.
        zero_point: the stored number that means 0; as many as scales.
        axis: the dimension along which scales differ; ``None`` for one scale.
        binding: set by the model itself (explicit quantize/dequantize), so that a
            builder must keep it; ``False`` for calibration results, which it may use.

    Raises:
        ValueError: scales and zero points do not belong together, a scale is not positive and
            finite, the axis is negative, or nothing is quantized to such a type.
        TypeError: a zero point is not an integer.
    """

    dtype: DType
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None
    binding: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(map(float, self.scale)))
        object.__setattr__(self, "zero_point", tuple(map(operator.index, self.zero_point)))
        if len(self.scale) != len(self.zero_point) or (self.axis is None and len(self.scale) != 1):
            raise ValueError(
                f"quantization needs one zero point per scale and, without an axis, one of each; "
                f"got {len(self.scale)} scales, {len(self.zero_point)} zero points, axis "
                f"{self.axis}"
            )
        if not all(0 < s < math.inf for s in self.scale):
            raise ValueError(
                f"quantization scales must be positive and finite, got {list(self.scale)}"
            )
        if self.axis is not None and operator.index(self.axis) < 0:
            raise ValueError(f"the axis of a quantization counts from 0, got {self.axis}")
        if not (self.dtype.is_integer or (self.dtype.is_float and self.dtype.bits <= 8)):
            raise ValueError(f"nothing is quantized to {self.dtype}; use an integer or 8-bit float")
