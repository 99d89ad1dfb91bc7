"""Engine files that nobody wrote: damaged by accident, or made to do harm."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gie_core
from gie_core.engine.container import EngineFileError, read_container, write_container
from gie_core.engine.file import Package, load_package, save_package
from gie_core.engine.plan import Kind, Plan, Region, Slot, Storage
from gie_core.ir.parser import parse_graph
from gie_core.ir.types import DType
from gie_core.kernels.format import Layout
from gie_core.ops import core_ops
from gie_core.plugin.host import PluginHost
from gie_core.testing.damage import damaged, edit

OPS = core_ops()
TEXT = """
graph net {
  input %x: f32[n, 8]
  input %s: f32[4]
  const %w: f32[8, 4] = blob "w"
  %a: f32[n, 4] = matmul(%x, %w) from "Gemm_0"
  %b: f32[n, 4] = exp(%a)
  %c: f32[n, 8] = concat(%a, %b) {axis = 1}
  %d: f32[8, n] = transpose(%c) {permutation = [1, 0]}
  %i: i64[2, m] = nonzero(%a)
  %t: f32[4] = add(%s, %s)
  state %s -> %t
  return %c, %d as "turned", %i, %t
}
"""


def package() -> Package:
    """A small network with views, slots, a state, a weight and a workspace."""
    weights = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    graph = parse_graph(TEXT, OPS, {"w": weights})
    shapes = {"x": [3, 8], "s": [4]}
    built = gie_core.build(graph, host=PluginHost(entry_points=[]), shapes=shapes).package
    [plan] = built.plans
    workspace = Region(len(plan.storages), 0, Layout(DType.U8, (100,), (1,)))
    plan = replace(
        plan,
        steps=(replace(plan.steps[0], workspace=workspace), *plan.steps[1:]),
        storages=(*plan.storages, Storage(Kind.ARENA, 100, plan.arena)),
        arena=plan.arena + 128,
    )
    return replace(built, plans=(plan,), metadata={"author": "Noether"}, report={"nodes": [1, 2]})


MUTATIONS = 2000


@pytest.mark.parametrize("part", range(4))
def test_damaged_files(tmp_path: Path, part: int) -> None:
    """The container finds every changed byte."""
    path = tmp_path / "a.gie"
    save_package(package(), path)
    content, rng = path.read_bytes(), random.Random(part)
    for _ in range(MUTATIONS // 8):
        mutated = damaged(content, rng)
        path.write_bytes(mutated)
        assert mutated == content or problem_of(path) is not None


@pytest.mark.parametrize("part", range(4))
def test_hostile_files(tmp_path: Path, part: int) -> None:
    """All hashes are right, so only validation can tell; what passes stays in its memory."""
    path = tmp_path / "a.gie"
    save_package(package(), path)
    original, rng, refused = read_container(path), random.Random(100 + part), 0
    for _ in range(MUTATIONS // 8):
        body = copy.deepcopy(original.body)
        edit(body, rng)
        write_container(path, body, original.sections)
        if problem_of(path) is None:
            assert all(stays_inside(plan) for plan in load_package(path, OPS).plans)
        else:
            refused += 1
    assert refused > MUTATIONS // 8 // 2


def problem_of(path: Path) -> str | None:
    """Why a file is refused: one sentence; ``None`` if it isn't."""
    try:
        load_package(path, OPS)
    except EngineFileError as error:
        message = str(error)
    else:
        return None
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 500
    return message


def stays_inside(plan: Plan) -> bool:
    """Whether no region reaches beyond its memory; NumPy does the sums."""
    for place in places(plan):
        if isinstance(place, Slot):
            if not 0 <= place.index < plan.slots:
                return False
            continue
        storage = plan.storages[place.storage]
        constant = storage.kind is Kind.CONSTANT
        begin, room = (
            (0, plan.constants[storage.offset].nbytes) if constant else (storage.offset, plan.arena)
        )
        if not place.layout.size:
            continue
        one = np.lib.stride_tricks.as_strided(
            np.zeros(1, place.layout.dtype.numpy), place.layout.shape, place.layout.strides
        )
        low, high = np.lib.array_utils.byte_bounds(one)
        element = one.__array_interface__["data"][0]
        begin += place.offset - element
        if begin + low < 0 or begin + high > room:
            return False
    return True


def places(plan: Plan) -> Iterator[Region | Slot]:
    yield from (*plan.inputs, *plan.outputs)
    for step in plan.steps:
        yield from (p for p in (*step.operands, *step.results, step.workspace) if p is not None)
