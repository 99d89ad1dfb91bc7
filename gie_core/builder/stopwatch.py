"""Clocks that kernels are timed with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from gie_core.builder.environment import last_level_cache
from gie_core.ir.types import Array
from gie_core.kernels.provider import Launch

__all__ = ["HostStopwatch", "Stopwatch"]


class Stopwatch(Protocol):
    """Times launches on a target."""

    def now(self) -> int:
        """Nanoseconds since some moment, for time limits."""
        ...

    def measure(self, launches: Sequence[Launch], repetitions: int) -> int:
        """Nanoseconds that all launches take, in order, so many times in a row."""
        ...

    def flush(self, keep: Sequence[Array]) -> None:
        """Drive everything out of the target's caches, then read these arrays."""
        ...


class HostStopwatch:
    """Times what runs in this process.

    Args:
        clock: nanoseconds since some moment.
    """

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._flushed = np.zeros(0, np.uint8)

    def now(self) -> int:
        return self._clock()

    def measure(self, launches: Sequence[Launch], repetitions: int) -> int:
        with np.errstate(all="ignore"):
            start = self._clock()
            for _ in range(repetitions):
                for launch in launches:
                    launch()
            return self._clock() - start

    def flush(self, keep: Sequence[Array]) -> None:
        if not self._flushed.size:
            self._flushed = np.zeros(last_level_cache(), np.uint8)
        self._flushed += 1
        for array in keep:
            array.max(initial=0)
