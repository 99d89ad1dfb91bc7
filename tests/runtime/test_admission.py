"""Plans that would hand kernels other memory than these have asked for.

The plan by hand: %x in storage 0, its product with the packed %k in storage 1, scratch memory in
storage 2, all of them in one arena; a second step adds %x to the product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gie_core
from gie_core.engine.container import EngineFileError, read_container, write_container
from gie_core.engine.plan import Kind, Plan, Region, Step, Storage
from gie_core.ir.graph import Node
from gie_core.ir.parser import parse_graph
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.format import Format, Layout, Strides
from gie_core.kernels.provider import Launch, Memory, NamedProvider
from gie_core.ops import core_ops
from gie_core.runtime.admission import AdmissionError, admit
from gie_core.runtime.target import HOST, Target

DENSE = Format(DType.F32, (0, 1))
TURNED = Format(DType.F32, (1, 0), Strides.PITCHED, alignment=16)
TEXT = """graph g {
  input %x: f32[4, 4]
  const %k: f32[4] = [1.0, 2.0, 3.0, 4.0]
  %p = mul(%x, %k)
  %y = add(%p, %x)
  return %y
}"""


class Toy:
    """Products and sums; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def supports(self, node: Node, target: Target) -> Support:
        return Support(node.op.name in ("mul", "add"), "only products and sums")

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        self.asked += 1
        if node.op.name == "add":
            return [Candidate("sum", (DENSE, DENSE), (DENSE,), in_place=((0, 0),))]
        return [
            Candidate("packed", (DENSE, None), (DENSE,), workspace=64),
            Candidate("turned", (TURNED, None), (TURNED,)),
        ]

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        return []

    def bind(self, node: Node, candidate: str, memory: Memory) -> Sequence[Launch]:
        return []


def region(storage: int, offset: int = 0, strides: tuple[int, ...] = (16, 4)) -> Region:
    return Region(storage, offset, Layout(DType.F32, (4, 4), strides))


def scratch(size: int, storage: int = 2) -> Region:
    return Region(storage, 0, Layout(DType.U8, (size,), (1,)))


def good() -> Plan:
    graph = parse_graph(TEXT, core_ops())
    product, total = graph.nodes
    steps = (
        Step(product, "toy", "packed", (region(0), None), (region(1),), (0,), scratch(64)),
        Step(total, "toy", "sum", (region(1), region(0)), (region(1),)),
    )
    storages = (
        Storage(Kind.INPUT, 64, 0),
        Storage(Kind.OUTPUT, 128, 64),
        Storage(Kind.ARENA, 128, 192),
    )
    weights = (np.arange(4, dtype=np.float32),)
    return Plan(graph, steps, storages, 320, (region(0),), (region(1),), weights)


def changed(step: int, **changes: Any) -> Plan:
    plan = good()
    steps = list(plan.steps)
    steps[step] = replace(steps[step], **changes)
    return replace(plan, steps=tuple(steps))


def check(plan: Plan, toy: Toy | None = None) -> None:
    admit([plan], [NamedProvider("toy", toy or Toy())], HOST)


GOOD = {
    "as planned": good(),
    "more scratch memory": changed(0, workspace=scratch(100)),
    "in the other order": changed(
        0,
        candidate="turned",
        operands=(region(0, 0, (4, 16)), None),
        results=(region(1, 0, (4, 32)),),
        workspace=None,
    ),
    "apart": changed(1, results=(region(2),)),
}

