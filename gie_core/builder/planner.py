"""From an optimized graph to a plan for certain sizes of its inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gie_core.builder.accuracy import Accuracy, BudgetedPrices, ErrorModel, calibration_inputs
from gie_core.builder.decide import decisions_of
from gie_core.builder.expand import Piece, expand
from gie_core.builder.formulate import Formulation, formulate, key_of
from gie_core.builder.pins import pinned
from gie_core.builder.prices import JobList, ModelPrices, SoundPrices, TimedPrices, Timings
from gie_core.builder.report import (
    Alternative,
    KernelChoice,
    PlanRecord,
    StepRecord,
    StorageRecord,
)
from gie_core.builder.strategy import Solution, StrategyError, solve
from gie_core.builder.tuner import Tuner
from gie_core.builder.ways import Kernel, View, Ways, find_ways
from gie_core.builder.whole import PlanTimer, seeded_inputs
from gie_core.engine.assemble import Decisions, assemble
from gie_core.engine.plan import Kind, Plan, Region
from gie_core.engine.schedule import makespan, timeline
from gie_core.engine.storage import lower_bound, memory_map
from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Node
from gie_core.ir.specialize import specialize
from gie_core.kernels.provider import NamedProvider
from gie_core.ops.group import Group
from gie_core.runtime.replan import packer
from gie_core.runtime.target import Target

__all__ = ["Clocks", "Planned", "plan_graph"]

RIVALS = 4
"""Best solutions of the strategy that are timed as whole plans."""
STREAMS = 2
"""Streams that the best solution is tried on, too."""
TIGHTENINGS, TIGHTER = 8, 0.7
"""How often the error budget is tightened, and how much below what would just do."""
BUDGETS = tuple(m * 10.0**-k for k in range(1, 8) for m in (1, 0.5, 0.2))
"""The error budgets at which the smallest plan is looked for, besides the limit."""
ROUNDING = 1e-6
"""An error that computing in f32 brings, so that with less nothing is stored narrower."""
GAIN = 0.95
"""Part of the serial time that a plan on several streams must promise to stay below."""


@dataclass(frozen=True)
class Clocks:
    """What measures kernels, and plans as a whole."""

    kernels: Tuner
    plans: PlanTimer


@dataclass(frozen=True)
class Planned:
    """A plan, and how it came about."""

    plan: Plan
    record: PlanRecord
    choices: tuple[KernelChoice, ...]


def plan_graph(
    graph: Graph,
    sizes: Mapping[str, int],
    target: Target,
    providers: Sequence[NamedProvider],
    *,
    workspace: int | None = None,
    clocks: Clocks | None = None,
    pins: Mapping[str, str] | None = None,
    accuracy: Accuracy | None = None,
) -> Planned:
    """Plan a graph for inputs of some sizes.

    Args:
        graph: optimized; stays as it is.
        sizes: an extent for each symbol in the inputs' shapes.
        target: what to run on.
        providers: the reference last.
        workspace: bytes that a kernel may need.
        clocks: time the candidates, and the best plans as a whole; without, the cost model
            decides.
        pins: by node, as ``--pin``: see ``pinned``.
        accuracy: what reduced precision is allowed; needs ``clocks``, which check kernels.

    Raises:
        KernelError: nobody runs some node.
        StrategyError: no choice of kernels keeps the limits.
    """
    accuracy = accuracy or Accuracy()
    expanded = expand(specialize(graph, sizes))
    ways = pinned(find_ways(expanded, target, providers, accuracy.storage), pins or {})
    if clocks is None:
        formulation = formulate(ways, ModelPrices(target), workspace)
        (solution,) = solve(formulation.problem)
        rival = _Rival.of(formulation, solution, providers, sizes)
        record = _record(rival.plan, rival.decisions)
        return Planned(rival.plan, record, _choices(formulation, rival, ModelPrices(target)))
    timings = _measured(ways, target, clocks.kernels, workspace)
    if accuracy.storage or accuracy.memory:
        return _within_budget(ways, timings, accuracy, clocks, providers, target, workspace, sizes)
    prices = TimedPrices(target, timings)
    formulation = formulate(ways, prices, workspace)
    solutions = solve(formulation.problem, RIVALS)
    # What the cost model would choose knows nothing of this machine, nor of its disturbances.
    modelled = formulate(ways, SoundPrices(target, timings), workspace)
    (steady,) = solve(modelled.problem)
    if steady.options not in [solution.options for solution in solutions]:
        solutions.append(steady)
    rivals = [_Rival.of(formulation, solution, providers, sizes) for solution in solutions]
    rivals += rivals[0].on_streams(providers)
    return _fastest(formulation, rivals, prices, clocks, providers)


def _fastest(
    formulation: Formulation,
    rivals: Sequence[_Rival],
    prices: TimedPrices,
    clocks: Clocks,
    providers: Sequence[NamedProvider],
) -> Planned:
    """The plan that takes the least time as a whole."""
    times = clocks.plans.times([rival.plan for rival in rivals], providers)
    best = min(range(len(rivals)), key=lambda n: times[n])
    record = replace(
        _record(rivals[best].plan, rivals[best].decisions),
        measured=times[best],
        rivals=tuple(t for n, t in enumerate(times) if n != best),
    )
    return Planned(rivals[best].plan, record, _choices(formulation, rivals[best], prices))


def _within_budget(
    ways: Ways,
    timings: Timings,
    accuracy: Accuracy,
    clocks: Clocks,
    providers: Sequence[NamedProvider],
    target: Target,
    workspace: int | None,
    sizes: Mapping[str, int],
) -> Planned:
    """The best plan whose measured error is within the budget."""
    inputs = _calibration(ways.expanded.graph, accuracy)
    errors = ErrorModel(ways.expanded, inputs, providers, target)
    prices = BudgetedPrices(target, timings, errors, providers, accuracy.memory)

    def at(budget: float) -> tuple[Formulation, _Rival]:
        formulation = formulate(ways, prices, workspace, budget)
        (solution,) = solve(formulation.problem)
        rival = _Rival.of(formulation, solution, providers, sizes)
        return formulation, replace(rival, error=errors.error_of(rival.plan, providers))

    if accuracy.memory:
        formulation, rival = _smallest(at, accuracy.max_error)
        rivals = [rival]
    else:
        formulation, rival = _tightened(at, accuracy.max_error)
        rivals = [rival, *rival.on_streams(providers)]
    planned = _fastest(formulation, rivals, prices, clocks, providers)
    record = replace(planned.record, error=rival.error, budget=accuracy.max_error)
    return replace(planned, record=record)


AtBudget = Callable[[float], tuple[Formulation, "_Rival"]]
"""The strategy's best plan by the errors that it predicts, with its measured error."""


