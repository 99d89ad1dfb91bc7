"""The verifier: each rule is broken once, and the message stands under the node."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gie_core.ir.dims import symbol
from gie_core.ir.graph import Graph
from gie_core.ir.parser import parse_graph
from gie_core.ir.quantization import Quantization
from gie_core.ir.types import DType, TensorType
from gie_core.ir.verify import RULES, Stage, VerifyError, verify
from gie_core.ops import core_ops
from gie_core.ops.control import If
from gie_core.ops.group import Group
from gie_core.ops.shape import Reshape

TEXT = """
graph main {
  input %x: f32[n, 4]
  const %c: f32[1] = [2.0]
  %a = identity(%x)
  %b = identity(%a)
  %s = reshape(%b) {shape = [n, 2, 2]}
  return %s
}
"""


def late_definition(graph: Graph) -> None:
    first, second, *_ = graph.nodes
    graph.move_before(second, first)


def stale_use(graph: Graph) -> None:
    node = graph.value("b").node
    assert node is not None
    object.__setattr__(graph.value("a"), "_uses", {})


def missing_operand(graph: Graph) -> None:
    node = graph.value("a").node
    assert node is not None
    graph.set_operand(node, 0, None)


def wrong_type(graph: Graph) -> None:
    graph.value("a").type = TensorType.of("f32", ["n", 5])


def wrong_constant(graph: Graph) -> None:
    graph.value("c").type = TensorType.of("f32", [2])


def unbound_symbol(graph: Graph) -> None:
    shape = (symbol("m"), 2, 2)
    graph.add(Reshape(shape=shape), graph.value("b"), types=[TensorType.of("f32", ["n", 2, 2])])


def unbound_factor(graph: Graph) -> None:
    graph.inputs[0].type = TensorType.of("f32", ["2*n", 4])
    for name in ("a", "b"):
        graph.value(name).type = graph.inputs[0].type


def wrong_size(graph: Graph) -> None:
    graph.value("a").type = TensorType.of("f32", ["n + 1", 4])


def too_many_scales(graph: Graph) -> None:
    graph.value("a").quantization = Quantization(DType.I8, (1.0,) * 5, (0,) * 5, axis=1)


def scales_beyond_the_rank(graph: Graph) -> None:
    graph.value("a").quantization = Quantization(DType.I8, (1.0,) * 4, (0,) * 4, axis=2)


def unfit_branch(graph: Graph) -> None:
    branch = parse_graph("graph b { input %x: f32[n, 5] return %x }", core_ops())
    condition = graph.add_constant(np.array(True))
    op = If(then_branch=branch, else_branch=branch)
    graph.add(op, condition, graph.inputs[0], types=[TensorType.of("f32", [1])])


def early_group(graph: Graph) -> None:
    body = parse_graph("graph b { input %x: f32[n, 4] return %x }", core_ops())
    graph.add(Group(kind="epilogue", body=body), graph.inputs[0])


def hidden_state(graph: Graph) -> None:
    graph.add_state(graph.inputs[0], graph.value("b"))


FAULTS: list[tuple[Callable[[Graph], None], str]] = [
    (late_definition, "%a is read before it is defined"),
    (stale_use, "%a does not know that operand 0 reads it"),
    (missing_operand, "identity needs the operand 'x'"),
    (wrong_type, r"%a is f32\[n, 5\], but identity makes f32\[n, 4\]"),
    (wrong_constant, r"the constant %c does not have its type f32\[2\]"),
    (wrong_size, r"%a is f32\[n \+ 1, 4\], but identity makes f32\[n, 4\]"),
    (unfit_branch, r"if: the body's input %x is a f32\[n, 5\], not a f32\[n, 4\]"),
    (too_many_scales, r"%a has 5 scales at axis 1, which does not fit f32\[n, 4\]"),
    (scales_beyond_the_rank, r"%a has 4 scales at axis 2, which does not fit f32\[n, 4\]"),
    (unbound_factor, "the dimension 'n' is not known here"),
    (unbound_symbol, "the dimension 'm' is not known here"),
    (hidden_state, "the state %x becomes %b, which is no output"),
    (early_group, "groups may only be made by the passes that group"),
]


@pytest.mark.parametrize(("plant", "message"), FAULTS, ids=lambda f: getattr(f, "__name__", ""))
def test_faults_are_found(plant: Callable[[Graph], None], message: str) -> None:
    graph = parse_graph(TEXT, core_ops())
    verify(graph)
    plant(graph)
    with pytest.raises(VerifyError, match=message):
        verify(graph)


def test_groups_belong_to_the_last_stage() -> None:
    graph = parse_graph(TEXT, core_ops())
    early_group(graph)
    verify(graph, Stage.GROUPED)


def test_the_message_stands_under_the_node() -> None:
    graph = parse_graph(TEXT, core_ops())
    wrong_type(graph)
    with pytest.raises(VerifyError) as error:
        verify(graph)
    lines = error.value.graph_text.splitlines()
    position = next(i for i, line in enumerate(lines) if "^^^" in line)
    assert lines[position - 1].strip().startswith("%a:")


def test_the_message_finds_quoted_names() -> None:
    graph = parse_graph(TEXT, core_ops())
    graph.rename(graph.value("a"), "a b")
    graph.value("a b").type = TensorType.of("f32", ["n", 5])
    with pytest.raises(VerifyError) as error:
        verify(graph)
    lines = error.value.graph_text.splitlines()
    position = next(i for i, line in enumerate(lines) if "^^^" in line)
    assert lines[position - 1].strip().startswith('%"a b":')


def test_bodies_are_verified_too() -> None:
    graph = parse_graph(TEXT, core_ops())
    early_group(graph)
    *_, node = graph.nodes
    body = node.op.subgraphs()["body"]
    body.add_constant(np.zeros(2), "w").type = TensorType.of("f32", [3])
    with pytest.raises(VerifyError, match="graph 'b' is not valid"):
        verify(graph, Stage.GROUPED)


def test_every_rule_is_broken_above_or_cannot_be() -> None:
    """Names and operands are kept right by ``Graph`` itself; all other rules have a fault here."""
    assert len(RULES) == 8
