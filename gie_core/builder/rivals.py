"""Plans that compete to be the one that runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from gie_core.builder.decide import decisions_of
from gie_core.builder.formulate import Formulation
from gie_core.builder.strategy import Solution, StrategyError
from gie_core.builder.ways import Kernel, Ways
from gie_core.engine.assemble import Decisions, Pack, assemble
from gie_core.engine.plan import Plan
from gie_core.engine.schedule import makespan
from gie_core.ir.graph import Node
from gie_core.ir.types import Array
from gie_core.kernels.provider import NamedProvider

__all__ = ["Rival", "and_frugal", "packing_once", "step_times", "worthiest"]

STREAMS = 2
"""Streams that a plan is tried on, too."""
GAIN = 0.95
"""Part of the serial time that a plan on several streams must promise to stay below."""


@dataclass(eq=False)
class Rival:
    """A plan that may win, and what it carries out.

    Args:
        decisions: what the plan carries out.
        formulation: what the solution is one of.
        solution: the strategy's.
        keys: of the options that run the nodes.
        pack: packs constants.
        sizes: of the inputs.
        error: of the outputs against the reference; infinite if not measured.
    """

    decisions: Decisions
    formulation: Formulation
    solution: Solution
    keys: Mapping[Node, str]
    pack: Pack
    sizes: Mapping[str, int]
    error: float = math.inf

    @staticmethod
    def of(
        formulation: Formulation, solution: Solution, pack: Pack, sizes: Mapping[str, int]
    ) -> Rival:
        """What a solution decides, for some sizes of the inputs."""
        decisions, keys = decisions_of(formulation, solution)
        return Rival(decisions, formulation, solution, keys, pack, sizes)

    @cached_property
    def plan(self) -> Plan:
        """Made when somebody asks for it: packing constants takes longer than choosing kernels."""
        plan = assemble(self.decisions, self.pack)
        plan.sizes.update(self.sizes)
        return plan

    @property
    def bytes(self) -> int:
        """What values and weights take."""
        return self.plan.arena + self.plan.weight_bytes

    @property
    def predicted(self) -> int:
        """Nanoseconds, as the schedule says."""
        return makespan(self.plan.steps, step_times(self.plan, self.decisions))

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

    def on_streams(self) -> list[Rival]:
        """The same decisions on several streams, if that promises enough."""
        if len(self.decisions.chosen) < 2:
            return []  # nothing runs beside anything
        found = replace(self, decisions=replace(self.decisions, streams=STREAMS))
        return [found] if found.predicted <= GAIN * self.predicted else []


def packing_once(pack: Pack) -> Pack:
    """Packs a node's constants once for all plans, which then share the arrays.

    Their graphs are different ones, but are made of the same ops and constants.
    """
    known: dict[Hashable, tuple[Node, Sequence[Array]]] = {}

    def remembering(node: Node, provider: str, candidate: str) -> Sequence[Array]:
        operands = tuple(v and (v.type, v.data is not None and id(v.data)) for v in node.operands)
        results = tuple(v.type for v in node.results)
        key = provider, candidate, id(node.op), operands, results
        if key not in known:  # the node keeps alive whose identity is in the key
            known[key] = node, pack(node, provider, candidate)
        return known[key][1]

    return remembering


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


def step_times(plan: Plan, decisions: Decisions) -> list[int]:
    """What each step of a plan is expected to take."""
    return [decisions.nanoseconds.get(s.node, 1) if s.provider else 1 for s in plan.steps]
