"""The pass manager: order, fixpoints, and the contract it enforces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from gie_core.builder.passes import Pass, PassError, PatternPass, Phase, run_passes, sort_passes
from gie_core.builder.report import PassRecord
from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Node
from gie_core.ir.parser import parse_graph
from gie_core.ir.rewrite import Refusal, Replacement, Rewriter
from gie_core.ir.text import format_graph
from gie_core.ir.types import TensorType
from gie_core.ops import core_ops
from gie_core.ops.identity import Dropout, Identity

TEXT = """
graph g {
  input %x: f32[2]
  %a = identity(%x) from "A"
  %b = dropout(%a) from "B"
  %c = identity(%b) from "C"
  return %c
}
"""


def graph() -> Graph:
    return parse_graph(TEXT, core_ops())


def ops(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


@dataclass(frozen=True)
class SkipIdentity(PatternPass):
    """An identity is its operand."""

    name: ClassVar[str] = "skip-identity"
    roots = (Identity,)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        return node.operands[0]


@dataclass(frozen=True)
class RefuseDropout(PatternPass):
    """Looks at dropout and declines."""

    name: ClassVar[str] = "refuse-dropout"
    roots = (Dropout,)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        return Refusal("not today")


@dataclass(frozen=True)
class HarderDropout(PatternPass):
    """Raises the ratio by a half until it is 0.9 or more; needs several sweeps."""

    name: ClassVar[str] = "harder-dropout"
    roots = (Dropout,)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        assert isinstance(node.op, Dropout)
        if node.op.ratio >= 0.9:
            return None
        return rewriter.add(Dropout(ratio=(1 + node.op.ratio) / 2), node.operands[0])


def test_passes_run_until_nothing_changes() -> None:
    g = graph()
    records = run_passes(g, [HarderDropout(), SkipIdentity(), RefuseDropout()])
    assert format_graph(g).splitlines()[2] == (
        '  %b: f32[2] = dropout(%x) {ratio = 0.9375} from "B", "C"'
    )
    hits = [(r.name, r.round, len(r.hits)) for r in records]
    assert hits == [
        ("harder-dropout", 0, 3),
        ("skip-identity", 0, 2),
        ("refuse-dropout", 0, 0),
        ("harder-dropout", 1, 0),
        ("skip-identity", 1, 0),
        ("refuse-dropout", 1, 0),
    ]
    assert records[2].refusals == (("%b = dropout", "not today"),)


def test_bodies_of_control_flow_are_rewritten_too() -> None:
    g = parse_graph(
        """graph g {
          input %c: bool[]
          input %x: f32[2]
          %y: f32[2] = if(%c, %x) {then_branch = graph t {
            input %x: f32[2]
            %a = identity(%x)
            return %a
          }, else_branch = graph e {
            input %x: f32[2]
            return %x
          }}
          return %y
        }""",
        core_ops(),
    )
    records = run_passes(g, [SkipIdentity()])
    assert len(records[0].hits) == 1
    assert "identity" not in format_graph(g)


def test_observers_see_each_run_and_the_graph() -> None:
    seen: list[tuple[str, list[str]]] = []

    def see(record: PassRecord, state: Graph) -> None:
        seen.append((record.name, ops(state)))

    run_passes(graph(), [SkipIdentity()], see)
    assert seen == [("skip-identity", ["dropout"])] * 2


@dataclass(frozen=True)
class Liar(Pass):
    """Records a hit that changed nothing."""

    name: ClassVar[str] = "liar"

    def run(self, graph: Graph, rewriter: Rewriter) -> None:
        node = next(graph.nodes)
        rewriter.apply(lambda n, r: r.add(n.op, *n.operands), node)


@dataclass(frozen=True)
class Sneak(Pass):
    """Changes the graph behind the rewriter's back."""

    name: ClassVar[str] = "sneak"

    def run(self, graph: Graph, rewriter: Rewriter) -> None:
        graph.add_constant(1.0)


@dataclass(frozen=True)
class Vandal(PatternPass):
    """Leaves a graph that does not verify."""

    name: ClassVar[str] = "vandal"
    roots = (Dropout,)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        return rewriter.add(Identity(), node.operands[0], type=TensorType.of("f16", [2]))


@dataclass(frozen=True)
class Endless(PatternPass):
    """Its result matches its own pattern."""

    name: ClassVar[str] = "endless"
    roots = (Dropout,)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        assert isinstance(node.op, Dropout)
        return rewriter.add(Dropout(ratio=1 - node.op.ratio / 2), node.operands[0])