def _tightened(at: AtBudget, limit: float) -> tuple[Formulation, _Rival]:
    """The first plan that keeps the limit. If the error of the whole, as measured, is larger than
    allowed, the budget of predicted errors is tightened and the strategy asked again.
    """
    budget, worst = limit, 0.0
    for _ in range(TIGHTENINGS):
        formulation, rival = at(budget)
        if rival.error <= limit:
            return formulation, rival
        worst = max(worst, rival.error)
        budget *= TIGHTER * limit / worst
    raise _unreached(limit, worst)


def _smallest(at: AtBudget, limit: float) -> tuple[Formulation, _Rival]:
    """Of all plans that keep the limit, the one that takes the fewest bytes.

    The strategy counts the bytes of all values, but values that are never there at once share
    memory. So it is asked at one budget after the other, and what its plans really take decides.
    What a power of ten may choose from, larger ones may too: more error never costs memory.
    """
    found: list[tuple[Formulation, _Rival]] = []
    best = predicted = math.inf
    for budget in (limit, *(each for each in BUDGETS if each < limit)):
        if predicted <= budget:
            continue  # the last answer is the best one for this budget too
        try:
            formulation, rival = at(budget)
        except StrategyError:
            if budget == limit:
                raise
            break
        best, predicted = min(best, rival.error), math.sqrt(rival.solution.error)
        if rival.error <= limit:
            found.append((formulation, rival))
        if rival.error <= ROUNDING:
            break
    if not found:
        raise _unreached(limit, best)
    return min(found, key=lambda each: (each[1].bytes, each[1].error))


