"""What takes part in a benchmark: loaded, warm, and ready to be timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gie_core.cli.machine import resident_bytes
from gie_core.cli.measure import Timing

__all__ = ["WARM_UPS", "Contestant", "Loaded", "load", "result", "warm"]

WARM_UPS = 2
"""Runs of each before the first turn; the time of the first is reported."""
T = TypeVar("T")
Outputs = Mapping[str, Any]


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """Something loaded.

    Args:
        value: what it is.
        seconds: it took, with all that Python imported for it.
        before: bytes that the process had at first; ``None`` if the system does not tell.
    """

    value: T
    seconds: float
    before: int | None


@dataclass(frozen=True)
class Contestant:
    """Something to be timed.

    Args:
        name: for people.
        version: of the software.
        run: answers once.
        outputs: what it answered, by name.
        load: seconds until it could run.
        first: seconds of the first run.
        memory: bytes by which loading and the first runs made the process grow; ``None`` if the
            system does not tell.
        arena: bytes for what nodes hand to each other, if the contestant tells.
    """

    name: str
    version: str
    run: Callable[[], Outputs]
    outputs: Outputs
    load: float
    first: float
    memory: int | None
    arena: int | None = None


def load(work: Callable[[], T]) -> Loaded[T]:
    """Load something; take its time, and remember how much memory there was before."""
    before, start = resident_bytes(), time.perf_counter()
    value = work()
    return Loaded(value, time.perf_counter() - start, before)


def warm(name: str, version: str, loaded: Loaded[Any], run: Callable[[], Outputs]) -> Contestant:
    """Run what was loaded a few times."""
    start = time.perf_counter()
    outputs = run()
    first = time.perf_counter() - start
    for _ in range(WARM_UPS - 1):
        run()
    now = resident_bytes()
    memory = None if now is None or loaded.before is None else now - loaded.before
    return Contestant(name, version, run, outputs, loaded.seconds, first, memory)


def result(contestant: Contestant, timing: Timing) -> dict[str, Any]:
    """What is known of a contestant after the race, for JSON."""
    return {
        "name": contestant.name,
        "version": contestant.version,
        "load_seconds": contestant.load,
        "first_seconds": contestant.first,
        "runs": len(timing.seconds),
        "median_seconds": timing.median,
        "quartiles_seconds": timing.quartiles,
        "p99_seconds": timing.p99,
        "runs_per_second": timing.rate,
        "memory_bytes": contestant.memory,
        "arena_bytes": contestant.arena,
    }
