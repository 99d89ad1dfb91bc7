"""Kernels that must be worth it: plans do without them unless they save enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gie_core.builder.planner import Planned, plan_graph
from gie_core.ir.graph import Node
from gie_core.ir.parser import parse_graph
from gie_core.ir.types import Array
from gie_core.kernels.candidate import Support, Work
from gie_core.kernels.provider import KernelError, NamedProvider
from gie_core.kernels.reference import ReferenceProvider
from gie_core.kernels.simple import ArrayProvider
from gie_core.ops import core_ops
from gie_core.plugin import KernelProviderDeclaration
from gie_core.plugin.declarations import DeclarationError
from gie_core.runtime.target import HOST

TEXT = "graph g { input %x: f32[2] %a = neg(%x) %y = neg(%a) return %y }"


@dataclass
class Priced(ArrayProvider):
    """Negates, at a price."""

    steps: float

    def accepts(self, node: Node) -> Support:
        return Support.yes()

    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        out[0][...] = -operands[0]

    def work(self, node: Node) -> Work:
        return Work(steps=self.steps, calls=0)


REFERENCE = NamedProvider("reference", ReferenceProvider())
SLOW = NamedProvider("slow", Priced(100e6))


def planned(*providers: NamedProvider, pins: dict[str, str] | None = None) -> Planned:
    graph = parse_graph(TEXT, core_ops())
    return plan_graph(graph, {}, HOST, [*providers, REFERENCE], pins=pins)


def fast(steps: float, min_gain: float) -> NamedProvider:
    return NamedProvider("fast", Priced(steps), min_gain=min_gain)


@pytest.mark.parametrize(
    ("steps", "min_gain", "chosen"),
    [
        (99e6, 0.0, "fast"),
        (99e6, 0.05, "slow"),
        (94e6, 0.05, "fast"),
        (60e6, 0.5, "slow"),
        (40e6, 0.5, "fast"),
    ],
)
def test_kernels_are_taken_if_they_save_enough(steps: float, min_gain: float, chosen: str) -> None:
    found = planned(fast(steps, min_gain), SLOW)
    assert {choice.provider for choice in found.choices} == {chosen}
    assert {step.provider for step in found.plan.steps} == {chosen}
    assert bool(found.note) == (chosen == "slow")


def test_the_note_tells_what_was_given_up_and_the_alternatives_do_too() -> None:
    found = planned(fast(98e6, 0.05), SLOW)
    assert found.note == (
        "the plan does without kernels of fast, which would save 2.0% of its time: loading them "
        "must save 5%"
    )
    assert {a.provider for choice in found.choices for a in choice.alternatives} == {"fast"}


def test_what_nobody_else_runs_needs_no_gain() -> None:
    found = plan_graph(parse_graph(TEXT, core_ops()), {}, HOST, [fast(1e6, 0.9)])
    assert {step.provider for step in found.plan.steps} == {"fast"}
    with pytest.raises(KernelError):
        plan_graph(parse_graph(TEXT, core_ops()), {}, HOST, [])


def test_what_is_pinned_needs_no_gain() -> None:
    found = planned(fast(99e6, 0.9), SLOW, pins={"a": "fast", "y": "slow"})
    assert [step.provider for step in found.plan.steps] == ["fast", "slow"]


@pytest.mark.parametrize("wrong", [-0.1, 1.0, float("nan")])
def test_a_gain_is_a_part_of_the_whole(wrong: float) -> None:
    declared = KernelProviderDeclaration(name="fast", factory="a:b")
    declared.check()
    with pytest.raises(DeclarationError, match="min_gain of kernel provider 'fast' must be at"):
        replace(declared, min_gain=wrong).check()