def _unreached(limit: float, found: float) -> StrategyError:
    return StrategyError(
        f"no choice of kernels keeps the error within {limit:g}; the best one found has "
        f"{found:.2g}: allow more, or fewer precisions"
    )


def _calibration(graph: Graph, accuracy: Accuracy) -> list[Any]:
    if accuracy.calibration is not None:
        return calibration_inputs(graph, accuracy.calibration)
    inputs = seeded_inputs(graph)
    if inputs is None:
        raise GieError("reduced precision needs calibration data: some input is no tensor")
    return inputs


@dataclass(frozen=True)
class _Rival:
    """A plan that may win, what it carries out, and its error if that was measured."""

    plan: Plan
    decisions: Decisions
    solution: Solution
    keys: Mapping[Node, str]
    error: float = math.inf

    @property
    def bytes(self) -> int:
        """What values and weights take."""
        return self.plan.arena + _weights(self.plan)

    @staticmethod
    def of(
        formulation: Formulation,
        solution: Solution,
        providers: Sequence[NamedProvider],
        sizes: Mapping[str, int],
    ) -> _Rival:
        decisions, keys = decisions_of(formulation, solution)
        plan = assemble(decisions, packer(providers))
        plan.sizes.update(sizes)
        return _Rival(plan, decisions, solution, keys)

    def on_streams(self, providers: Sequence[NamedProvider]) -> list[_Rival]:
        """The same decisions on several streams, if that promises enough."""
        if len(self.decisions.chosen) < 2:
            return []  # nothing runs beside anything
        decisions = replace(self.decisions, streams=STREAMS)
        plan = assemble(decisions, packer(providers))
        plan.sizes.update(self.plan.sizes)
        if _makespan(plan, decisions) > GAIN * _makespan(self.plan, self.decisions):
            return []
        return [replace(self, plan=plan, decisions=decisions)]


def _makespan(plan: Plan, decisions: Decisions) -> int:
    return makespan(plan.steps, _times(plan, decisions))


def _times(plan: Plan, decisions: Decisions) -> list[int]:
    """What each step of a plan is expected to take."""
    return [decisions.nanoseconds.get(s.node, 1) if s.provider else 1 for s in plan.steps]


def _measured(ways: Ways, target: Target, tuner: Tuner, workspace: int | None) -> Timings:
    """The timings of all ways that could be chosen."""
    wanted = JobList(target)
    formulate(ways, wanted, workspace)
    return wanted.timed(tuner)


def _record(plan: Plan, decisions: Decisions) -> PlanRecord:
    spans = timeline(plan.steps, _times(plan, decisions))
    steps = tuple(
        StepRecord(
            node=step.node.results[0].name if step.node.results else step.node.op.name,
            what=f"{step.provider} {step.candidate}".strip(),
            stream=step.stream,
            start=start,
            end=end,
        )
        for step, (start, end) in zip(plan.steps, spans, strict=True)
    )
    kept = {place.storage for place in plan.outputs if isinstance(place, Region)}
    return PlanRecord(
        sizes=dict(plan.sizes),
        predicted=max((end for _, end in spans), default=0),
        measured=None,
        rivals=(),
        arena=plan.arena,
        lower_bound=lower_bound(plan.storages, plan.steps, kept),
        weights=plan.weight_bytes,
        copies=sum(not step.provider for step in plan.steps),
        steps=steps,
        storages=tuple(_storages(plan, kept)),
    )


def _weights(plan: Plan) -> int:
    return sum({id(w): w.nbytes for w in plan.weights}.values())


