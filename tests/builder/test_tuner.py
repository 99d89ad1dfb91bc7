"""The fastest right candidate wins; what is wrong, broken or slow is dropped and says why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from gie_core.builder.environment import Environment
from gie_core.builder.stopwatch import HostStopwatch
from gie_core.builder.timing_cache import Timing, TimingCache, TimingCacheError, Verdict
from gie_core.builder.tuner import Job, Tuner, TunerOptions, recall
from gie_core.ir.graph import Node
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Candidate, Support, Work
from gie_core.kernels.format import Format, Layout, Strides
from gie_core.kernels.provider import Launch, Memory, NamedProvider
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST, Target
from gie_core.testing.passes import parse_with_blobs

ENVIRONMENT = Environment("host", "a CPU", ("numpy",), threads=1)
MS = 1_000_000
Body = Callable[[Array, Array, Array], Any]
"""Computes x + w into y: ``body(x, w, y)``."""


class Clock:
    """Time passes only when a kernel runs."""

    def __init__(self) -> None:
        self.nanoseconds = 0

    def now(self) -> int:
        return self.nanoseconds


def add(x: Array, w: Array, y: Array) -> None:
    np.add(x, w, out=y)


@dataclass
class Adder:
    """Offers one candidate a body, in the order of their names.

    Attributes:
        times: nanoseconds of one run, by candidate; popped from the front while there are several.
        bound: how often each was bound.
    """

    clock: Clock
    bodies: dict[str, Body]
    times: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    bound: Counter[str] = field(default_factory=Counter[str])
    packed: Counter[str] = field(default_factory=Counter[str])

    def supports(self, node: Node, target: Target) -> Support:
        return Support.yes()

    def candidates(self, node: Node, target: Target) -> list[Candidate]:
        plain = Format(DType.F32, (0, 1), Strides.PITCHED)
        in_place = ((0, 0),)
        return [
            Candidate(name, (plain, None), (plain,), 96, in_place=in_place if "=" in name else ())
            for name in self.bodies
        ]

    def prepack(self, node: Node, candidate: str) -> list[Array]:
        self.packed[candidate] += 1
        return [v.data for v in node.operands if v is not None and v.data is not None]

    def bind(self, node: Node, candidate: str, memory: Memory) -> list[Launch]:
        self.bound[candidate] += 1
        if candidate.startswith("unbindable"):
            raise RuntimeError("no such\ninstruction")
        times = list(self.times.get(candidate, [MS]))

        def launch() -> None:
            self.clock.nanoseconds += times.pop(0) if len(times) > 1 else times[0]
            self.bodies[candidate](memory.operands[0], memory.constants[0], memory.results[0])

        return [launch]


def layer(columns: int = 33, name: str = "w") -> Node:
    text = f"""
        graph main {{
          input %in: f32[40, {columns}]
          const %w: f32[40, {columns}] = blob "{name}"
          %out_{name} = add(%in, %w)
          return %out_{name}
        }}"""
    (node,) = parse_with_blobs(text, core_ops()).nodes
    return node


def jobs_of(provider: Adder, node: Node) -> list[Job]:
    shape = [int(str(d)) for d in node.result.tensor.dims]
    owner = NamedProvider("adder", provider, version="1")

    def dense(format_: Format | None) -> Layout:
        assert format_ is not None
        return Format(format_.dtype, (0, 1)).layout(shape)

    return [
        Job(node, owner, each, (dense(each.operands[0]), None), (dense(each.results[0]),))
        for each in provider.candidates(node, HOST)
    ]


def tuner(clock: Clock, cache: TimingCache | None = None, **options: Any) -> Tuner:
    return Tuner(HOST, ENVIRONMENT, cache, stopwatch=HostStopwatch(clock.now), **options)


def tune_one(body: Body, name: str = "only", **job: Any) -> Timing:
    clock = Clock()
    (made,) = jobs_of(Adder(clock, {name: body}), layer())
    (timing,) = tuner(clock).tune([replace(made, **job)])
    return timing


# ── Timing ──────────────────────────────────────────────────────────────────────────────


def test_times_are_medians_of_the_clock() -> None:
    clock = Clock()
    times = {"fast": [MS], "uneven": [9 * MS, MS, 2 * MS, 3 * MS, 2 * MS, 8 * MS, 2 * MS]}
    timings = tuner(clock).tune(jobs_of(Adder(clock, dict.fromkeys(times, add), times), layer()))
    fast, uneven = timings
    assert fast == Timing(MS, 0, 0.0)
    assert (uneven.nanoseconds, uneven.ok) == (2 * MS, True)


def test_losers_leave_and_finalists_are_timed_most() -> None:
    clock, ran = Clock(), Counter[str]()

    def counting(name: str) -> Body:
        return lambda x, w, y: (ran.update([name]), add(x, w, y))

    times = {"a": [MS], "b": [2 * MS], "c": [10 * MS], "d": [60 * MS]}
    bodies = {name: counting(name) for name in times}
    timings = tuner(clock).tune(jobs_of(Adder(clock, bodies, times), layer()))
    assert [t.nanoseconds for t in timings] == [time[0] for time in times.values()]
    assert timings[3].verdict is Verdict.SLOW
    assert ran["a"] > ran["b"] > ran["c"] == 3 > ran["d"] == 2


def test_short_runs_are_repeated() -> None:
    clock, ran = Clock(), Counter[str]()

    def body(x: Array, w: Array, y: Array) -> None:
        ran.update(["short"])
        add(x, w, y)

    (timing,) = tuner(clock).tune(
        jobs_of(Adder(clock, {"short": body}, {"short": [1000]}), layer())
    )
    assert timing.nanoseconds == 1000
    assert ran["short"] == 2 + 15 * 200


def test_slow_candidates_are_dropped_after_the_second_run() -> None:
    clock = Clock()
    times = {"fast": [2 * MS], "compiles": [900 * MS, MS], "tiny": [49 * MS], "slow": [61 * MS]}
    timings = tuner(clock).tune(jobs_of(Adder(clock, dict.fromkeys(times, add), times), layer()))
    assert [t.ok for t in timings] == [True, True, True, False]
    reason = "1 of 1 launches took 61 ms, more than 50"
    assert timings[3] == Timing(61 * MS, 0, None, Verdict.SLOW, reason)


def test_a_run_beyond_the_limit_is_dropped() -> None:
    clock = Clock()
    jobs = jobs_of(Adder(clock, {"endless": add}, {"endless": [3000 * MS]}), layer())
    (timing,) = tuner(clock, options=TunerOptions(limit=2.0)).tune(jobs)
    assert timing.verdict is Verdict.SLOW
    assert timing.reason == "1 of 1 launches took 3e+03 ms, more than 2e+03"


@pytest.mark.parametrize("seconds", [0.0, 0.5, 3.0])
def test_the_budget_is_kept_and_every_node_gets_a_candidate(seconds: float) -> None:
    clock = Clock()
    names = [f"c{index}" for index in range(8)]
    provider = Adder(clock, dict.fromkeys(names, add), {name: [20 * MS] for name in names})
    jobs = [job for n in range(4) for job in jobs_of(provider, layer(columns=33 + n))]
    timings = tuner(clock, options=TunerOptions(seconds=seconds)).tune(jobs)
    one_candidate = 3 * 20 * MS
    assert clock.nanoseconds <= seconds * 1e9 + 4 * one_candidate
    for node in range(4):
        assert timings[8 * node].ok
    left = {t.reason for t in timings if not t.ok}
    assert left <= {"not looked at: the time for it was spent"}
    assert bool(left) == (seconds < 3)


class Narrowing(Adder):
    """Candidates called "half…" read f16; they are predicted to be faster."""

    def candidates(self, node: Node, target: Target) -> list[Candidate]:
        half = Format(DType.F16, (0, 1)), None
        return [
            replace(found, operands=half, in_place=(), work=Work(calls=0))
            if found.name.startswith("half")
            else found
            for found in super().candidates(node, target)
        ]


@pytest.mark.parametrize("seconds", [0.0, 40.0])
@pytest.mark.parametrize("known", [True, False])
def test_one_candidate_that_rounds_nothing_is_timed_however_slow(
    known: bool, seconds: float
) -> None:
    clock = Clock()
    times = {"half": [MS], "slow": [99 * MS], "slower": [100 * MS]}
    jobs = jobs_of(Narrowing(clock, dict.fromkeys(times, add), times), layer())
    assert [job.is_exact for job in jobs] == [False, True, True]
    tune = tuner(clock, options=TunerOptions(seconds=seconds))
    if known:
        assert tune.tune(jobs[:1])[0].ok
    timings = tune.tune(jobs)
    assert [timing.ok for timing in timings] == [True, True, False]


def test_weights_are_cold_where_they_will_be() -> None:
    clock, flushed = Clock(), list[int]()

    class Recording(HostStopwatch):
        def flush(self, keep: Sequence[Array]) -> None:
            flushed.append(len(keep))

    jobs = jobs_of(Adder(clock, {"short": add}, {"short": [1000]}), layer())
    for cold in (False, True):
        environment = replace(ENVIRONMENT, cold=cold)
        (timing,) = Tuner(HOST, environment, stopwatch=Recording(clock.now)).tune(jobs)
        assert timing.nanoseconds == 1000
        assert flushed == [1] * 15 * cold  # once before every sample, one operand kept


# ── Wrong answers ───────────────────────────────────────────────────────────────────────


def in_the_corner(x: Array, w: Array, y: Array) -> None:
    add(x, w, y)
    y[-1, -1] += 1e-3


def unwritten(x: Array, w: Array, y: Array) -> None:
    np.add(x[:, :-1], w[:, :-1], out=y[:, :-1])


def zero_left(x: Array, w: Array, y: Array) -> None:
    np.add(x, w, out=y, where=x + w > 0)


def half(x: Array, w: Array, y: Array) -> None:
    y[...] = (x + w).astype(np.float16)


def beside(x: Array, w: Array, y: Array) -> None:
    add(x, w, y)
    np.lib.stride_tricks.as_strided(y, (40, 34), y.strides)[:, -1] = 1


def into_operand(x: Array, w: Array, y: Array) -> None:
    add(x, w, y)
    x.flags.writeable = True
    x[3, 3] = 7


class Restless:
    """Right, but never the same."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, x: Array, w: Array, y: Array) -> None:
        self.runs += 1
        y[...] = (x + w) * np.float32(1 + self.runs * 2e-7)


