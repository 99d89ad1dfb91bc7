"""Plans that would use memory that is not theirs.

The plan by hand: %x in storage 0, copied to storage 2, its product with %k in storage 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from gie_core.engine import file
from gie_core.engine.file import EngineFileError, Package, load_package, save_package
from gie_core.engine.plan import Kind, Plan, Region, Slot, Step, Storage
from gie_core.engine.plan_check import check_plan
from gie_core.ir.parser import parse_graph
from gie_core.ir.types import DType
from gie_core.kernels.format import Layout
from gie_core.ops import core_ops

OPS = core_ops()
SQUARE = """graph g {
  input %x: f32[4]
  const %k: f32[4] = [1, 2, 3, 4]
  const %s: str[1] = ["a"]
  %y = mul(%x, %k)
  return %y
}"""
F32x4 = Layout(DType.F32, (4,), (4,))
BIG = 2**40


def region(storage: int, offset: int = 0, layout: Layout = F32x4) -> Region:
    return Region(storage, offset, layout)


def layout(shape: tuple[int, ...], strides: tuple[int, ...], dtype: DType = DType.F32) -> Layout:
    return Layout(dtype, shape, strides)


def plan() -> Plan:
    graph = parse_graph(SQUARE, OPS)
    [node] = graph.nodes
    steps = (
        Step(node, "", "copy", (region(0),), (region(2, 16),)),
        Step(
            *(node, "cpu", "fast", (region(2, 16), region(3)), (region(1),)),
            constants=(0,),
            workspace=region(2, 0, layout((16,), (1,), DType.U8)),
            stream=1,
            after=(0,),
        ),
    )
    storages = (
        Storage(Kind.INPUT, 16, 0),
        Storage(Kind.OUTPUT, 16, 64),
        Storage(Kind.ARENA, 64, 128),
        Storage(Kind.CONSTANT, 16, 0),
    )
    weights = (np.arange(4, dtype=np.float32),)
    return Plan(
        *(graph, steps, storages, 192, (region(0),), (region(1),), weights),
        slots=2,
        fixed=((1, 1),),
    )


def with_step(index: int, **changes: Any) -> Plan:
    good = plan()
    steps = list(good.steps)
    steps[index] = replace(steps[index], **changes)
    return replace(good, steps=tuple(steps))


def with_storage(index: int, *storage: Any) -> Plan:
    good = plan()
    storages = list(good.storages)
    storages[index] = Storage(*storage)
    return replace(good, storages=tuple(storages))


def with_operand(place: Any) -> Plan:
    return with_step(1, operands=(place, None))


def with_result(place: Any) -> Plan:
    return with_step(1, results=(place,))


WRONG: dict[str, tuple[Callable[[], Plan], str]] = {
    "no storage": (lambda: with_operand(region(4)), "step 1, operand 0: there is no storage 4"),
    "too far": (lambda: with_operand(region(2, 52)), "operand 0: it takes the bytes 52 to 68"),
    "too wide": (lambda: with_operand(region(0, 0, layout((4,), (8,)))), "the bytes 0 to 28"),
    "below": (lambda: with_operand(region(2, 8, layout((4,), (-4,)))), "the bytes -4 to 12"),
    "misaligned": (lambda: with_operand(region(2, 2)), "is not aligned to 4 bytes"),
    "odd stride": (lambda: with_operand(region(2, 0, layout((4,), (6,)))), "not aligned to 4"),
    "strings": (lambda: with_operand(region(2, 0, layout((4,), (8,), DType.STR))), "strings"),
    "other shape": (lambda: with_operand(region(2, 0, layout((2,), (4,)))), "%x is f32[4], its"),
    "no layout": (lambda: with_operand(region(2, 0, layout((4,), ()))), "is no layout"),
    "slot for a kernel": (lambda: with_operand(Slot(0)), "a kernel does not read from slots"),
    "absent operand": (lambda: with_step(1, operands=(region(0),)), "not as many operands"),
    "no result": (lambda: with_step(1, results=()), "not as many operands and results"),
    "into constants": (lambda: with_result(region(3)), "written into the constant memory"),
    "into inputs": (lambda: with_result(region(0)), "written into the input memory"),
    "a kernel to a slot": (lambda: with_result(Slot(0)), "kernels write regions"),
    "a function to a region": (lambda: with_step(1, candidate=""), "functions write slots"),
    "no slot": (lambda: with_step(0, operands=(Slot(2),)), "there is no slot 2 (there are 2)"),
    "a copy of nothing": (lambda: with_step(0, operands=(None,)), "a copy reads something"),
    "a copy to a slot": (lambda: with_step(0, results=(Slot(0),)), "writes a region"),
    "a copy of two": (lambda: with_step(0, operands=(Slot(0), Slot(1))), "one operand"),
    "a copy that broadcasts": (
        lambda: with_step(0, operands=(region(0, 0, layout((1,), (4,))),)),
        "cannot be copied",
    ),
    "no constant": (lambda: with_step(1, constants=(2,)), "step 1: there is no weight 2"),
    "workspace outside": (
        lambda: with_step(1, workspace=region(2, 60, layout((16,), (1,), DType.U8))),
        "step 1, workspace: it takes the bytes 60 to 76",
    ),
    "workspace of floats": (lambda: with_step(1, workspace=region(2)), "is not plain bytes"),
    "stream": (lambda: with_step(1, stream=1000), "its stream 1000 is not between"),
    "waits for itself": (lambda: with_step(1, after=(1,)), "waits for step 1, which does not"),
    "beyond the arena": (lambda: with_storage(2, Kind.ARENA, 128, 128), "ends beyond the arena"),
    "odd offset": (lambda: with_storage(2, Kind.ARENA, 64, 96), "is not valid"),
    "negative offset": (lambda: with_storage(2, Kind.ARENA, 64, -64), "is not valid"),
    "larger than its data": (lambda: with_storage(3, Kind.CONSTANT, 20, 0), "not take 20 bytes"),
    "strings as bytes": (lambda: with_storage(3, Kind.CONSTANT, 8, 1), "does not take 8 bytes"),
    "no data": (lambda: with_storage(3, Kind.CONSTANT, 16, 2), "storage 3: there is no constant"),
    "input too large": (lambda: with_storage(0, Kind.INPUT, 20, 0), "are not those of an input"),
    "output of none": (lambda: with_storage(2, Kind.OUTPUT, 64, 128), "not those of an output"),
    "arena": (lambda: replace(plan(), arena=2 * BIG), "an arena of"),
    "slots": (lambda: replace(plan(), slots=BIG), "slots are not between"),
    "fixed slot": (lambda: replace(plan(), fixed=((2, 0),)), "fixed 0: there is no slot 2"),
    "fixed constant": (lambda: replace(plan(), fixed=((0, 2),)), "fixed 0: there is no constant 2"),
    "no input": (lambda: replace(plan(), inputs=()), "it has 0 inputs, but its graph has 1"),
    "input nowhere": (lambda: replace(plan(), inputs=cast("Any", (None,))), "it lies nowhere"),
    "two outputs": (lambda: replace(plan(), outputs=(region(1),) * 2), "it has 2 outputs"),
}


def unchecked(*_: object) -> None:
    """In place of ``check_plan``: what an attacker's writer does."""


def test_the_plan_by_hand_is_right(tmp_path: Path) -> None:
    good = plan()
    check_plan(good)
    save_package(Package(good.graph, (good,), "host"), tmp_path / "a.gie")
    load_package(tmp_path / "a.gie", OPS)


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_plan_is_neither_written_nor_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Plan], message: str
) -> None:
    path, wrong = tmp_path / "a.gie", make()
    with pytest.raises(EngineFileError) as caught:
        save_package(Package(wrong.graph, (wrong,), "host"), path)
    assert message in str(caught.value)
    if "nowhere" in message:
        return
    monkeypatch.setattr(file, "check_plan", unchecked)
    save_package(Package(wrong.graph, (wrong,), "host"), path)
    monkeypatch.undo()
    with pytest.raises(EngineFileError, match=r"^\S+ is damaged: plan 0.*build the engine again$"):
        load_package(path, OPS)
