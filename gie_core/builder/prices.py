"""What kernels and copies cost, as the cost model says."""

from __future__ import annotations

from collections.abc import Sequence

from gie_core.builder.cost_model import predict, predict_reformat
from gie_core.builder.ways import Kernel
from gie_core.ir.graph import Value
from gie_core.kernels.format import Layout
from gie_core.runtime.target import Target

__all__ = ["ModelPrices"]


class ModelPrices:
    """Prices without any measurement; kernels store every value in its own type."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def kernel(
        self, way: Kernel, operands: Sequence[Layout | None], results: Sequence[Layout]
    ) -> int | None:
        return predict(way.candidate.work, self._target)

    def kernel_error(self, way: Kernel) -> float:
        return 0.0

    def copy(self, source: Layout, target: Layout) -> int:
        return predict_reformat(source, target, self._target)

    def copy_error(self, value: Value, source: Layout, target: Layout) -> float:
        return 0.0