WRONG: dict[str, tuple[Plan, str]] = {
    "provider": (changed(0, provider="other"), "there is no kernel provider 'other'"),
    "candidate": (changed(0, candidate="sum"), "'toy' has no candidate 'sum' for it"),
    "no operand": (changed(1, operands=(region(1), None)), "operand 1: it lies nowhere"),
    "an operand too many": (
        changed(0, operands=(region(0), region(1))),
        "operand 1: its candidate expects nothing there",
    ),
    "strides": (
        changed(0, operands=(region(0, 0, (4, 16)), None)),
        r"operand 0: f32\[4, 4\] strides \[4, 16\] at byte 0 is not f32, as it must be",
    ),
    "gaps": (changed(0, results=(region(1, 0, (32, 4)),)), "result 0: .* is not f32"),
    "alignment": (
        changed(
            0,
            candidate="turned",
            operands=(region(0, 0, (4, 16)), None),
            results=(region(1, 4, (4, 16)),),
        ),
        "at byte 4 is not f32 1,0 pitched align 16",
    ),
    "scratch": (changed(0, workspace=scratch(60)), "60 bytes of workspace are less than 64"),
    "no scratch": (changed(0, workspace=None), "0 bytes of workspace are less than 64"),
    "result on operand": (changed(0, results=(region(0),)), "shares memory with"),
    "partly": (changed(1, results=(region(1, 16),)), "shares memory with"),
    "the other operand": (changed(1, results=(region(0),)), "shares memory with"),
    "scratch on operand": (changed(0, workspace=scratch(64, 0)), "shares memory with"),
    "scratch on result": (changed(0, workspace=scratch(64, 1)), "shares memory with"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_kernels_have_asked_for(name: str) -> None:
    check(GOOD[name])


@pytest.mark.parametrize("name", WRONG)
def test_what_they_have_not(name: str) -> None:
    plan, message = WRONG[name]
    with pytest.raises(AdmissionError, match=f"plan 0, step . .*{message}"):
        check(plan)


def test_other_storages_in_the_same_bytes() -> None:
    plan = good()
    plan = replace(plan, storages=(*plan.storages[:2], replace(plan.storages[2], offset=64)))
    with pytest.raises(AdmissionError, match=r"u8\[64\] strides \[1\] shares memory with f32"):
        check(plan)


def test_slices_between_each_other_share_nothing() -> None:
    """Columns of one storage: their bytes alternate."""
    left, right = region(1, 0, (32, 4)), region(1, 16, (32, 4))
    pitched = Format(DType.F32, (0, 1), Strides.PITCHED)

    class Slices(Toy):
        def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
            return [Candidate("sum", (pitched, DENSE), (pitched,))]

    plan = changed(1, operands=(left, region(0)), results=(right,))
    check(replace(plan, steps=plan.steps[1:]), Slices())
    plan = changed(1, operands=(left, region(0)), results=(region(1, 12, (32, 4)),))
    with pytest.raises(AdmissionError, match="shares memory"):
        check(replace(plan, steps=plan.steps[1:]), Slices())


ALIKE = """graph g {
  input %x: f32[4, 4]
  const %k: f32[4] = [1.0, 2.0, 3.0, 4.0]
  const %l: f32[4] = [5.0, 6.0, 7.0, 8.0]
  %p = mul(%x, %k)
  %q = mul(%p, %l)
  %r = mul(%q, %x)
  return %r
}"""


def test_nodes_that_differ_in_names_and_weights_are_asked_for_once() -> None:
    toy, plan = Toy(), good()
    [step, _] = plan.steps
    nodes = parse_graph(ALIKE, core_ops()).nodes
    check(replace(plan, steps=tuple(replace(step, node=node) for node in nodes)), toy)
    assert toy.asked == 2


def test_files_are_checked_when_they_are_loaded(tmp_path: Path) -> None:
    """With all checksums right, so that nothing else can tell."""
    path = tmp_path / "a.gie"
    gie_core.build(parse_graph(TEXT, core_ops())).save(path)
    container = read_container(path)
    [plan] = container.body["plans"]
    step = next(each for each in plan["steps"] if each["provider"])
    step["candidate"] = "magic"
    write_container(path, container.body, container.sections)
    with pytest.raises(EngineFileError, match=r"a\.gie is damaged: .* no candidate 'magic'"):
        gie_core.load(path)