def _storages(plan: Plan, kept: set[int]) -> list[StorageRecord]:
    residents: dict[int, dict[str, None]] = {}
    for place, value in zip(plan.inputs, plan.graph.inputs, strict=True):
        if isinstance(place, Region):
            residents.setdefault(place.storage, {})[value.name] = None
    for step in plan.steps:
        for place, value in zip(step.results, step.node.results, strict=False):
            if isinstance(place, Region):
                residents.setdefault(place.storage, {})[value.name] = None
    return [
        StorageRecord(
            kind=plan.storages[each.storage].kind.value,
            offset=each.offset,
            size=each.size,
            first=each.first,
            last=each.last,
            values=tuple(residents.get(each.storage, ())),
        )
        for each in memory_map(plan.storages, plan.steps, kept)
        if plan.storages[each.storage].kind is not Kind.CONSTANT
    ]


# ── What was chosen, and what was not ───────────────────────────────────────────────────


def _choices(
    formulation: Formulation, rival: _Rival, prices: ModelPrices
) -> tuple[KernelChoice, ...]:
    ways = formulation.ways
    rivals: dict[int, list[Alternative]] = {}
    taken = {key.partition(" slice ")[0] for key in rival.solution.options}
    singles = [p for p in ways.expanded.pieces if len(p.covers) == 1 and p.results]
    names = {piece.covers[0]: piece.results[0].name for piece in singles}
    for way in ways.kernels:
        if key_of(way) not in taken:
            found = _alternative(way, prices, names)
            for number in way.piece.covers:
                rivals.setdefault(number, []).append(found)
    pieces = {piece.covers: piece for piece in ways.expanded.pieces}
    return tuple(
        _choice(node, rival.keys[node], formulation, rivals, pieces)
        for node in rival.decisions.graph.nodes
        if node in rival.keys  # all but one that only stands for copies of states
    )


def _choice(
    node: Node,
    key: str,
    formulation: Formulation,
    rivals: Mapping[int, Sequence[Alternative]],
    pieces: Mapping[tuple[int, ...], Piece],
) -> KernelChoice:
    meaning = formulation.meaning[key]
    provider, candidate, formats, covers = "join", "", "", tuple[int, ...]()
    if isinstance(meaning, Kernel):
        provider, candidate = meaning.owner.name, meaning.candidate.name
        formats, covers = formats_of(meaning), meaning.piece.covers
    elif isinstance(meaning, View):
        provider, covers = "view", meaning.piece.covers
    elif isinstance(meaning, Piece):
        provider, covers = formulation.ways.functions[meaning], meaning.covers
    piece = pieces.get(covers)
    others = dict.fromkeys(each for number in covers for each in rivals.get(number, ()))
    return KernelChoice(
        node=node.results[0].name if node.results else node.op.name,
        op=f"group:{node.op.kind}" if isinstance(node.op, Group) else node.op.name,
        provider=provider,
        sources=node.sources,
        rejections=() if piece is None else formulation.ways.rejections.get(piece, ()),
        candidate=candidate,
        formats=formats,
        nanoseconds=formulation.times[key],
        alternatives=tuple(sorted(others, key=_speed)),
    )


def _speed(each: Alternative) -> tuple[bool, int, str, str]:
    """The fastest first, and those that had to go last."""
    time = each.predicted if each.measured is None else each.measured
    return bool(each.reason), time, each.provider, each.candidate


def formats_of(way: Kernel) -> str:
    """How a kernel reads and writes: "f32 NHWC, f32 → f32 NHWC"."""
    operands = ", ".join(str(f) for f in way.candidate.operands if f is not None)
    return f"{operands} → {', '.join(map(str, way.candidate.results))}"


def _alternative(way: Kernel, prices: ModelPrices, names: Mapping[int, str]) -> Alternative:
    predicted = ModelPrices.kernel(prices, way, way.operands, way.results) or 0
    measured, error, verdict, reason = None, None, "slower", ""
    if isinstance(prices, TimedPrices):
        timing = prices.timing(way)
        error = timing.error
        if timing.ok:
            measured = timing.nanoseconds
        else:
            verdict, reason = timing.verdict.value, timing.reason
    return Alternative(
        provider=way.owner.name,
        candidate=way.candidate.name,
        formats=formats_of(way),
        covers=tuple(names[number] for number in way.piece.covers if number in names),
        predicted=predicted,
        measured=measured,
        error=error,
        verdict=verdict,
        reason=reason,
    )