@dataclass(frozen=True)
class ToDropout(PatternPass):
    """The one half of a pair that undoes itself."""

    name: ClassVar[str] = "to-dropout"
    roots = (Identity,)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        return rewriter.add(Dropout(), node.operands[0])


@dataclass(frozen=True)
class ToIdentity(PatternPass):
    """The other half."""

    name: ClassVar[str] = "to-identity"
    roots = (Dropout,)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        return rewriter.add(Identity(), node.operands[0])


@dataclass(frozen=True)
class Renamer(Pass):
    """Gives an input another name."""

    name: ClassVar[str] = "renamer"

    def run(self, graph: Graph, rewriter: Rewriter) -> None:
        graph.rename(graph.inputs[0], "q")


@dataclass(frozen=True)
class Returner(Pass):
    """Returns a constant under the name of the output."""

    value: Any
    name: ClassVar[str] = "returner"

    def run(self, graph: Graph, rewriter: Rewriter) -> None:
        graph.set_outputs([("c", graph.add_constant(self.value))])


BREACHES: list[tuple[list[Pass], str]] = [
    ([Liar()], r"'liar' recorded a hit \(%a = identity\) but the graph is as before"),
    ([Sneak()], "'sneak' changed the graph but recorded no hit"),
    ([Vandal()], "'vandal' left an invalid graph"),
    ([Renamer()], "'renamer' changed the inputs or outputs"),
    ([Returner(np.ones(2))], "'returner' changed the inputs or outputs"),
    ([Returner(np.ones(2, np.float32))], "'returner' changed the graph but recorded no hit"),
    ([Endless()], "'endless' still finds something to rewrite"),
    ([ToDropout(), ToIdentity()], "to-dropout, to-identity undo each other"),
]


@pytest.mark.parametrize(("passes", "message"), BREACHES)
def test_breaches_of_the_contract_are_named(passes: list[Pass], message: str) -> None:
    with pytest.raises(PassError, match=message):
        run_passes(graph(), passes)


@dataclass(frozen=True)
class Swapper(Pass):
    """Puts a new array in place of a large one, which may get its address."""

    name: ClassVar[str] = "swapper"

    def run(self, graph: Graph, rewriter: Rewriter) -> None:
        graph.remove_constant(graph.value("weight"))
        graph.add_constant(np.ones(100), "weight")


def test_a_new_array_is_a_change_wherever_it_lies() -> None:
    g = graph()
    g.add_constant(np.zeros(100), "weight")
    with pytest.raises(PassError, match="'swapper' changed the graph but recorded no hit"):
        run_passes(g, [Swapper()])


@dataclass(frozen=True)
class Faulty(Pass):
    """Raises."""

    name: ClassVar[str] = "faulty"

    def run(self, graph: Graph, rewriter: Rewriter) -> None:
        raise KeyError("k")


def test_what_a_plugins_pass_raises_is_named() -> None:
    with pytest.raises(GieError, match="the pass 'faulty' of plugin 'acme' raised KeyError: 'k'"):
        run_passes(graph(), [Faulty()], owners={"faulty": "acme"})
    with pytest.raises(KeyError):
        run_passes(graph(), [Faulty()])


def named(
    label: str, after: tuple[str, ...] = (), before: tuple[str, ...] = (), group: bool = False
) -> Pass:
    attributes = {
        "name": label,
        "after": after,
        "before": before,
        "phase": Phase.GROUP if group else Phase.SIMPLIFY,
    }
    return type("Named", (Pass,), attributes)()


ORDERS = [
    ([named("b"), named("a")], "a b"),
    ([named("a", after=("b",)), named("b")], "b a"),
    ([named("a"), named("b", before=("a",))], "b a"),
    ([named("a", group=True), named("b")], "b a"),
    ([named("a", after=("absent",)), named("b")], "a b"),
    ([named("a", after=("c",)), named("c", after=("b",)), named("b")], "b c a"),
]


@pytest.mark.parametrize(("passes", "order"), ORDERS)
def test_order(passes: list[Pass], order: str) -> None:
    assert " ".join(p.name for p in sort_passes(passes)) == order


def test_a_contradiction_names_passes_and_owners() -> None:
    passes = [named("a", after=("b",)), named("b", after=("a",))]
    with pytest.raises(PassError, match=r"a \(acme\).*b \(core\)|b \(core\).*a \(acme\)"):
        sort_passes(passes, {"a": "acme"})


def test_two_passes_of_one_name() -> None:
    with pytest.raises(PassError, match="two passes are called 'a'"):
        sort_passes([named("a"), named("a")])
