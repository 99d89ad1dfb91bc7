"""Transposed convolution: one matrix product, then col2im."""

from __future__ import annotations

import numpy as np

from gie_core.ir.types import Array
from gie_core.ops.extents import as_ints
from gie_kernels_cpu.geometry import Geometry
from gie_kernels_cpu.shifted import ShiftedProducts
from gie_kernels_cpu.variant import Variant

__all__ = ["TransposedConvolution"]


class TransposedConvolution(ShiftedProducts):
    """Any geometry."""

    def rejects(self, geometry: Geometry) -> str:
        return ""

    def pack(self, geometry: Geometry, variant: Variant, weight: Array) -> Array:
        view = weight.reshape(geometry.groups, -1, *weight.shape[1:])
        return np.moveaxis(view, (2, 1), (-2, -1))

    def offset(self, geometry: Geometry, axis: int, position: int) -> int:
        return (
            position * geometry.window.dilations[axis] - as_ints(geometry.window.pads_begin)[axis]
        )
