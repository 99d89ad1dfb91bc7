"""Ways to run nodes: whom is asked, what is rejected and why, views, joins, functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gie_core.builder.expand import expand
from gie_core.builder.planner import plan_graph
from gie_core.builder.ways import Ways, find_ways
from gie_core.engine.plan import Region
from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Node
from gie_core.ir.parser import parse_graph
from gie_core.ir.types import Array, DType
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.format import Format
from gie_core.kernels.provider import KernelError, NamedProvider
from gie_core.kernels.reference import ReferenceProvider
from gie_core.kernels.simple import ArrayProvider
from gie_core.ops import core_ops
from gie_core.runtime.target import HOST, Target


@dataclass
class Picky(ArrayProvider):
    """Runs one op."""

    takes: str

    def accepts(self, node: Node) -> Support:
        name = node.op.name
        return Support.yes() if name == self.takes else Support.no(f"{name} is not {self.takes}")

    def compute(self, node: Node, operands: Sequence[Any], out: Sequence[Array]) -> None:
        out[0][...] = operands[0]


def graph_of(line: str, input_: str = "f32[2]") -> Graph:
    return parse_graph(f"graph g {{ input %x: {input_} {line} return %y }}", core_ops())


PROVIDERS = [
    NamedProvider("first", Picky("relu")),
    NamedProvider("second", Picky("pad")),
    NamedProvider("reference", ReferenceProvider()),
]


def ways_of(graph: Graph, *providers: NamedProvider) -> Ways:
    return find_ways(expand(graph), HOST, [*providers] or PROVIDERS)


@pytest.mark.parametrize(
    ("line", "providers", "rejections"),
    [
        ("%y = relu(%x)", ["first"], {"second": "relu is not pad"}),
        ("%y = pad(%x) {pads = [0, 1]}", ["second"], {"first": "pad is not relu"}),
        (
            "%y = neg(%x)",
            ["reference"],
            {"first": "neg is not relu", "second": "neg is not pad"},
        ),
    ],
)
def test_the_reference_is_asked_where_nobody_else_has_a_candidate(
    line: str, providers: list[str], rejections: dict[str, str]
) -> None:
    ways = ways_of(graph_of(line))
    assert [way.owner.name for way in ways.kernels] == providers
    [found] = ways.rejections.values()
    assert {r.provider: r.reason for r in found} == rejections


def test_groups_run_whole_in_part_and_apart() -> None:
    graph = graph_of(
        '%y: f32[2] = group(%x) {kind = "epilogue", body = graph b { input %x: f32[2] '
        "%a = relu(%x) %b = neg(%a) %c = exp(%b) return %c }}"
    )
    expanded = expand(graph)
    assert expanded.count == 3
    assert sorted(piece.covers for piece in expanded.pieces) == [
        (0,),
        (0, 1),
        (0, 1, 2),
        (1,),
        (1, 2),
        (2,),
    ]


VIEWS = [
    ("%y = reshape(%x) {shape = [2, 1]}", True),
    ("%y = identity(%x)", True),
    ("%y = expand(%x) {shape = [3, 2]}", True),
    ("%y = neg(%x)", False),
]


@pytest.mark.parametrize(("line", "is_view"), VIEWS)
def test_what_moves_no_element_is_a_view(line: str, is_view: bool) -> None:
    assert bool(ways_of(graph_of(line)).views) is is_view


def test_sizes_that_are_data_leave_the_choice_to_the_run() -> None:
    graph = parse_graph(
        "graph g { input %x: f32[2] %n: i64[1, k] = nonzero(%x) %y = neg(%n) return %y }",
        core_ops(),
    )
    functions = {piece.node.op.name: who for piece, who in ways_of(graph).functions.items()}
    assert functions == {"nonzero": "reference", "neg": "reference"}


def test_a_node_that_nobody_runs_gives_all_reasons() -> None:
    graph = graph_of('%y: f32[2] = foreign(%x) {domain = "ai.onnx", op = "Det"} from "Det_7"')
    with pytest.raises(KernelError) as error:
        ways_of(graph)
    assert str(error.value) == (
        "nothing runs foreign %y (from Det_7) on host: first: foreign is not relu; "
        "second: foreign is not pad; reference: foreign has no reference"
    )


@dataclass
class Nonsense:
    """Answers anything, or raises it."""

    answer: object

    def supports(self, node: Node, target: Target) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        raise KeyError("k")

    def prepack(self, node: Node, candidate: str) -> Sequence[Array]:
        return []

    def bind(self, node: Node, candidate: str, memory: Any) -> Any:
        return []


WRONG = [
    (True, "supports() of the kernel provider 'p' of plugin 'acme' must return a Support, not"),
    (
        ValueError("v"),
        "supports() of the kernel provider 'p' of plugin 'acme' raised ValueError: v; "
        "update it or block it with --block acme",
    ),
    (
        Support.yes(),
        "candidates() of the kernel provider 'p' of plugin 'acme' raised KeyError: 'k'",
    ),
]


@pytest.mark.parametrize(("answer", "message"), WRONG)
def test_what_a_provider_does_wrong_is_named(answer: object, message: str) -> None:
    with pytest.raises(GieError, match="^" + re.escape(f"at %y = relu, {message}")):
        ways_of(graph_of("%y = relu(%x)"), NamedProvider("p", Nonsense(answer), "acme"))


def test_what_a_provider_of_no_plugin_raises_passes() -> None:
    with pytest.raises(ValueError, match=r"^v$"):
        ways_of(graph_of("%y = relu(%x)"), NamedProvider("p", Nonsense(ValueError("v"))))


@dataclass
class Offering(Picky):
    """Offers one candidate with formats of its own."""

    candidate: Candidate

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        return [self.candidate]


F32 = Format(DType.F32, (0,))
UNUSABLE = [
    (Candidate("c", (), (F32,)), "it has not a format for each operand and result"),
    (Candidate("c", (Format(DType.F32, (0, 1)),), (F32,)), "its format f32 does not fit %x"),
]


@pytest.mark.parametrize(("candidate", "reason"), UNUSABLE)
def test_candidates_that_do_not_fit_are_rejected(candidate: Candidate, reason: str) -> None:
    providers = [NamedProvider("odd", Offering("relu", candidate)), PROVIDERS[-1]]
    ways = ways_of(graph_of("%y = relu(%x)"), *providers)
    assert [way.owner.name for way in ways.kernels] == ["reference"]
    [[rejection]] = ways.rejections.values()
    assert (rejection.provider, rejection.reason) == ("odd c", reason)


NARROW = [
    Candidate("c", (F32,), (Format(DType.F16, (0,)),)),
    Candidate("c", (F32,), (F32,), packed=DType.F16),
]


@pytest.mark.parametrize("candidate", NARROW)
def test_narrow_storage_is_for_those_who_ask(candidate: Candidate) -> None:
    providers = [NamedProvider("odd", Offering("relu", candidate)), PROVIDERS[-1]]
    expanded = expand(graph_of("%y = relu(%x)"))
    for storage, owner in ((), "reference"), ((DType.BF16,), "reference"), ((DType.F16,), "odd"):
        ways = find_ways(expanded, HOST, providers, frozenset(storage))
        assert [way.owner.name for way in ways.kernels] == [owner]


def test_constants_are_read_as_they_lie() -> None:
    graph = parse_graph(
        "graph g { input %x: f32[2, 2] const %c: f32[2, 2] = [1, 2, 3, 4] "
        "%y = add(%x, %c) return %y }",
        core_ops(),
    )
    rows, columns = Format(DType.F32, (0, 1)), Format(DType.F32, (1, 0))
    odd = Offering("add", Candidate("c", (rows, columns), (rows,)))
    ways = ways_of(graph, NamedProvider("odd", odd), PROVIDERS[-1])
    [[rejection]] = ways.rejections.values()
    assert rejection.reason == f"the constant %c lies row-major, not as {columns}; prepack it"


def test_concatenations_are_joins_of_what_is_made_for_them() -> None:
    graph = parse_graph(
        "graph g { input %x: f32[1, 2, 4, 4] %a = relu(%x) %b = exp(%x) "
        "%c = concat(%a, %b, %x) {axis = 1} return %c }",
        core_ops(),
    )
    plan = plan_graph(graph, {}, HOST, PROVIDERS).plan
    assert [step.provider for step in plan.steps] == ["first", "reference", ""]
    places = [*(step.results[0] for step in plan.steps), *plan.outputs]
    assert len({place.storage for place in places if isinstance(place, Region)}) == 1


def test_references_are_for_the_host() -> None:
    (node,) = graph_of("%y = relu(%x)").nodes
    support = ReferenceProvider().supports(node, Target("cuda"))
    assert not support.ok
    assert support.reason == "the references run on the host"


class Torn(ReferenceProvider):
    """Reads its two operands in different orders."""

    def candidates(self, node: Node, target: Target) -> Sequence[Candidate]:
        (only,) = super().candidates(node, target)
        orders = (0, 1), (1, 0)
        return [replace(only, operands=tuple(Format(DType.F32, order) for order in orders))]

    function = None  # pyright: ignore[reportAssignmentType] - it is asked like any other


def test_a_kernel_that_reads_one_value_in_two_formats_is_none() -> None:
    torn = NamedProvider("torn", Torn())
    graph = graph_of("%y = add(%x, %x)", "f32[2, 3]")
    ways = ways_of(graph, torn, NamedProvider("reference", ReferenceProvider()))
    [[rejection]] = ways.rejections.values()
    assert rejection.reason == "it reads %x as f32 and as f32 1,0 at once"
    assert [way.owner.name for way in ways.kernels] == ["reference"]
    same = graph_of("%y = add(%x, %x)", "f32[1, 3]")  # both orders are one
    assert [way.owner.name for way in ways_of(same, torn).kernels] == ["torn"]
