"""Timing several things side by side, so that what disturbs one disturbs all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["ROUNDS", "Timing", "race"]

ROUNDS = 5
PAUSE = 0.05
"""Seconds before each turn: threads of a library wait busily for more work after its last call."""

Run = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """Wall times of single runs, in seconds.

    Args:
        seconds: at least one, in the order in which they were taken.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Half of all runs lie between these."""
        return self._quantile(25), self._quantile(75)

    @property
    def p99(self) -> float:
        """99 of 100 runs are at least this fast; the slowest, if there are few."""
        return self._quantile(99)

    @property
    def rate(self) -> float:
        """Runs a second, one after the other."""
        return 1 / statistics.fmean(self.seconds)

    def _quantile(self, percent: int) -> float:
        """The least of the times that so many percent of the runs do not exceed."""
        rank = -(-percent * len(self.seconds) // 100)
        return sorted(self.seconds)[max(rank, 1) - 1]


def race(
    runs: Sequence[Run],
    *,
    rounds: int = ROUNDS,
    count: int | None = None,
    seconds: float = 1.0,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Timing]:
    """Time functions in turns: A, B, A, B, …

    A turn begins with a pause and a run that is not timed, since caches and threads are still
    the predecessor's.

    Args:
        runs: what to time; already warm.
        rounds: turns of each.
        count: timed runs of each in all rounds; by default as many as fit into ``seconds``.
        seconds: for the timed runs of each in all rounds; every turn has at least one.
        clock: gives the time in seconds.
        sleep: pauses.
    """
    found: list[list[float]] = [[] for _ in runs]
    rounds = rounds if count is None else min(rounds, count)
    for index in range(rounds):
        share = None if count is None else count * (index + 1) // rounds - count * index // rounds
        for run, times in zip(runs, found, strict=True):
            sleep(PAUSE)
            run()
            times.extend(_turn(run, share, seconds / rounds, clock))
    return [Timing(tuple(times)) for times in found]


def _turn(run: Run, count: int | None, seconds: float, clock: Callable[[], float]) -> list[float]:
    times: list[float] = []
    while not times or (sum(times) < seconds if count is None else len(times) < count):
        start = clock()
        run()
        times.append(clock() - start)
    return times