WRONG: dict[str, tuple[Body, str]] = {
    "corner": (in_the_corner, "[39, 32] is "),
    "unwritten": (unwritten, "is nan instead of"),
    "reads its result": (zero_left, "is nan instead of"),
    "too coarse": (half, "%out_w has an error of 0.00021, and 2e-05 is allowed"),
    "beside": (beside, "it writes beside its results or its workspace"),
    "operand": (into_operand, "it writes to its operands"),
    "random": (Restless(), "two runs gave different bits"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_dropped(name: str) -> None:
    body, reason = WRONG[name]
    timing = tune_one(body)
    assert timing.verdict is Verdict.WRONG
    assert reason in timing.reason


def test_gaps_of_a_slice_are_not_written() -> None:
    pitched = Layout(DType.F32, (40, 33), (34 * 4, 4))
    assert tune_one(add, results=(pitched,)).ok
    timing = tune_one(beside, results=(pitched,))
    assert timing.reason == "it writes beside its results or its workspace"


def test_what_does_not_claim_to_be_deterministic_need_not_be() -> None:
    clock = Clock()
    (job,) = jobs_of(Adder(clock, {"restless": Restless()}), layer())
    job = replace(job, candidate=replace(job.candidate, deterministic=False))
    assert tuner(clock).tune([job])[0].ok


def test_claims_to_run_in_place_are_checked() -> None:
    def two_steps(x: Array, w: Array, y: Array) -> None:
        y[...] = w
        np.add(x, y, out=y)  # in place, x is gone by now

    assert tune_one(add, "x=y").ok
    assert tune_one(two_steps, "x, y").ok
    timing = tune_one(two_steps, "x=y")
    assert timing.verdict is Verdict.WRONG
    assert timing.reason.startswith("in place, %out_w has an error of")


def test_a_candidate_that_stores_half_precision_is_held_to_that() -> None:
    stored = Layout(DType.F16, (40, 33), (66, 2))
    timing = tune_one(add, results=(stored,))
    assert timing.ok
    assert timing.error is not None
    assert 1e-4 < timing.error < 5e-4


def test_a_candidate_that_rounds_its_constants_is_held_to_that() -> None:
    def rounds(x: Array, w: Array, y: Array) -> None:
        np.add(x, w.astype(np.float16), out=y)

    assert tune_one(rounds).verdict is Verdict.WRONG
    clock = Clock()
    (job,) = jobs_of(Adder(clock, {"f16 weights": rounds}), layer())
    job = replace(job, candidate=replace(job.candidate, packed=DType.F16))
    assert tuner(clock).tune([job])[0].ok


def test_operands_have_the_layouts_and_alignments_of_the_job() -> None:
    seen: list[tuple[tuple[int, ...], int, int, bool]] = []

    def body(x: Array, w: Array, y: Array) -> None:
        addresses = [a.__array_interface__["data"][0] % 64 for a in (x, y)]
        seen.append((x.strides, *addresses, x.flags.writeable))
        add(x, w, y)

    transposed = Layout(DType.F32, (40, 33), (4, 160))
    layouts: dict[str, Any] = {"operands": (transposed, None), "operand_alignments": (4, 64)}
    assert tune_one(body, result_alignments=(16,), **layouts).ok
    assert set(seen) == {((4, 160), 4, 16, False)}


def test_constants_are_aligned_and_keep_their_order() -> None:
    seen: list[tuple[tuple[int, ...], int, bool]] = []

    class Transposing(Adder):
        def prepack(self, node: Node, candidate: str) -> list[Array]:
            (w,) = super().prepack(node, candidate)
            room = np.empty(w.size + 1, w.dtype)[1:]  # never at a multiple of 64
            packed = room.reshape(w.shape[::-1]).T
            packed[...] = w
            return [packed]

    def body(x: Array, w: Array, y: Array) -> None:
        seen.append((w.strides, w.__array_interface__["data"][0] % 64, w.flags.writeable))
        add(x, w, y)

    clock = Clock()
    (timing,) = tuner(clock).tune(jobs_of(Transposing(clock, {"a": body}), layer()))
    assert timing.ok
    assert set(seen) == {((4, 160), 0, False)}


def test_an_exception_is_a_reason_in_one_line() -> None:
    timing = tune_one(add, "unbindable")
    assert timing == Timing(0, 0, None, Verdict.FAILED, "RuntimeError: no such instruction")


def test_a_wrong_one_does_not_win() -> None:
    clock = Clock()
    times = {"wrong": [1], "right": [5 * MS]}
    bodies = {"wrong": in_the_corner, "right": add}
    timings = tuner(clock).tune(jobs_of(Adder(clock, bodies, times), layer()))
    assert [t.ok for t in timings] == [False, True]


# ── What is known is not measured again ─────────────────────────────────────────────────


def test_equal_layers_are_timed_once() -> None:
    clock = Clock()
    provider = Adder(clock, {"a": add, "b": add})
    jobs = [job for name in "uvw" for job in jobs_of(provider, layer(name=name))]
    observed: list[tuple[str, bool]] = []

    def observe(job: Job, timing: Timing, cached: bool) -> None:
        observed.append((job.candidate.name, cached))

    timings = tuner(clock, observe=observe).tune(jobs)
    assert provider.bound == provider.packed == {"a": 1, "b": 1}
    assert timings == timings[:2] * 3
    assert sorted(observed) == [("a", False), ("b", False)]


def test_equal_layers_may_lie_in_memory_in_different_ways() -> None:
    clock = Clock()
    provider = Adder(clock, {"a": add})
    (first,), (second,) = (jobs_of(provider, layer(name=name)) for name in "uv")
    pitched = Layout(DType.F32, (40, 33), (160, 4))
    timings = tuner(clock).tune([first, replace(second, results=(pitched,))])
    assert [(t.verdict, t.reason) for t in timings] == [(Verdict.OK, "")] * 2
    assert provider.bound["a"] == 2


def test_a_second_build_measures_nothing() -> None:
    clock = Clock()
    provider = Adder(clock, {"a": add, "wrong": in_the_corner, "unbindable": add})
    jobs = jobs_of(provider, layer())
    first = tuner(clock)
    timings = first.tune(jobs)
    bound = provider.bound.copy()
    cache = TimingCache.from_bytes(first.cache.to_bytes())
    assert tuner(clock, cache).tune(jobs) == timings == recall(jobs, ENVIRONMENT, cache)
    assert cache.to_bytes() == first.cache.to_bytes()
    assert provider.bound == bound


@pytest.mark.parametrize(
    ("job", "environment"),
    [
        ({"operand_alignments": (4, 64)}, {}),
        ({"results": (Layout(DType.F32, (40, 33), (160, 4)),)}, {}),
        ({}, {"workspace": 1000}),
        ({}, {"cold": True}),
        ({}, {"device": "another CPU"}),
    ],
)
def test_anything_else_is_measured_again(job: dict[str, Any], environment: dict[str, Any]) -> None:
    clock = Clock()
    provider = Adder(clock, {"a": add})
    jobs = jobs_of(provider, layer())
    cache = TimingCache()
    tuner(clock, cache).tune(jobs)
    others = [replace(each, **job) for each in jobs]
    other = replace(ENVIRONMENT, **environment)
    Tuner(HOST, other, cache, stopwatch=HostStopwatch(clock.now)).tune(others)
    assert provider.bound["a"] == len(cache) == 2


def test_a_target_that_is_not_there_needs_a_full_cache() -> None:
    clock = Clock()
    jobs = jobs_of(Adder(clock, {"a": add, "b": add, "c": add}), layer())
    cache = TimingCache()
    tuner(clock, cache).tune(jobs[:1])
    with pytest.raises(TimingCacheError) as caught:
        recall([*jobs, *jobs], ENVIRONMENT, cache)
    assert str(caught.value) == (
        "the timing cache lacks 2 of 3 timings, the first of add -> f32[40, 33] by adder b; "
        "build once with this cache on a machine that has the device"
    )


def test_an_interruption_keeps_what_was_finished() -> None:
    clock = Clock()

    def interrupted(x: Array, w: Array, y: Array) -> None:
        raise KeyboardInterrupt

    good, bad = Adder(clock, {"a": add}), Adder(clock, {"b": interrupted})
    jobs = [*jobs_of(good, layer()), *jobs_of(bad, layer(columns=20))]
    cache = TimingCache()
    with pytest.raises(KeyboardInterrupt):
        tuner(clock, cache).tune(jobs)
    assert len(cache) == 1
    assert TimingCache.from_bytes(cache.to_bytes()) == cache
    bad.bodies["b"] = add
    assert all(timing.ok for timing in tuner(clock, cache).tune(jobs))
    assert good.bound["a"] == 1


def test_progress_counts_up_and_time_runs_out() -> None:
    clock, reports = Clock(), list[tuple[int, int, float, float]]()
    provider = Adder(clock, {"a": add, "b": add}, {"a": [5 * MS], "b": [7 * MS]})
    jobs = [*jobs_of(provider, layer()), *jobs_of(provider, layer(columns=34))]

    def progress(done: int, of: int, seconds: float, left: float) -> None:
        reports.append((done, of, seconds, left))

    tuner(clock, progress=progress).tune(jobs)
    assert [report[:2] for report in reports] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    spent, left = [r[2] for r in reports], [r[3] for r in reports]
    assert spent == sorted(spent)
    assert spent[-1] == clock.nanoseconds / 1e9
    assert left[1] == pytest.approx(spent[1])  # the second half is predicted to be like the first
    assert left[-1] == 0


def test_the_time_is_the_same_whatever_the_work_is_predicted_to_be() -> None:
    clock = Clock()
    jobs = jobs_of(Adder(clock, {"a": add, "b": add}, {"a": [MS], "b": [2 * MS]}), layer())
    work = [Work(steps=1e9), Work(steps=1)]
    given = [
        replace(job, candidate=replace(job.candidate, work=each))
        for job, each in zip(jobs, work, strict=True)
    ]
    assert [t.nanoseconds for t in tuner(clock).tune(given)] == [MS, 2 * MS]
