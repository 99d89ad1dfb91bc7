"""Resize: resampling along any axes, as ONNX's operator specification defines it.

Every mode is separable. An axis is resampled by a gather (nearest) or by a matrix
[output, input] of interpolation weights, so N-linear and N-cubic are one product
per axis.
"""

from __future__ import annotations

import math

import numpy as np

from gie_core.ir.dims import Dim
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.extents import as_ints
from gie_core.ops.operands import check_choice, check_number
from gie_core.ops.precision import narrow, widen

__all__ = ["COORDINATES", "MODES", "NEAREST", "Resize"]

MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


class Resize(Op, name="resize"):
    """x resampled to ``sizes``. Any type with "nearest", numbers with the other modes.

    An axis that keeps its extent at scale 1 stays as it is, whatever the coordinates, unless
    it is cropped. Integers are cut toward zero and saturate.

    Args:
        sizes: extents of the result, one per axis.
        scales: output / input, one per axis, where it is not exactly the ratio of the extents.
        mode: "nearest", "linear" or "cubic" (Keys 1981).
        coordinates: how an output position becomes an input position, see ``COORDINATES``.
        nearest: how "nearest" rounds a position, see ``NEAREST``.
        cubic_coefficient: the a of Keys' kernel.
        exclude_outside: positions outside of x weigh nothing, instead of repeating the edge.
        antialias: widen the kernel by 1 / scale where x shrinks ("linear" and "cubic").
        extrapolation: the value where "tf_crop_and_resize" looks outside of x.
        roi: (start_0, …, end_0, …), fractions of x's extents, for "tf_crop_and_resize".
    """

    sizes: tuple[Dim, ...]
    scales: tuple[float, ...] = ()
    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic_coefficient: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    extrapolation: float = 0.0
    roi: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "mode", MODES)
        check_choice(self, "coordinates", COORDINATES)
        check_choice(self, "nearest", NEAREST)
        rank = len(self.sizes)
        if len(self.scales) not in (0, rank) or any(s <= 0 for s in self.scales):
            raise OpError(f"{self.name} needs one scale > 0 per axis, got {list(self.scales)}")
        crops = self.coordinates == "tf_crop_and_resize"
        if len(self.roi) != 2 * rank and (crops or self.roi):
            raise OpError(f"{self.name} needs a roi of {2 * rank} numbers, got {list(self.roi)}")

    def infer(self, x: TensorType) -> TensorType:
        if len(self.sizes) != x.rank:
            raise OpError(f"sizes has {len(self.sizes)} entries for {x}")
        if self.mode != "nearest":
            check_number(x=x)
        return TensorType(x.dtype, self.sizes)

    def compute(self, x: Array) -> Array:
        dtype, sizes = DType.of(x.dtype), as_ints(self.sizes)
        positions = {
            axis: self._positions(axis, before, after)
            for axis, (before, after) in enumerate(zip(x.shape, sizes, strict=True))
            if not self._keeps(axis, before, after)
        }
        if self.mode == "nearest":
            y = x
            for axis, at in positions.items():
                y = np.take(y, self._nearest(at, x.shape[axis]), axis)
        else:
            y = widen(x) if dtype.is_float or dtype.is_complex else x.astype(np.float64)
            for axis, at in positions.items():
                scale = self.scales[axis] if self.scales else sizes[axis] / x.shape[axis]
                weights = self._weights(at, x.shape[axis], scale)
                y = np.moveaxis(np.tensordot(weights.astype(y.dtype), y, (1, axis)), 0, axis)
            y = narrow(y, dtype)
        return self._extrapolated(y, x, positions)

    # ── From output to input positions ──────────────────────────────────────────────

    def _keeps(self, axis: int, before: int, after: int) -> bool:
        """Whether the axis stays as it is."""
        scaled = bool(self.scales) and self.scales[axis] != 1
        return before == after and not scaled and self.coordinates != "tf_crop_and_resize"

    def _positions(self, axis: int, before: int, after: int) -> Array:
        """The input position of every output position along an axis; float64[after]."""
        at = np.arange(after, dtype=np.float64)
        corners, centres = (
            p / self.scales[axis] if self.scales else p * before / after for p in (at, at + 0.5)
        )
        # What a given scale makes of the input's extent need not be whole.
        length = before * self.scales[axis] if self.scales else after
        match self.coordinates:
            case "half_pixel":
                return centres - 0.5
            case "half_pixel_symmetric":
                return centres - 0.5 + before / 2 * (1 - after / length)
            case "pytorch_half_pixel":
                return centres - 0.5 if after > 1 else np.zeros(after)
            case "align_corners":
                return at * (before - 1) / (length - 1) if after > 1 else np.zeros(after)
            case "asymmetric":
                return corners
            case "tf_half_pixel_for_nn":
                return centres
            case _:
                return self._crop(axis, before, after)

    def _crop(self, axis: int, before: int, after: int) -> Array:
        start, end = self.roi[axis], self.roi[axis + len(self.sizes)]
        if after == 1:
            return np.full(1, 0.5 * (start + end) * (before - 1))
        step = (end - start) * (before - 1) / (after - 1)
        return start * (before - 1) + np.arange(after) * step

    def _nearest(self, positions: Array, before: int) -> Array:
        """Indices into an axis; i64[output]."""
        positions = _rounded(positions)
        match self.nearest:
            case "round_prefer_floor":
                whole = np.ceil(positions - 0.5)
            case "round_prefer_ceil":
                whole = np.floor(positions + 0.5)
            case "floor":
                whole = np.floor(positions)
            case _:
                whole = np.ceil(positions)
        return np.clip(whole.astype(np.int64), 0, before - 1)

    # ── Interpolation ───────────────────────────────────────────────────────────────

    def _weights(self, positions: Array, before: int, scale: float) -> Array:
        """The matrix that resamples an axis; float64 [output, input], rows sum to 1."""
        stretch = max(1.0, 1 / scale) if self.antialias else 1.0
        radius = math.ceil((2 if self.mode == "cubic" else 1) * stretch)
        # Input positions under the kernel, [output, 2·radius], and their weights.
        under = np.floor(positions)[:, None] + np.arange(1 - radius, radius + 1)
        distance = np.abs(under - positions[:, None]) / stretch
        weights = self._keys(distance) if self.mode == "cubic" else np.maximum(1 - distance, 0)
        if self.exclude_outside:
            weights = np.where((under >= 0) & (under < before), weights, 0)
        weights = weights / weights.sum(axis=1, keepdims=True)
        matrix = np.zeros((len(positions), before))
        rows = np.arange(len(positions))[:, None]
        np.add.at(matrix, (rows, np.clip(under, 0, before - 1).astype(np.int64)), weights)
        return matrix

    def _keys(self, d: Array) -> Array:
        """Keys' cubic convolution kernel at distance d ≥ 0 (1981, equation 4)."""
        a = self.cubic_coefficient
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    def _extrapolated(self, y: Array, x: Array, positions: dict[int, Array]) -> Array:
        """The result with ``extrapolation`` wherever a position lies outside of x."""
        if self.coordinates != "tf_crop_and_resize":
            return y
        y = y.copy()
        for axis, at in positions.items():
            outside = (_rounded(at) < 0) | (_rounded(at) > x.shape[axis] - 1)
            y[(slice(None),) * axis + (outside,)] = self.extrapolation
        return y


def _rounded(positions: Array) -> Array:
    """Positions where a comparison decides, rounded to float32.

    Scales come as float32; the error that they bring along would make 4.9999998 of 5.
    """
    return positions.astype(np.float32).astype(np.float64)
