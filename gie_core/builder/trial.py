"""One candidate on trial: it gets memory, is bound, runs twice, and its answer is checked."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gie_core.builder.bench import Bench, Piece
from gie_core.builder.comparing import compare, tolerance_of
from gie_core.builder.oracle import Oracle
from gie_core.builder.signature import Job
from gie_core.builder.stopwatch import Stopwatch
from gie_core.builder.timing_cache import Timing, Verdict
from gie_core.engine.plan import ALIGNMENT
from gie_core.errors import GieError
from gie_core.ir.types import Array, DType
from gie_core.kernels.provider import Launch, Memory

__all__ = ["Contender", "DroppedError", "examine"]

POISONS = (0xFF, 0x00)
"""What memory holds before the first and the second run: as floats NaN and 0. What is left
unwritten is either wrong at once or differs between the runs."""

HOPELESS = 20
"""A second run that takes so many times the best one's shows that nobody will choose it."""
PATIENCE = 50_000_000
"""Nanoseconds of a second run that prove nothing: a disturbance may take as long."""

OWN_MISS = 4.0
"""How many times the reference's own rounding error in the node's precision is forgiven."""


class DroppedError(Exception):
    """A candidate may not be chosen; ``timing`` says why."""

    def __init__(
        self, verdict: Verdict, reason: str, nanoseconds: int = 0, error: float | None = None
    ) -> None:
        super().__init__(reason)
        self.timing = Timing.dropped(verdict, reason, nanoseconds, error)


@dataclass
class Contender:
    """A candidate that is right, bound and ready to be timed.

    Attributes:
        launches: run it.
        reads: the memory of its operands.
        has_weights: it reads constants.
        error: of its answer; ``None`` if there is no right answer.
        nanoseconds: what its second run took.
        samples: what a run took, each time it was timed.
    """

    launches: tuple[Launch, ...]
    reads: tuple[Array, ...]
    has_weights: bool
    error: float | None
    nanoseconds: int
    samples: list[int] = field(default_factory=list[int])

    @property
    def median(self) -> int:
        """Nanoseconds that a run takes."""
        return int(statistics.median(self.samples or [self.nanoseconds]))

    def timing(self) -> Timing:
        """What is known now."""
        ordered = sorted(self.samples or [self.nanoseconds])
        low, high = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
        return Timing(self.median, high - low, self.error)


def examine(
    job: Job, bench: Bench, stopwatch: Stopwatch, limit: int, best: int | None
) -> Contender:
    """Bind a candidate and check its answers.

    Args:
        job: the candidate.
        bench: of its node.
        stopwatch: of the target.
        limit: nanoseconds that a run may take; looked at between launches, since nobody can
            stop a kernel.
        best: nanoseconds of the fastest candidate so far.

    Raises:
        DroppedError: it failed, was wrong or slow.
    """
    try:
        with np.errstate(all="ignore"):
            return _examine(job, bench, stopwatch, limit, best)
    except DroppedError:
        raise
    except GieError as error:
        raise DroppedError(Verdict.FAILED, str(error)) from error
    except (Exception, SystemExit) as error:  # a third party's code: anything can come
        raise DroppedError(Verdict.FAILED, f"{type(error).__name__}: {error}") from error


def _examine(
    job: Job, bench: Bench, stopwatch: Stopwatch, limit: int, best: int | None
) -> Contender:
    memory = bench.memory(job)
    launches = tuple(job.provider.provider.bind(job.node, job.candidate.name, memory))
    answers: list[list[Array]] = []
    nanoseconds = 0
    # The first run may compile, or touch memory for the first time.
    bounds = limit, limit if best is None else min(limit, max(HOPELESS * best, PATIENCE))
    for poison, bound in zip(POISONS, bounds, strict=True):
        bench.poison(job, poison)
        nanoseconds = _run(launches, stopwatch, bound)
        answers.append([array.copy() for array in memory.results])
        if bench.spilled(job, poison):
            raise DroppedError(Verdict.WRONG, "it writes beside its results or its workspace")
    if bench.operands_changed():
        raise DroppedError(Verdict.WRONG, "it writes to its operands")
    reads = tuple(piece.buffer for piece in bench.operands(job) if piece is not None)
    contender = Contender(launches, reads, bool(memory.constants), None, nanoseconds)
    if not bench.oracle.is_random:
        contender.error = _check(job, bench.oracle, answers)
        _check_in_place(job, bench, memory, stopwatch, limit)
    return contender


def _run(launches: Sequence[Launch], stopwatch: Stopwatch, limit: int) -> int:
    spent = 0
    for number, launch in enumerate(launches, 1):
        spent += stopwatch.measure([launch], 1)
        if spent > limit:
            raise DroppedError(
                Verdict.SLOW,
                f"{number} of {len(launches)} launches took {spent / 1e6:.3g} ms, more than "
                f"{limit / 1e6:.3g}",
                spent,
            )
    return spent


def _check(job: Job, oracle: Oracle, answers: Sequence[Sequence[Array]]) -> float:
    """The error of the first answer; the second must equal it, or be right as well."""
    first, second = answers
    error = _error(job, oracle, first)
    for one, other in zip(first, second, strict=True):
        if one.tobytes() == other.tobytes():
            continue
        _error(job, oracle, second)
        if job.candidate.deterministic:
            raise DroppedError(Verdict.WRONG, "two runs gave different bits", error=error)
    return error


def _error(job: Job, oracle: Oracle, answers: Sequence[Array]) -> float:
    """The largest error of the results.

    Raises:
        DroppedError: it is beyond the tolerance.
    """
    tolerance = tolerance_of(_types(job))
    error = 0.0
    for value, answer, right in zip(
        job.node.results, answers, oracle.case(job.operands).answers, strict=True
    ):
        found = compare(answer, right)
        error = max(error, found.error)
        if found.miss <= tolerance:
            continue
        tolerance = max(tolerance, OWN_MISS * oracle.own_miss(job.operands))
        if found.miss > tolerance:
            raise DroppedError(
                Verdict.WRONG,
                f"%{value.name} has an error of {found.error:.2g}, and {tolerance:.2g} is "
                f"allowed; {found.where}",
                error=found.error if np.isfinite(found.error) else None,
            )
    return error


def _types(job: Job) -> Iterator[DType]:
    """The element types of values, and those that they or constants are stored in."""
    yield from (v.tensor.dtype for v in (*job.node.operands, *job.node.results) if v is not None)
    yield from (layout.dtype for layout in (*job.operands, *job.results) if layout is not None)
    if job.candidate.packed is not None:
        yield job.candidate.packed


def _check_in_place(
    job: Job, bench: Bench, memory: Memory, stopwatch: Stopwatch, limit: int
) -> None:
    """Run once more for every operand in whose memory the candidate claims to write a result."""
    for result, operand in job.candidate.in_place:
        given, layout = memory.operands[operand], job.operands[operand]
        if layout is None or layout.canonical() != job.results[result].canonical():
            continue
        piece = Piece.of(layout, ALIGNMENT)
        piece.array[...] = given
        operands, results = list(memory.operands), list(memory.results)
        operands[operand] = results[result] = piece.array
        shared = replace(memory, operands=tuple(operands), results=tuple(results))
        bench.poison(job, POISONS[0])
        launches = job.provider.provider.bind(job.node, job.candidate.name, shared)
        _run(launches, stopwatch, limit)
        try:
            _error(job, bench.oracle, shared.results)
        except DroppedError as error:
            raise DroppedError(Verdict.WRONG, f"in place, {error}") from error
