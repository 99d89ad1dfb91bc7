"""The tuner: how long each candidate takes, and whether it is right at all.

All candidates of one node hold a race: each is checked against the reference, then timed in
rounds. After each round the slower half leaves, those that stay are timed twice as often, one
after the other in turn, so that a disturbance meets all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from gie_core.builder.bench import Bench
from gie_core.builder.cost_model import predict
from gie_core.builder.environment import Environment
from gie_core.builder.oracle import Oracle
from gie_core.builder.signature import Job, candidate_signature, node_signature
from gie_core.builder.stopwatch import HostStopwatch, Stopwatch
from gie_core.builder.timing_cache import Timing, TimingCache, Verdict, entry_key
from gie_core.builder.trial import Contender, DroppedError, examine
from gie_core.ir.graph import Node
from gie_core.runtime.target import Target

__all__ = ["Begin", "Job", "Observe", "Progress", "Tuner", "TunerOptions", "recall"]

Progress = Callable[[int, int, float, float], None]
"""Called with the jobs done, all jobs, the seconds spent and those that are likely left."""

Observe = Callable[[Job, Timing, bool], None]
"""Called once for every different job with its timing, and whether that came from the cache."""

Begin = Callable[[Node, int], None]
"""Called with a node whose candidates are timed next, and their number."""

ROUNDS = (1, 2, 4, 8)
"""How often each contender is timed in each round."""
SAMPLE = 200_000
"""Nanoseconds that a sample lasts at least: shorter runs are repeated."""
FEW, LONG = 3, 200_000_000
"""So many samples are enough of a contender that took so many nanoseconds for them."""
OVERHEAD, RUNS = 10_000_000, 12
"""What a job is predicted to take: nanoseconds for memory and checks, and a number of runs."""
CLOSE, FAR = 1.25, 3.0
"""Contenders within so many times the best stay in the race; beyond, they leave."""


@dataclass(frozen=True)
class TunerOptions:
    """How thoroughly to look.

    Args:
        seconds: for everything; dealt out to the nodes by what they are predicted to take. Each
            node gets at least one right candidate that rounds nothing to a narrower type, whatever
            that takes.
        limit: seconds that one run of a candidate may take.
        seed: of the operands' data.
    """

    seconds: float = 40.0
    limit: float = 10.0
    seed: int = 0


def recall(jobs: Sequence[Job], environment: Environment, cache: TimingCache) -> list[Timing]:
    """The timings of jobs from a cache alone, for targets that are not there.

    Raises:
        TimingCacheError: a timing is missing; names the first and says how many.
    """
    keys = [key for key, _ in _named(jobs, environment)]
    cache.require(dict(zip(keys, map(str, jobs), strict=True)).items())
    return [cache[key] for key in keys]


@dataclass
class _Race:
    """The candidates of one node, by key.

    Attributes:
        jobs: those to look at.
        known: those of which the cache knows everything.
        budget: what they may take together, in predicted nanoseconds.
    """

    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    known: dict[str, Job] = field(default_factory=dict[str, Job])
    budget: int = 0


class Tuner:
    """Times jobs on a target.

    Args:
        target: what the jobs run on.
        environment: what else timings depend on; if it is ``cold``, weights are driven out of
            the caches before each launch.
        cache: what is known already. What becomes known is recorded at once, so that an
            interruption costs one node's race at most.
        options: see there.
        stopwatch: the target's clock; by default the host's.
        progress: see ``Progress``.
        observe: see ``Observe``.
        begin: see ``Begin``.
    """

    def __init__(
        self,
        target: Target,
        environment: Environment,
        cache: TimingCache | None = None,
        *,
        options: TunerOptions | None = None,
        stopwatch: Stopwatch | None = None,
        progress: Progress | None = None,
        observe: Observe | None = None,
        begin: Begin | None = None,
    ) -> None:
        self.cache = TimingCache() if cache is None else cache
        self._target = target
        self._environment = environment
        self._options = options or TunerOptions()
        self._stopwatch = stopwatch or HostStopwatch()
        self._progress = progress
        self._observe = observe
        self._begin = begin
        self._start = 0
        self._done = self._all = 0
        self._planned_done = self._planned_left = 0

    def tune(self, jobs: Sequence[Job]) -> list[Timing]:
        """Time what the cache lacks; equal signatures once.

        Returns:
            The timing of each job.
        """
        named = list(_named(jobs, self._environment))
        races = self._races(jobs, named)
        self._start = self._stopwatch.now()
        self._done, self._all = 0, len({key for key, _ in named})
        self._planned_done, self._planned_left = 0, sum(race.budget for race in races)
        for race in races:
            for key, job in race.known.items():
                self._finish(key, job, self.cache[key], cached=True)
        for race in races:
            if race.jobs:
                self._run(race)
        return [self.cache[key] for key, _ in named]

    def _races(self, jobs: Sequence[Job], named: Sequence[tuple[str, str]]) -> list[_Race]:
        races: dict[str, _Race] = {}
        for job, (key, node_text) in zip(jobs, named, strict=True):
            race = races.setdefault(node_text, _Race())
            if self.cache.lookup(key) is not None:
                race.known.setdefault(key, job)
            elif key not in race.jobs:
                race.jobs[key] = job
                race.budget += OVERHEAD + RUNS * self._predicted(job)
        open_ = [race for race in races.values() if race.jobs]
        even = sum(race.budget for race in open_) // max(1, len(open_))
        for race in open_:  # half by predicted times, half evenly: references may be slow
            race.budget += even
        return list(races.values())

    def _run(self, race: _Race) -> None:
        """Time all jobs of a race and record them."""
        deadline = self._deadline(race)
        node = next(iter(race.jobs.values())).node
        if self._begin is not None:
            self._begin(node, len(race.jobs))
        bench = Bench(Oracle(node, self._options.seed))
        field: dict[str, Contender] = {}
        known = {key: t.nanoseconds for key in race.known if (t := self.cache[key]).ok}
        best = min(known.values(), default=None)
        # Narrower types may cost more error than there is, so one candidate must do without.
        is_complete = any(race.known[key].is_exact for key in known)
        # The most promising first: it is the measure for the others.
        for key in sorted(race.jobs, key=lambda key: self._predicted(race.jobs[key])):
            # An equal node has other constants, which the oracle does not know.
            job = replace(race.jobs[key], node=node)
            bar = best if is_complete or not job.is_exact else None
            try:
                if bar is not None and self._stopwatch.now() > deadline:
                    raise DroppedError(Verdict.SLOW, "not looked at: the time for it was spent")
                contender = examine(job, bench, self._stopwatch, self._limit(), bar)
            except DroppedError as error:
                self._finish(key, job, error.timing)
            else:
                field[key] = contender
                best = min(best or contender.nanoseconds, contender.nanoseconds)
                is_complete |= job.is_exact
        self._time(list(field.values()), deadline)
        self._planned_left -= race.budget
        self._planned_done += race.budget
        for key, contender in field.items():
            self._finish(key, race.jobs[key], contender.timing())

    def _time(self, field: list[Contender], deadline: int) -> None:
        """Fill in samples, until the rounds or the time are over."""
        for rounds in ROUNDS:
            for _ in range(rounds):
                for contender in field:
                    if contender.samples and self._stopwatch.now() > deadline:
                        return
                    if len(contender.samples) < FEW or sum(contender.samples) < LONG:
                        contender.samples.append(self._sample(contender))
            field = _survivors(field)

    def _sample(self, contender: Contender) -> int:
        """Nanoseconds of one run."""
        if self._environment.cold and contender.has_weights:
            self._stopwatch.flush(contender.reads)
            return self._stopwatch.measure(contender.launches, 1)
        run = max(1, min([contender.nanoseconds, *contender.samples]))
        repetitions = -(-SAMPLE // run)
        return self._stopwatch.measure(contender.launches, repetitions) // repetitions

    def _finish(self, key: str, job: Job, timing: Timing, cached: bool = False) -> None:
        timing = self.cache.record(key, timing)
        self._done += 1
        if self._observe is not None:
            self._observe(job, timing, cached)
        if self._progress is not None:
            self._progress(self._done, self._all, self._spent() / 1e9, self._left() / 1e9)

    # ── Time ────────────────────────────────────────────────────────────────────────

    def _predicted(self, job: Job) -> int:
        return predict(job.candidate.work, self._target)

    def _limit(self) -> int:
        return round(self._options.limit * 1e9)

    def _spent(self) -> int:
        return self._stopwatch.now() - self._start

    def _unspent(self) -> int:
        return max(0, round(self._options.seconds * 1e9) - self._spent())

    def _deadline(self, race: _Race) -> int:
        """When a race must end: it gets its share of what the races before it left over."""
        share = race.budget / self._planned_left
        return self._stopwatch.now() + round(self._unspent() * share)

    def _left(self) -> float:
        """Nanoseconds until the end, if all goes on as it went so far."""
        pace = self._spent() / self._planned_done if self._planned_done else 1.0
        return min(pace * self._planned_left, self._unspent())


def _survivors(field: Sequence[Contender]) -> list[Contender]:
    """The better half, and who is close to the best; nobody who is far from it."""
    medians = sorted(contender.median for contender in field)
    if not medians:
        return []
    bar = min(FAR * medians[0], max(medians[(len(medians) - 1) // 2], CLOSE * medians[0]))
    return [contender for contender in field if contender.median <= bar]


def _named(jobs: Sequence[Job], environment: Environment) -> Iterator[tuple[str, str]]:
    """The key of each job in the cache, and the text of its node."""
    texts: dict[Node, str] = {}
    where = str(environment)
    for job in jobs:
        text = texts.setdefault(job.node, "") or node_signature(job.node)
        texts[job.node] = text
        yield entry_key(candidate_signature(job, text), where), text
