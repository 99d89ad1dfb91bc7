"""Quantization of a value: real = scale · (stored - zero_point)."""

from __future__ import annotations

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
        ValueError: scales and zero points do not belong together, or a scale is not positive.
    """

    dtype: DType
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None
    binding: bool = False

    def __post_init__(self) -> None:
        if len(self.scale) != len(self.zero_point) or (self.axis is None and len(self.scale) != 1):
            raise ValueError(
                f"quantization needs one zero point per scale and, without an axis, one of each; "
                f"got {len(self.scale)} scales, {len(self.zero_point)} zero points, axis "
                f"{self.axis}"
            )
        if not all(s > 0 for s in self.scale):
            raise ValueError(f"quantization scales must be positive, got {min(self.scale)}")
