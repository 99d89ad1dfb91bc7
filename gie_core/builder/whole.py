"""Timing plans as a whole."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from gie_core.builder.environment import Environment
from gie_core.builder.signature import graph_signature
from gie_core.builder.timing_cache import Timing, TimingCache, entry_key
from gie_core.engine.plan import Plan
from gie_core.ir.graph import Graph
from gie_core.ir.specialize import extents, is_static_type
from gie_core.ir.types import Array, DType
from gie_core.kernels.provider import NamedProvider
from gie_core.runtime.context import HostContext

__all__ = ["PlanTimer", "seeded_inputs"]

SECONDS = 1.0
"""For all plans together; each runs at least three times."""


class PlanTimer:
    """Times plans, once for each machine: plans that the cache all knows are not timed again.

    Args:
        cache: of timings; plans stand there beside kernels.
        environment: what timings depend on besides the plan.
    """

    def __init__(self, cache: TimingCache, environment: Environment) -> None:
        self._cache = cache
        self._environment = str(environment)

    def times(self, plans: Sequence[Plan], providers: Sequence[NamedProvider]) -> list[int]:
        """Nanoseconds of one run of each plan."""
        keys = [entry_key(_signature(plan, providers), self._environment) for plan in plans]
        known = [self._cache.lookup(key) for key in keys]
        if not all(known):
            for key, samples in zip(keys, _time(plans, providers), strict=True):
                self._cache.record(key, _timing(samples))
        return [self._cache[key].nanoseconds for key in keys]


def _time(plans: Sequence[Plan], providers: Sequence[NamedProvider]) -> list[list[int]]:
    """Samples of each plan, taken in turn, so that a disturbance meets all of them.

    Plans that can't be run on made-up inputs take 1 each, so that the first one wins.
    """
    inputs = seeded_inputs(plans[0].graph)
    if inputs is None:
        return [[1] for _ in plans]
    contexts = [HostContext(plan, providers) for plan in plans]
    samples: list[list[int]] = [[] for _ in plans]
    for context in contexts:
        context.run(inputs)
    end = time.perf_counter() + SECONDS
    while len(samples[0]) < 3 or time.perf_counter() < end:
        for context, taken in zip(contexts, samples, strict=True):
            start = time.perf_counter_ns()
            context.run(inputs)
            taken.append(time.perf_counter_ns() - start)
    return samples


def _timing(samples: Sequence[int]) -> Timing:
    quartiles = np.percentile(samples, [25, 50, 75])
    return Timing(round(quartiles[1]), round(quartiles[2] - quartiles[0]))


def _signature(plan: Plan, providers: Sequence[NamedProvider]) -> str:
    """All that a plan's time depends on but the numbers in its weights."""
    named = {step.provider for step in plan.steps}
    versions = [f"{each.name} {each.version}" for each in providers if each.name in named]
    number = {node: index for index, node in enumerate(plan.graph.nodes)}
    steps = [
        f"{number[s.node]} {s.provider} {s.candidate} {s.operands} {s.results} {s.workspace} "
        f"{s.stream} {s.after}"
        for s in plan.steps
    ]
    return "\n".join(["plan", graph_signature(plan.graph), *versions, *steps, str(plan.storages)])


def seeded_inputs(graph: Graph, seed: int = 0) -> list[Array] | None:
    """Made-up inputs: normal numbers, small whole ones; ``None`` if some input can't be."""
    rng = np.random.default_rng(seed)
    if not all(is_static_type(value.type) for value in graph.inputs):
        return None
    return [_array(v.tensor.dtype, extents(v), rng) for v in graph.inputs]


def _array(dtype: DType, shape: Sequence[int], rng: np.random.Generator) -> Array:
    if dtype is DType.BOOL:
        return rng.integers(0, 2, shape).astype(np.bool_)
    if dtype.is_integer:
        return rng.integers(0, 2, shape).astype(dtype.numpy)
    return rng.standard_normal(shape).astype(dtype.numpy)
