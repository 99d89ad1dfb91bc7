"""What kernels and copies cost: by the cost model, or as the tuner measured it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gie_core.builder.copies import copy_job
from gie_core.builder.cost_model import predict, predict_reformat
from gie_core.builder.signature import Job
from gie_core.builder.timing_cache import Timing, Verdict
from gie_core.builder.tuner import Tuner
from gie_core.builder.ways import Kernel
from gie_core.ir.graph import Value
from gie_core.ir.types import DType
from gie_core.kernels.format import Layout
from gie_core.runtime.target import Target

__all__ = ["JobList", "ModelPrices", "SoundPrices", "TimedPrices", "Timings"]

Layouts = tuple[Layout | None, ...]
KernelKey = tuple[Kernel, Layouts, Layouts]
CopyKey = tuple[DType, Layout, Layout]


@dataclass(frozen=True)
class Timings:
    """What the tuner found out.

    Args:
        kernels: by way, and how its operands and results lie.
        copies: by the value's own type, and how it lies before and after.
    """

    kernels: Mapping[KernelKey, Timing] = field(default_factory=dict[KernelKey, Timing])
    copies: Mapping[CopyKey, Timing] = field(default_factory=dict[CopyKey, Timing])


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

    def copy(self, value: Value, source: Layout, target: Layout) -> int:
        return predict_reformat(source, target, self._target)

    def copy_error(self, value: Value, source: Layout, target: Layout) -> float:
        return 0.0


class JobList(ModelPrices):
    """Prices of the cost model, and a list of whatever is asked for: what to time."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._kernels: dict[KernelKey, Job] = {}
        self._copies: dict[CopyKey, Job] = {}

    def kernel(
        self, way: Kernel, operands: Sequence[Layout | None], results: Sequence[Layout]
    ) -> int | None:
        key = (way, tuple(operands), tuple(results))
        self._kernels[key] = Job(way.piece.node, way.owner, way.candidate, key[1], tuple(results))
        return super().kernel(way, operands, results)

    def copy(self, value: Value, source: Layout, target: Layout) -> int:
        key = (value.tensor.dtype, source, target)
        if key not in self._copies:
            self._copies[key] = copy_job(*key)
        return super().copy(value, source, target)

    def timed(self, tuner: Tuner) -> Timings:
        """The timings of all that was asked for."""
        found = iter(tuner.tune([*self._kernels.values(), *self._copies.values()]))
        return Timings(
            {key: next(found) for key in self._kernels}, {key: next(found) for key in self._copies}
        )


class TimedPrices(ModelPrices):
    """Prices as measured; a kernel that was found wrong, or could not run, has none.

    Where none could be measured, since no made-up operands suit the node, the cost model decides.

    Args:
        target: what was timed.
        timings: of everything that ``JobList`` listed.
    """

    def __init__(self, target: Target, timings: Timings) -> None:
        super().__init__(target)
        self._timings = timings
        self._measured = {
            number
            for (way, _, _), timing in timings.kernels.items()
            if timing.ok
            for number in way.piece.covers
        }

    def kernel(
        self, way: Kernel, operands: Sequence[Layout | None], results: Sequence[Layout]
    ) -> int | None:
        timing = self._timings.kernels[way, tuple(operands), tuple(results)]
        if timing.ok:
            return timing.nanoseconds
        unmeasured = not self._measured.issuperset(way.piece.covers)
        if unmeasured and timing.verdict is not Verdict.WRONG:
            return super().kernel(way, operands, results)
        return None

    def copy(self, value: Value, source: Layout, target: Layout) -> int:
        timing = self._timings.copies[value.tensor.dtype, source, target]
        return timing.nanoseconds if timing.ok else super().copy(value, source, target)

    def timing(self, way: Kernel) -> Timing:
        """The timing of a kernel whose values lie for themselves."""
        return self._timings.kernels[way, way.operands, way.results]


class SoundPrices(TimedPrices):
    """Prices of the cost model, for kernels that the tuner did not find wrong."""

    def kernel(
        self, way: Kernel, operands: Sequence[Layout | None], results: Sequence[Layout]
    ) -> int | None:
        if super().kernel(way, operands, results) is None:
            return None
        return ModelPrices.kernel(self, way, operands, results)

    def copy(self, value: Value, source: Layout, target: Layout) -> int:
        return ModelPrices.copy(self, value, source, target)
