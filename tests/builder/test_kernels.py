"""Choosing kernels: order, reasons, and what runs node by node."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from gie_core.builder.kernels import (
    Kernel,
    KernelError,
    NamedProvider,
    ReferenceProvider,
    Support,
    choose_kernel,
    plan_graph,
)
from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Node
from gie_core.ir.op import Op
from gie_core.ir.parser import parse_graph
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST, Target


@dataclass
class Picky:
    """Runs one op."""

    takes: str

    def supports(self, node: Node, target: Target) -> Support:
        name = node.op.name
        return Support.yes() if name == self.takes else Support.no(f"{name} is not {self.takes}")

    def kernel(self, node: Node, target: Target) -> Kernel:
        def run(op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
            return (operands[0],)

        return run


def graph_of(line: str) -> Graph:
    return parse_graph(f"graph g {{ input %x: f32[2] {line} return %y }}", core_ops())


PROVIDERS = [
    NamedProvider("first", Picky("relu")),
    NamedProvider("second", Picky("identity")),
    NamedProvider("reference", ReferenceProvider()),
]


def node_of(graph: Graph) -> Node:
    return next(graph.nodes)


@pytest.mark.parametrize(
    ("line", "provider", "rejections"),
    [
        ("%y = relu(%x)", "first", {}),
        ("%y = identity(%x)", "second", {"first": "identity is not relu"}),
        (
            "%y = neg(%x)",
            "reference",
            {"first": "neg is not relu", "second": "neg is not identity"},
        ),
    ],
)
def test_the_first_that_supports_a_node_runs_it(
    line: str, provider: str, rejections: dict[str, str]
) -> None:
    kernel, choice = choose_kernel(node_of(graph_of(line)), HOST, PROVIDERS)
    assert kernel is not None
    assert choice.provider == provider
    assert {r.provider: r.reason for r in choice.rejections} == rejections


def test_groups_that_nobody_takes_run_node_by_node() -> None:
    graph = graph_of(
        '%y: f32[2] = group(%x) {kind = "epilogue", body = graph b { input %x: f32[2] return %x }}'
    )
    kernel, choice = choose_kernel(node_of(graph), HOST, PROVIDERS)
    assert kernel is None
    assert (choice.op, choice.provider) == ("group:epilogue", "")


def test_a_plan_covers_inner_graphs() -> None:
    graph = graph_of(
        '%a = neg(%x) %y: f32[2] = group(%a) {kind = "epilogue", body = graph b {'
        " input %x: f32[2] %r = relu(%x) return %r }}"
    )
    plan, choices = plan_graph(graph, HOST, PROVIDERS)
    neg, group = graph.nodes
    [body] = group.op.subgraphs().values()
    assert list(plan.kernels) == [neg]
    assert list(plan.bodies) == [body]
    assert list(plan.bodies[body].kernels) == list(body.nodes)
    assert [(c.op, c.provider) for c in choices] == [
        ("neg", "reference"),
        ("group:epilogue", ""),
        ("relu", "first"),
    ]


def test_a_node_that_nobody_runs_gives_all_reasons() -> None:
    graph = graph_of('%y: f32[2] = foreign(%x) {domain = "ai.onnx", op = "Det"} from "Det_7"')
    with pytest.raises(KernelError) as error:
        choose_kernel(node_of(graph), HOST, PROVIDERS)
    assert str(error.value) == (
        "nothing runs foreign %y (from Det_7) on host: first: foreign is not relu; "
        "second: foreign is not identity; reference: foreign has no reference"
    )


@dataclass
class Nonsense:
    """Answers anything, or raises it."""

    answer: object

    def supports(self, node: Node, target: Target) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def kernel(self, node: Node, target: Target) -> Kernel:
        raise KeyError("k")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (True, "supports() of the kernel provider 'p' of plugin 'acme' must return a Support, not"),
        (
            ValueError("v"),
            "supports() of the kernel provider 'p' of plugin 'acme' raised ValueError: v; "
            "update it or block it with --block acme",
        ),
        (
            Support.yes(),
            "kernel() of the kernel provider 'p' of plugin 'acme' raised KeyError: 'k'",
        ),
    ],
)
def test_what_a_provider_does_wrong_is_named(answer: object, message: str) -> None:
    with pytest.raises(GieError, match="^" + re.escape(f"at relu %y, {message}")):
        choose_kernel(
            node_of(graph_of("%y = relu(%x)")), HOST, [NamedProvider("p", Nonsense(answer), "acme")]
        )


def test_what_a_provider_of_no_plugin_raises_passes() -> None:
    with pytest.raises(ValueError, match=r"^v$"):
        choose_kernel(
            node_of(graph_of("%y = relu(%x)")),
            HOST,
            [NamedProvider("p", Nonsense(ValueError("v")))],
        )


def test_references_are_for_the_host() -> None:
    support = ReferenceProvider().supports(node_of(graph_of("%y = relu(%x)")), Target("cuda"))
    assert not support.ok
    assert support.reason == "the references run on the host"
