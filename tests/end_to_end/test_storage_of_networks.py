"""Memory of real networks: near the least there can be, free of races, concatenated in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from networks import NETWORKS
from networks.googlenet import MODULES

import gie_core
from gie_core.engine.plan import ALIGNMENT, Kind, Plan, Region, Step
from gie_core.engine.races import find_races
from gie_core.engine.schedule import assign_streams
from gie_core.engine.storage import place
from gie_core.ir.types import Array
from gie_core.plugin.host import default_host
from gie_core.runtime.context import HostContext
from gie_core.runtime.providers import kernel_providers
from gie_core.runtime.target import HOST

SLACK = 1.10
"""How many times the lower bound an arena may be."""


@pytest.fixture(scope="module", params=NETWORKS)
def engine(request: pytest.FixtureRequest) -> gie_core.Engine:
    return gie_core.build(NETWORKS[request.param](1, 0).SerializeToString())


def only_plan(engine: gie_core.Engine) -> Plan:
    [plan] = engine.package.plans
    return plan


def kept(plan: Plan) -> set[int]:
    return {each.storage for each in plan.outputs if isinstance(each, Region)}


def most_bytes_alive(plan: Plan) -> int:
    """The largest sum of storages between their first and last use, one step after the other."""
    end = len(plan.steps)
    uses: dict[int, set[int]] = {index: set() for index in range(len(plan.storages))}
    for moment, step in enumerate(plan.steps):
        for each in (*step.operands, *step.results, step.workspace):
            if isinstance(each, Region):
                uses[each.storage].add(moment)
    for index, storage in enumerate(plan.storages):
        uses[index] |= {-1} if storage.kind in (Kind.INPUT, Kind.STATE) else set()
        held = storage.kind in (Kind.OUTPUT, Kind.STATE) or index in kept(plan)
        uses[index] |= {end} if held else set()
    arena = [
        (-(-storage.size // ALIGNMENT) * ALIGNMENT, uses[index])
        for index, storage in enumerate(plan.storages)
        if storage.kind is not Kind.CONSTANT and uses[index]
    ]
    return max(
        sum(size for size, moments in arena if min(moments) <= now <= max(moments))
        for now in range(-1, end + 1)
    )


def test_the_arena_is_close_to_the_lower_bound(engine: gie_core.Engine) -> None:
    assert engine.report is not None
    plan, [record] = only_plan(engine), engine.report.plans
    least = most_bytes_alive(plan)
    assert plan.streams == 1
    assert (record.arena, record.lower_bound) == (plan.arena, least)
    assert least <= plan.arena <= SLACK * least


def test_steps_in_series_don_t_race(engine: gie_core.Engine) -> None:
    plan = only_plan(engine)
    assert not find_races(plan.steps, plan.storages, arena=plan.arena, kept=kept(plan))


def on_streams(plan: Plan, count: int) -> Plan:
    """The same steps on several streams, as many at once as can be, in an arena of their own."""
    alone = [replace(step, stream=0, after=()) for step in plan.steps]
    steps = assign_streams(alone, [1000] * len(alone), count)
    storages, arena = place(plan.storages, steps, kept(plan))
    return replace(plan, steps=tuple(steps), storages=storages, arena=arena)


@pytest.mark.parametrize("count", [2, 3])
def test_streams_don_t_race_and_give_the_same(engine: gie_core.Engine, count: int) -> None:
    plan = only_plan(engine)
    parallel = on_streams(plan, count)
    assert not find_races(parallel.steps, parallel.storages, arena=parallel.arena, kept=kept(plan))
    assert parallel.streams == count or engine.graph.name not in ("googlenet", "squeezenet")
    [info] = engine.inputs
    image = np.random.default_rng(2).standard_normal(shape_of(info), np.float32)
    wanted, found = run(plan, image), run(parallel, image)
    for one, other in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(one, other)


def shape_of(info: gie_core.TensorInfo) -> tuple[int, ...]:
    assert info.shape is not None
    return tuple(int(extent) for extent in info.shape)


def run(plan: Plan, image: Array) -> Sequence[Array]:
    return HostContext(plan, kernel_providers(default_host(), HOST)).run([image])


# ── Inception modules ───────────────────────────────────────────────────────────────────

FORMS = ("1x1", "3x3/reduce", "3x3", "5x5/reduce", "5x5", "pool/project")


def pins(memory: str) -> dict[str, str]:
    """Every convolution of the modules, and the pools behind them, keep one order of the axes."""
    convolutions = {
        f"{module}/{form}": f"cpu {'im2col' if form in ('3x3', '5x5') else 'gemm'} {memory}"
        for module in MODULES
        for form in FORMS
    }
    return convolutions | dict.fromkeys(["3b/pool", "4e/pool"], f"cpu {memory}")


@pytest.fixture(scope="module", params=["", "NCHW", "NHWC"])
def inception(request: pytest.FixtureRequest) -> tuple[Plan, str]:
    """GoogLeNet's plan, and the order of the axes that is pinned."""
    model = NETWORKS["googlenet"](1, 0).SerializeToString()
    memory: str = request.param
    return only_plan(gie_core.build(model, pins=pins(memory) if memory else None)), memory


@pytest.mark.parametrize("module", MODULES)
def test_four_branches_write_one_storage_and_nothing_is_copied(
    inception: tuple[Plan, str], module: str
) -> None:
    plan, memory = inception
    join = next(n for n in plan.graph.nodes if n.op.name == "concat" and module in n.sources)
    writers = [writer_of(plan, value) for value in join.operands]
    regions = [region for _, region in writers]
    assert len(regions) == 4
    assert len({region.storage for region in regions}) == 1
    [storage] = {region.storage for region in regions}
    assert plan.storages[storage].kind is Kind.ARENA
    assert covers_once(plan, regions)
    fastest = {"NCHW": 3, "NHWC": 1}
    assert not memory or regions[0].layout.strides[fastest[memory]] == 4
    copies = [step for step in plan.steps if not step.provider]
    assert not [step for step in copies if storage in places_of(step)]


def writer_of(plan: Plan, value: object) -> tuple[Step, Region]:
    [(step, region)] = [
        (step, place)
        for step in plan.steps
        for result, place in zip(step.node.results, step.results, strict=False)
        if result is value and step.provider and isinstance(place, Region)
    ]
    return step, region


def places_of(step: Step) -> set[int]:
    return {each.storage for each in step.results if isinstance(each, Region)}


def covers_once(plan: Plan, regions: Sequence[Region]) -> bool:
    """Whether regions of a storage fill it, none over another."""
    memory = np.zeros(plan.storages[regions[0].storage].size, np.uint8)
    for each in regions:
        layout = each.layout
        view = np.ndarray(layout.shape, layout.dtype.numpy, memory, each.offset, layout.strides)
        if view.any():
            return False
        view[...] = 1
    return np.count_nonzero(memory.view(np.float32)) == memory.size // 4
