"""Plans that compete to be the one that runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gie_core.builder.decide import decisions_of
from gie_core.builder.formulate import Formulation
from gie_core.builder.strategy import Solution, StrategyError
from gie_core.builder.ways import Kernel, Ways
from gie_core.engine.assemble import Decisions, assemble
from gie_core.engine.plan import Plan
from gie_core.engine.schedule import makespan
from gie_core.ir.graph import Node
from gie_core.kernels.provider import NamedProvider
from gie_core.runtime.replan import packer

__all__ = ["Rival", "and_frugal", "step_times", "worthiest"]

STREAMS = 2
"""Streams that a plan is tried on, too."""
GAIN = 0.95
"""Part of the serial time that a plan on several streams must promise to stay below."""


@dataclass(frozen=True)
class Rival:
    """A plan that may win, and what it carries out.

    Args:
        decisions: what the plan carries out.
        solution: the strategy's, of ``formulation``.
        keys: of the options that run the nodes.
        error: of the outputs against the reference; infinite if not measured.
    """

    plan: Plan
    decisions: Decisions
    formulation: Formulation
    solution: Solution
    keys: Mapping[Node, str]
    error: float = math.inf

    @property
    def bytes(self) -> int:
        """What values and weights take."""
        return self.plan.arena + self.plan.weight_bytes

    @property
    def predicted(self) -> int:
        """Nanoseconds, as the schedule says."""
        return _makespan(self.plan, self.decisions)

    @property
    def demanding(self) -> frozenset[str]:
        """Providers of its kernels that must be worth it."""
        return frozenset(owner.name for owner in self._owners if owner.min_gain)

    @property
    def min_gain(self) -> float:
        """What its kernels must save."""
        return max((owner.min_gain for owner in self._owners), default=0.0)

    @property
    def _owners(self) -> list[NamedProvider]:
        meanings = (self.formulation.meaning[key] for key in self.keys.values())
        return [meaning.owner for meaning in meanings if isinstance(meaning, Kernel)]

    @staticmethod
    def of(
        formulation: Formulation,
        solution: Solution,
        providers: Sequence[NamedProvider],
        sizes: Mapping[str, int],
    ) -> Rival:
        """The plan of a solution, for some sizes of the inputs."""
        decisions, keys = decisions_of(formulation, solution)
        plan = assemble(decisions, packer(providers))
        plan.sizes.update(sizes)
        return Rival(plan, decisions, formulation, solution, keys)

    def on_streams(self, providers: Sequence[NamedProvider]) -> list[Rival]:
        """The same decisions on several streams, if that promises enough."""
        if len(self.decisions.chosen) < 2:
            return []  # nothing runs beside anything
        decisions = replace(self.decisions, streams=STREAMS)
        plan = assemble(decisions, packer(providers))
        plan.sizes.update(self.plan.sizes)
        if _makespan(plan, decisions) > GAIN * self.predicted:
            return []
        return [replace(self, plan=plan, decisions=decisions)]


def and_frugal(ways: Ways, plans: Callable[[Ways], list[Rival]]) -> list[Rival]:
    """Plans, and if they have kernels that must be worth it, some without such kernels too."""
    rivals = plans(ways)
    frugal = ways.frugal() if any(rival.min_gain for rival in rivals) else None
    if frugal is None:
        return rivals
    try:
        return rivals + plans(frugal)
    except StrategyError:
        return rivals


def worthiest(rivals: Sequence[Rival], times: Sequence[int]) -> tuple[int, str]:
    """The fastest plan whose kernels save as much as they must.

    Args:
        times: nanoseconds of each.

    Returns:
        Its index, and a sentence on the kernels that it does without, or "".
    """
    worth = [time / (1 - rival.min_gain) for rival, time in zip(rivals, times, strict=True)]
    fastest, best = (min(range(len(rivals)), key=key.__getitem__) for key in (times, worth))
    spared = sorted(rivals[fastest].demanding - rivals[best].demanding)
    if not spared:
        return best, ""
    gain = 1 - times[fastest] / max(times[best], 1)
    return best, (
        f"the plan does without kernels of {', '.join(spared)}, which would save {gain:.1%} of "
        f"its time: loading them must save {rivals[fastest].min_gain:.0%}"
    )


def _makespan(plan: Plan, decisions: Decisions) -> int:
    return makespan(plan.steps, step_times(plan, decisions))


def step_times(plan: Plan, decisions: Decisions) -> list[int]:
    """What each step of a plan is expected to take."""
    return [decisions.nanoseconds.get(s.node, 1) if s.provider else 1 for s in plan.steps]
