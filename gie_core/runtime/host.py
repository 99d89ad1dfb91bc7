"""The host executor: contexts for every size of the inputs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from gie_core.engine.plan import Plan
from gie_core.ir.graph import Graph
from gie_core.ir.specialize import symbols_of_inputs
from gie_core.kernels.provider import NamedProvider
from gie_core.runtime.context import HostContext
from gie_core.runtime.target import HOST

__all__ = ["HostExecutor"]

REMEMBERED = 16
"""Plans for sizes that nobody planned for that are kept."""


class HostExecutor:
    """Makes contexts. Threads may share it.

    Args:
        graph: optimized; its symbols are the sizes that may vary.
        plans: for certain sizes.
        providers: those that the plans name, and those to ask at other sizes, in order.
    """

    def __init__(
        self, graph: Graph, plans: Sequence[Plan], providers: Sequence[NamedProvider]
    ) -> None:
        self._graph = graph
        self._providers = providers
        self._symbols = symbols_of_inputs(graph)
        self._plans = {self._key(plan.sizes): plan for plan in plans}
        self._planned = len(self._plans)
        self._lock = threading.Lock()

    def context(self, sizes: Mapping[str, int]) -> HostContext:
        """A new context for inputs of some sizes.

        Raises:
            KernelError: a kernel provider that the engine names is not there.
            ExecutionError: the network can't run with these sizes.
        """
        return HostContext(self.plan(sizes), self._providers)

    def plan(self, sizes: Mapping[str, int]) -> Plan:
        """The plan for some sizes; made now if there is none."""
        key = self._key(sizes)
        with self._lock:  # whoever needs the same plan waits for it
            if key not in self._plans:
                plan = self._planned_now(dict(key))
                if len(self._plans) >= self._planned + REMEMBERED:
                    self._plans.pop(list(self._plans)[self._planned])
                self._plans[key] = plan
            return self._plans[key]

    def _planned_now(self, sizes: Mapping[str, int]) -> Plan:
        # Most engines run what they were built for: they load faster without what plans.
        from gie_core.runtime.replan import plan_sizes, sharing_weights

        plan = plan_sizes(self._graph, sizes, self._providers, HOST, self._preferred())
        return sharing_weights(plan, list(self._plans.values()))

    def _preferred(self) -> dict[str, tuple[str, str]]:
        """Who runs each node in the plans that were made at build time."""
        return {
            step.node.results[0].name: (step.provider, step.candidate)
            for plan in list(self._plans.values())[: self._planned]
            for step in plan.steps
            if step.candidate and step.provider
        }

    def _key(self, sizes: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
        return tuple(sorted((name, n) for name, n in sizes.items() if name in self._symbols))
