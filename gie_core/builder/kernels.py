"""Kernels: who runs a node, and why the others do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gie_core.builder.report import KernelChoice, Rejection
from gie_core.engine.plan import Kernel, Plan
from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Node
from gie_core.ops.group import Group
from gie_core.ops.run import compute_node
from gie_core.plugin.blame import blame, checked
from gie_core.plugin.host import PluginHost
from gie_core.runtime.target import Target

__all__ = [
    "Kernel",
    "KernelError",
    "KernelProvider",
    "NamedProvider",
    "ReferenceProvider",
    "Support",
    "choose_kernel",
    "kernel_providers",
    "plan_graph",
]


class KernelError(GieError):
    """No provider runs a node."""


@dataclass(frozen=True)
class Support:
    """Whether a provider runs a node; a rejection always says why."""

    ok: bool
    reason: str = ""

    @staticmethod
    def yes() -> Support:
        """It does."""
        return Support(True)

    @staticmethod
    def no(reason: str) -> Support:
        """It does not, for this reason."""
        return Support(False, reason)


class KernelProvider(Protocol):
    """Brings kernels for some ops on some targets."""

    def supports(self, node: Node, target: Target) -> Support:
        """Whether ``kernel`` would return a kernel for the node."""
        ...

    def kernel(self, node: Node, target: Target) -> Kernel:
        """The fastest kernel the provider has for a node it supports.

        Constants among the operands (``value.data``) may be transformed here, once.
        """
        ...


@dataclass(frozen=True)
class NamedProvider:
    """A provider, the name it was declared under, and the plugin that brings it."""

    name: str
    provider: KernelProvider
    plugin: str = ""


class ReferenceProvider:
    """Every op's own NumPy reference; the last to be asked."""

    def supports(self, node: Node, target: Target) -> Support:
        if target.kind != "host":
            return Support.no("the references run on the host")
        if node.op.subgraphs():
            return Support.no("the graphs inside it run node by node")
        return (
            Support.yes()
            if node.op.has_reference()
            else Support.no(f"{node.op.name} has no reference")
        )

    def kernel(self, node: Node, target: Target) -> Kernel:
        return lambda op, operands: compute_node(node, op, operands)


def kernel_providers(host: PluginHost, target: Target) -> list[NamedProvider]:
    """The providers for a target in the order in which they are asked, the reference last."""
    declared = [o for o in host.kernel_providers() if target.kind in o.declaration.targets]
    found = [
        NamedProvider(owned.declaration.name, provider, owned.plugin.name)
        for owned, provider in host.load_all(declared, _make)
    ]
    return [*found, NamedProvider("reference", ReferenceProvider())]


def _make(factory: Callable[[], KernelProvider], declared: object) -> KernelProvider:
    return factory()


def choose_kernel(
    node: Node, target: Target, providers: Sequence[NamedProvider]
) -> tuple[Kernel | None, KernelChoice]:
    """The first supporting provider's kernel; ``None`` where the graphs inside run node by node.

    Raises:
        KernelError: no provider runs the node; gives each one's reason.
        GieError: a plugin's provider raised or returned something wrong; names node and plugin.
    """
    rejections: list[Rejection] = []
    op = f"group:{node.op.kind}" if isinstance(node.op, Group) else node.op.name
    name = node.results[0].name if node.results else op
    for each in providers:
        what = f"at {op} %{name}, supports() of the kernel provider {each.name!r}"
        with blame(each.plugin, what):
            support = checked(each.provider.supports(node, target), Support, each.plugin, what)
        if support.ok:
            choice = KernelChoice(name, op, each.name, node.sources, tuple(rejections))
            what = f"at {op} %{name}, kernel() of the kernel provider {each.name!r}"
            with blame(each.plugin, what):
                return each.provider.kernel(node, target), choice
        rejections.append(Rejection(each.name, support.reason))
    if node.op.subgraphs():
        return None, KernelChoice(name, op, "", node.sources, tuple(rejections))
    reasons = "; ".join(f"{r.provider}: {r.reason}" for r in rejections)
    sources = f" (from {', '.join(node.sources)})" if node.sources else ""
    raise KernelError(f"nothing runs {op} %{name}{sources} on {target}: {reasons}")


def plan_graph(
    graph: Graph, target: Target, providers: Sequence[NamedProvider]
) -> tuple[Plan, list[KernelChoice]]:
    """Choose a kernel for every node, those of inner graphs included.

    Args:
        graph: must not change afterwards.
        target: what to run on.
        providers: as ``kernel_providers`` orders them.

    Raises:
        KernelError: no provider runs some node.
    """
    kernels: dict[Node, Kernel] = {}
    bodies: dict[Graph, Plan] = {}
    choices: list[KernelChoice] = []
    for node in graph.nodes:
        kernel, choice = choose_kernel(node, target, providers)
        choices.append(choice)
        if kernel is not None:
            kernels[node] = kernel
            continue
        for body in node.op.subgraphs().values():
            bodies[body], inner = plan_graph(body, target, providers)
            choices += inner
    return Plan(graph, kernels, bodies), choices
