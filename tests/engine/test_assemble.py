"""From decisions to plans: on random graphs, with one stream and several, and by example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gie_core.builder.decide import decisions_of
from gie_core.builder.expand import expand
from gie_core.builder.formulate import formulate
from gie_core.builder.prices import ModelPrices
from gie_core.builder.strategy import solve
from gie_core.builder.ways import find_ways
from gie_core.engine.assemble import Decisions, assemble
from gie_core.engine.plan import Kind, Plan, Region
from gie_core.engine.races import find_races
from gie_core.ir.graph import Graph, Node
from gie_core.ir.parser import parse_graph
from gie_core.ir.specialize import specialize
from gie_core.ir.types import DType
from gie_core.kernels.candidate import Candidate
from gie_core.kernels.format import Format
from gie_core.kernels.provider import NamedProvider
from gie_core.kernels.reference import ReferenceProvider
from gie_core.ops import core_ops
from gie_core.ops.run import bind_inputs, run_graph
from gie_core.runtime.context import HostContext
from gie_core.runtime.replan import packer
from gie_core.runtime.target import HOST, Target
from gie_core.testing.graphs import random_graphs
from gie_core.testing.inputs import random_inputs


class InPlace(ReferenceProvider):
    """The references; whatever is elementwise may take the place of its first operand."""

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        (only,) = super().candidates(node, target)
        return [replace(only, in_place=((0, 0),))]


PROVIDERS = [NamedProvider("reference", ReferenceProvider())]
IN_PLACE = [NamedProvider("reference", InPlace())]


def decide(graph: Graph, providers: Sequence[NamedProvider] = PROVIDERS) -> Decisions:
    formulation = formulate(find_ways(expand(graph), HOST, providers), ModelPrices(HOST))
    return decisions_of(formulation, solve(formulation.problem)[0])[0]


def plan_of(text: str, providers: Sequence[NamedProvider] = PROVIDERS) -> Plan:
    return assemble(decide(parse_graph(text, core_ops()), providers), packer(providers))


@settings(max_examples=150, deadline=None)
@given(random_graphs(), st.integers(2, 4), st.integers(0, 100))
def test_any_number_of_streams_gives_the_same(graph: Graph, streams: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = random_inputs(graph, rng)
    sizes = bind_inputs(graph, inputs)
    decisions = replace(decide(specialize(graph, sizes)), streams=streams)
    plan = assemble(decisions, packer(PROVIDERS))
    assert not find_races(plan.steps, plan.storages)
    context = HostContext(plan, PROVIDERS)
    for _ in range(3):
        given = random_inputs(graph, rng, sizes)
        for one, other in zip(context.run(given), run_graph(graph, given), strict=True):
            if one.dtype.kind in "fc":  # NumPy adds in an order that depends on the memory
                tolerance = 64 * np.finfo(one.dtype).eps
                np.testing.assert_allclose(one, other, tolerance, tolerance)
            else:
                np.testing.assert_array_equal(one, other)


BRANCHES = """graph g {
  input %x: f32[1, 2, 8, 8]
  %a = relu(%x)
  %b = exp(%a)
  %c = neg(%a)
  %d = concat(%b, %c) {axis = 1}
  return %d
}"""


def test_a_concatenation_of_new_values_is_no_copy() -> None:
    plan = plan_of(BRANCHES)
    assert [step.provider for step in plan.steps] == ["reference"] * 3
    b, c = (step.results[0] for step in plan.steps[1:])
    (d,) = plan.outputs
    assert isinstance(b, Region)
    assert isinstance(c, Region)
    assert isinstance(d, Region)
    assert b.storage == c.storage == d.storage
    assert (b.offset, c.offset) == (0, 2 * 8 * 8 * 4)


@pytest.mark.parametrize("axis", [0, 2, 3])
def test_slices_with_gaps_are_written_as_well(axis: int) -> None:
    plan = plan_of(BRANCHES.replace("axis = 1", f"axis = {axis}"))
    assert [step.provider for step in plan.steps] == ["reference"] * 3


COPIES = [
    ("a graph's input", "%y = concat(%x, %x) {axis = 0}", 2),
    ("the same value twice", "%a = neg(%x) %y = concat(%a, %a) {axis = 0}", 1),
    ("a value in two", "%a = neg(%x) %b = concat(%a, %x) {axis = 0} "
     "%c = concat(%x, %a) {axis = 0} %y = add(%b, %c)", 3),
]  # fmt: skip


@pytest.mark.parametrize(("what", "text", "copies"), COPIES, ids=[c[0] for c in COPIES])
def test_what_can_not_lie_in_a_slice_is_copied(what: str, text: str, copies: int) -> None:
    plan = plan_of(f"graph g {{ input %x: f32[2, 3] {text} return %y }}")
    assert sum(not step.provider for step in plan.steps) == copies


def test_nested_concatenations_are_one_storage() -> None:
    plan = plan_of(
        "graph g { input %x: f32[1, 2] %a = neg(%x) %b = exp(%x) %c = relu(%x) "
        "%d = concat(%a, %b) {axis = 1} %e = concat(%d, %c) {axis = 1} return %e }"
    )
    places = [step.results[0] for step in plan.steps]
    assert len(places) == 3
    assert len({place.storage for place in places if isinstance(place, Region)}) == 1


def test_states_live_from_run_to_run() -> None:
    graph = parse_graph(
        "graph g { input %x: f32[2] input %s: f32[2] %t = add(%x, %s) state %s -> %t return %t }",
        core_ops(),
    )
    plan = assemble(decide(graph), packer(PROVIDERS))
    assert [s.kind for s in plan.storages].count(Kind.STATE) == 1
    context = HostContext(plan, PROVIDERS)
    ones = np.ones(2, np.float32)
    assert [float(context.run([ones, None])[0][0]) for _ in range(3)] == [1, 2, 3]
    context.reset()
    assert context.run([ones, None])[0][0] == 1


def test_states_that_move_on_at_once_do_not_mix() -> None:
    graph = parse_graph(
        "graph g { input %x: f32[1] input %a: f32[1] input %b: f32[1] "
        "%y = add(%a, %b) %z = identity(%x) state %a -> %b state %b -> %z return %y }",
        core_ops(),
    )
    plan = assemble(decide(graph), packer(PROVIDERS))
    context = HostContext(plan, PROVIDERS)
    found = [float(context.run([np.full(1, n, np.float32), None, None])[0][0]) for n in range(1, 6)]
    assert found == [0, 1, 3, 5, 7]


def test_a_value_may_become_several_states() -> None:
    plan = plan_of(
        "graph g { input %a: f32[1] input %b: f32[1] %y = neg(%a) %z = exp(%b) "
        "state %a -> %y state %b -> %y return %y, %z }",
        IN_PLACE,
    )
    assert plan.steps[0].operands == plan.steps[0].results, "nothing is computed in place"
    assert not find_races(plan.steps, plan.storages)


def test_no_result_takes_the_place_of_what_it_reads_through_a_view() -> None:
    plan = plan_of(
        "graph g { input %x: f32[2, 2] %a = neg(%x) %t = transpose(%a) {permutation = [1, 0]} "
        "%b = add(%a, %t) %c = exp(%b) return %c }",
        IN_PLACE,
    )
    b, c = (step.results[0] for step in plan.steps[1:])
    assert b == c, "nothing is computed in place"
    context = HostContext(plan, IN_PLACE)
    x = np.arange(4, dtype=np.float32).reshape(2, 2)
    np.testing.assert_allclose(context.run([x])[0], np.exp(-x - x.T), rtol=1e-6)


def test_no_result_takes_the_place_of_a_copy_that_others_read_later() -> None:
    """A view of a copy is overwritten; what was copied is read there afterwards."""
    decisions = decide(
        parse_graph(
            "graph g { input %x: f32[2, 3] %a = relu(%x) %t = transpose(%a) {permutation = [1, 0]} "
            "%v = reshape(%t) {shape = [3, 2, 1]} %n = neg(%v) %e = exp(%t) %y = exp(%n) "
            "return %e, %y }",
            core_ops(),
        ),
        IN_PLACE,
    )
    _, _, view, _, last, _ = decisions.graph.nodes
    assert view in decisions.views
    rows = Format(DType.F32, (0, 1)).layout((3, 2))
    decisions = replace(decisions, copies={view: (rows,), last: (rows,)})
    plan = assemble(decisions, packer(IN_PLACE))
    assert sum(not step.provider for step in plan.steps) == 1, "the copy is not shared"
    assert not find_races(plan.steps, plan.storages)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    e, y = HostContext(plan, IN_PLACE).run([x])
    np.testing.assert_allclose(e, np.exp(x.T), rtol=1e-6)
    np.testing.assert_allclose(y[..., 0], np.exp(-x.T), rtol=1e-6)


class Twins(ReferenceProvider):
    """Whose results both may take the place of the first operand."""

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        (only,) = super().candidates(node, target)
        return [replace(only, in_place=tuple((n, 0) for n in range(len(node.results))))]


def test_two_results_take_not_one_place() -> None:
    plan = plan_of(
        "graph g { input %x: f32[2] %a = neg(%x) "
        "%b, %c = pointwise(%a) {program = `(x0[d0]: f32) -> (-x0, x0 * x0)`} "
        "%d = exp(%b) %e = exp(%c) return %d, %e }",
        [NamedProvider("reference", Twins())],
    )
    assert plan.steps[1].results[0] == plan.steps[1].operands[0], "nothing is computed in place"
    assert not find_races(plan.steps, plan.storages)
