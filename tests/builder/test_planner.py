"""Plans: on random graphs what runs equals the references, and memory is as it must be."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gie_core.builder.planner import plan_graph
from gie_core.engine.races import find_races
from gie_core.ir.graph import Graph
from gie_core.ir.types import Array
from gie_core.kernels.provider import NamedProvider
from gie_core.kernels.reference import ReferenceProvider
from gie_core.ops.run import bind_inputs, run_graph
from gie_core.runtime.context import HostContext
from gie_core.runtime.host import HostExecutor
from gie_core.runtime.target import HOST
from gie_core.testing.graphs import random_graphs
from gie_core.testing.inputs import random_inputs

REFERENCE = [NamedProvider("reference", ReferenceProvider())]


def assert_equal(found: list[Array], wanted: list[Array]) -> None:
    """Up to the order of additions, which NumPy chooses by how operands lie in memory."""
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        if one.dtype.kind in "fc":
            tolerance = 64 * np.finfo(one.dtype).eps
            np.testing.assert_allclose(one, other, tolerance, tolerance)
        else:
            np.testing.assert_array_equal(one, other)


@settings(max_examples=300, deadline=None)
@given(random_graphs(), st.integers(0, 100))
def test_a_plan_gives_what_the_references_give(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = random_inputs(graph, rng)
    sizes = bind_inputs(graph, inputs)
    planned = plan_graph(graph, sizes, HOST, REFERENCE)
    plan = planned.plan
    assert not find_races(plan.steps, plan.storages)
    assert planned.record.arena >= planned.record.lower_bound
    context = HostContext(plan, REFERENCE)
    for _ in range(2):
        other = random_inputs(graph, rng, sizes)
        assert_equal(context.run(other), run_graph(graph, other))


@settings(max_examples=100, deadline=None)
@given(random_graphs(), st.integers(0, 100))
def test_sizes_that_nobody_planned_for_run_too(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    executor = HostExecutor(graph, (), REFERENCE)
    for _ in range(2):
        inputs = random_inputs(graph, rng)
        context = executor.context(bind_inputs(graph, inputs))
        assert not find_races(context.plan.steps, context.plan.storages)
        assert_equal(context.run(inputs), run_graph(graph, inputs))
