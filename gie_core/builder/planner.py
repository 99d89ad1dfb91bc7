"""From an optimized graph to a plan for certain sizes of its inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gie_core.builder.accuracy import Accuracy, BudgetedPrices, ErrorModel, calibration_inputs
from gie_core.builder.expand import expand
from gie_core.builder.formulate import formulate
from gie_core.builder.pins import pinned
from gie_core.builder.prices import JobList, ModelPrices, SoundPrices, TimedPrices, Timings
from gie_core.builder.records import choices_of, plan_record
from gie_core.builder.report import KernelChoice, PlanRecord
from gie_core.builder.rivals import Rival, and_frugal, packing_once, worthiest
from gie_core.builder.strategy import StrategyError, solve
from gie_core.builder.tuner import Tuner
from gie_core.builder.ways import Ways, find_ways
from gie_core.builder.whole import PlanTimer, seeded_inputs
from gie_core.engine.plan import Plan
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.specialize import specialize
from gie_core.kernels.provider import NamedProvider
from gie_core.runtime.replan import packer
from gie_core.runtime.target import Target

__all__ = ["Clocks", "Planned", "plan_graph"]

RIVALS = 4
"""Best solutions of the strategy that are timed as whole plans."""
TIGHTENINGS, TIGHTER = 8, 0.7
"""How often the error budget is tightened, and how much below what would just do."""
BUDGETS = tuple(m * 10.0**-k for k in range(1, 8) for m in (1, 0.5, 0.2))
"""The error budgets at which the smallest plan is looked for, besides the limit."""
ROUNDING = 1e-6
"""An error that computing in f32 brings, so that with less nothing is stored narrower."""


@dataclass(frozen=True)
class Clocks:
    """What measures kernels, and plans as a whole."""

    kernels: Tuner
    plans: PlanTimer


@dataclass(frozen=True)
class Planned:
    """A plan, and how it came about.

    Args:
        note: what the user should know, a sentence; or "".
    """

    plan: Plan
    record: PlanRecord
    choices: tuple[KernelChoice, ...]
    note: str = ""


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
        return _modelled(ways, target, providers, workspace, sizes)
    timings = _measured(ways, target, clocks.kernels, workspace)
    if accuracy.storage or accuracy.memory:
        return _within_budget(ways, timings, accuracy, clocks, providers, target, workspace, sizes)
    prices, pack = TimedPrices(target, timings), packing_once(packer(providers))

    def plans(ways: Ways) -> list[Rival]:
        formulation = formulate(ways, prices, workspace)
        solutions = solve(formulation.problem, RIVALS)
        # What the cost model would choose knows nothing of this machine, nor of its disturbances.
        modelled = formulate(ways, SoundPrices(target, timings), workspace)
        (steady,) = solve(modelled.problem)
        if steady.options not in [solution.options for solution in solutions]:
            solutions.append(steady)
        rivals = [Rival.of(formulation, solution, pack, sizes) for solution in solutions]
        return rivals + rivals[0].on_streams()

    return _fastest(and_frugal(ways, plans), ways, prices, clocks, providers)


def _modelled(
    ways: Ways,
    target: Target,
    providers: Sequence[NamedProvider],
    workspace: int | None,
    sizes: Mapping[str, int],
) -> Planned:
    """The best plan by the cost model."""
    prices, pack = ModelPrices(target), packing_once(packer(providers))

    def plans(ways: Ways) -> list[Rival]:
        formulation = formulate(ways, prices, workspace)
        (solution,) = solve(formulation.problem)
        return [Rival.of(formulation, solution, pack, sizes)]

    rivals = and_frugal(ways, plans)
    best, note = worthiest(rivals, [rival.solution.time for rival in rivals])
    chosen = rivals[best]
    record = plan_record(chosen.plan, chosen.decisions)
    return Planned(chosen.plan, record, choices_of(chosen, ways, prices), note)


def _fastest(
    rivals: Sequence[Rival],
    ways: Ways,
    prices: TimedPrices,
    clocks: Clocks,
    providers: Sequence[NamedProvider],
) -> Planned:
    """The plan that takes the least time as a whole."""
    times = clocks.plans.times([rival.plan for rival in rivals], providers)
    best, note = worthiest(rivals, times)
    chosen = rivals[best]
    record = replace(
        plan_record(chosen.plan, chosen.decisions),
        measured=times[best],
        rivals=tuple(t for n, t in enumerate(times) if n != best),
        error=chosen.error if math.isfinite(chosen.error) else None,
    )
    return Planned(chosen.plan, record, choices_of(chosen, ways, prices), note)


def _measured(ways: Ways, target: Target, tuner: Tuner, workspace: int | None) -> Timings:
    """The timings of all ways that could be chosen."""
    wanted = JobList(target)
    formulate(ways, wanted, workspace)
    return wanted.timed(tuner)


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
    pack = packing_once(packer(providers))
    # Prices pack every candidate's constants, to weigh them: those need not stay.
    prices = BudgetedPrices(target, timings, errors, packer(providers), accuracy.memory)

    def plans(ways: Ways) -> list[Rival]:
        def at(budget: float) -> Rival:
            formulation = formulate(ways, prices, workspace, budget)
            (solution,) = solve(formulation.problem)
            rival = Rival.of(formulation, solution, pack, sizes)
            rival.error = errors.error_of(rival.plan, providers)
            return rival

        if accuracy.memory:
            return [_smallest(at, accuracy.max_error)]
        rival = _tightened(at, accuracy.max_error)
        return [rival, *rival.on_streams()]

    rivals = plans(ways) if accuracy.memory else and_frugal(ways, plans)
    planned = _fastest(rivals, ways, prices, clocks, providers)
    return replace(planned, record=replace(planned.record, budget=accuracy.max_error))


AtBudget = Callable[[float], Rival]
"""The strategy's best plan by the errors that it predicts, with its measured error."""


def _tightened(at: AtBudget, limit: float) -> Rival:
    """The first plan that keeps the limit. If the error of the whole, as measured, is larger than
    allowed, the budget of predicted errors is tightened and the strategy asked again.
    """
    budget, worst = limit, 0.0
    for _ in range(TIGHTENINGS):
        rival = at(budget)
        if rival.error <= limit:
            return rival
        worst = max(worst, rival.error)
        budget *= TIGHTER * limit / worst
    raise _unreached(limit, worst)


def _smallest(at: AtBudget, limit: float) -> Rival:
    """Of all plans that keep the limit, the one that takes the fewest bytes.

    The strategy counts the bytes of all values, but values that are never there at once share
    memory. So it is asked at one budget after the other, and what its plans really take decides.
    What a power of ten may choose from, larger ones may too: more error never costs memory.
    """
    found: list[Rival] = []
    best = predicted = math.inf
    for budget in (limit, *(each for each in BUDGETS if each < limit)):
        if predicted <= budget:
            continue  # the last answer is the best one for this budget too
        try:
            rival = at(budget)
        except StrategyError:
            if budget == limit:
                raise
            break
        best, predicted = min(best, rival.error), math.sqrt(rival.solution.error)
        if rival.error <= limit:
            found.append(rival)
        if rival.error <= ROUNDING:
            break
    if not found:
        raise _unreached(limit, best)
    return min(found, key=lambda each: (each.bytes, each.error))


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
