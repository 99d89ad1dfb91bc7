"""What kernels and copies cost: by the cost model, or as the tuner measured it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gie_core.builder.cost_model import predict, predict_reformat
from gie_core.builder.signature import Job
from gie_core.builder.timing_cache import Timing
from gie_core.builder.ways import Kernel
from gie_core.ir.graph import Value
from gie_core.kernels.format import Layout
from gie_core.runtime.target import Target

__all__ = ["JobList", "Key", "ModelPrices", "SoundPrices", "TimedPrices"]

Layouts = tuple[Layout | None, ...]
Key = tuple[Kernel, Layouts, Layouts]


class ModelPrices:
    """Prices without any measurement."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def kernel(
        self, way: Kernel, operands: Sequence[Layout | None], results: Sequence[Layout]
    ) -> int | None:
        return predict(way.candidate.work, self._target)

    def cost(self, nanoseconds: int, way: Kernel) -> int:
        """What the strategy minimizes, for a kernel that takes so long: the time itself."""
        return nanoseconds

    def kernel_error(self, way: Kernel) -> float:
        return 0.0

    def copy(self, source: Layout, target: Layout) -> int:
        return predict_reformat(source, target, self._target)

    def copy_error(self, value: Value, source: Layout, target: Layout) -> float:
        return 0.0


class JobList(ModelPrices):
    """Prices of the cost model, and a list of whatever is asked for: what to time."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.jobs: dict[Key, Job] = {}

    def kernel(
        self, way: Kernel, operands: Sequence[Layout | None], results: Sequence[Layout]
    ) -> int | None:
        key = (way, tuple(operands), tuple(results))
        job = Job(way.piece.node, way.owner, way.candidate, tuple(operands), tuple(results))
        self.jobs[key] = job
        return super().kernel(way, operands, results)


class TimedPrices(ModelPrices):
    """Prices as measured; a kernel that was found wrong, or could not run, has none.

    Args:
        target: of the copies, which are priced by the cost model.
        timings: of everything that ``JobList`` listed.
    """

    def __init__(self, target: Target, timings: Mapping[Key, Timing]) -> None:
        super().__init__(target)
        self.timings = timings

    def kernel(
        self, way: Kernel, operands: Sequence[Layout | None], results: Sequence[Layout]
    ) -> int | None:
        timing = self.timings[way, tuple(operands), tuple(results)]
        return timing.nanoseconds if timing.ok else None

    def timing(self, way: Kernel) -> Timing:
        """The timing of a kernel whose values lie for themselves."""
        return self.timings[way, way.operands, way.results]


class SoundPrices(TimedPrices):
    """Prices of the cost model, for kernels that the tuner found right."""

    def kernel(
        self, way: Kernel, operands: Sequence[Layout | None], results: Sequence[Layout]
    ) -> int | None:
        timing = self.timings[way, tuple(operands), tuple(results)]
        return ModelPrices.kernel(self, way, operands, results) if timing.ok else None
