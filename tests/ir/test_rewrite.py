"""The rewriter: replacing, naming, sources, dead code, records."""

from __future__ import annotations

import pytest

from gie_core.ir.graph import Graph, GraphError, Node
from gie_core.ir.parser import parse_graph
from gie_core.ir.rewrite import Hit, Refusal, Replacement, Rewriter, remove_dead
from gie_core.ir.text import format_graph
from gie_core.ir.verify import verify
from gie_core.ops import core_ops
from gie_core.ops.identity import Dropout, Identity


def graph_of(*lines: str) -> Graph:
    return parse_graph("\n".join(["graph g {", *lines, "}"]), core_ops())


def node_named(graph: Graph, name: str) -> Node:
    node = graph.value(name).node
    assert node is not None
    return node


def skip(node: Node, rewriter: Rewriter) -> Replacement:
    """A rule: an identity is its operand."""
    return node.operands[0] if isinstance(node.op, Identity) else None


def soften(node: Node, rewriter: Rewriter) -> Replacement:
    """A rule: an identity of an identity is one dropout."""
    operand = node.operands[0]
    if operand is None or operand.node is None or not isinstance(node.op, Identity):
        return None
    return rewriter.add(Dropout(ratio=0.1), operand.node.operands[0])


CHAIN = (
    "input %x: f32[2]",
    '%a = identity(%x) from "A"',
    '%b = identity(%a) from "B"',
    "return %b",
)


def test_a_new_node_takes_name_and_sources_of_what_it_replaces() -> None:
    graph, rewriter = graph_of(*CHAIN), None
    rewriter = Rewriter(graph)
    assert rewriter.apply(soften, node_named(graph, "b"))
    verify(graph)
    assert format_graph(graph).splitlines()[2] == (
        '  %b: f32[2] = dropout(%x) {ratio = 0.1} from "A", "B"'
    )
    assert rewriter.hits == [Hit("%b = identity", ("B",), ("%b",))]


def test_an_existing_value_keeps_its_name() -> None:
    graph = graph_of(*CHAIN)
    assert Rewriter(graph).apply(skip, node_named(graph, "b"))
    assert graph.outputs[0].name == "a"
    assert graph.output_names == ("b",)


def test_what_others_read_stays() -> None:
    graph = graph_of(*CHAIN[:3], "return %b, %a")
    assert Rewriter(graph).apply(soften, node_named(graph, "b"))
    assert [node.op.name for node in graph.nodes] == ["identity", "dropout"]
    assert node_named(graph, "b").sources == ("B",)


def test_a_refusal_is_recorded_and_undoes_what_was_added() -> None:
    graph = graph_of(*CHAIN)
    before = format_graph(graph)

    def refuse(node: Node, rewriter: Rewriter) -> Replacement:
        rewriter.add(Identity(), rewriter.constant([1.0, 2.0]))
        return Refusal("because")

    rewriter = Rewriter(graph)
    assert not rewriter.apply(refuse, node_named(graph, "b"))
    assert rewriter.refusals == [("%b = identity", "because")]
    assert format_graph(graph) == before


def test_the_number_of_values_must_fit() -> None:
    graph = graph_of(*CHAIN)
    with pytest.raises(GraphError, match="2 values were given to replace the 1 results"):
        Rewriter(graph).apply(lambda node, _: [graph.inputs[0]] * 2, node_named(graph, "b"))


def test_nodes_are_built_only_inside_a_rule() -> None:
    graph = graph_of(*CHAIN)
    with pytest.raises(GraphError, match="only while a rule is running"):
        Rewriter(graph).add(Identity(), graph.inputs[0])


def test_a_binding_quantization_is_not_lost() -> None:
    graph = graph_of(
        "input %x: f32[2]",
        "%a: f32[2] quant(i8, scale = [0.5], zero_point = [0], binding) = identity(%x)",
        "%b = identity(%a)",
        "return %b",
    )
    rewriter = Rewriter(graph)
    assert not rewriter.apply(skip, node_named(graph, "a"))
    assert rewriter.refusals == [
        ("%a = identity", "the model binds %a to a quantization, which %x lacks")
    ]
    assert rewriter.apply(lambda node, r: r.add(Dropout(), graph.inputs[0]), node_named(graph, "a"))
    quantization = graph.value("a").quantization
    assert quantization is not None
    assert quantization.binding


def test_a_calibrated_quantization_binds_nobody() -> None:
    graph = graph_of(
        "input %x: f32[2]",
        "%a: f32[2] quant(i8, scale = [0.5], zero_point = [0]) = identity(%x)",
        "return %a",
    )
    assert Rewriter(graph).apply(skip, node_named(graph, "a"))


def test_dead_nodes_take_their_operands_along() -> None:
    graph = graph_of(
        "input %x: f32[1]",
        "const %c: f32[1] = [1.0]",
        "%a = identity(%c)",
        "%b = identity(%a)",
        "%d = identity(%x)",
        "return %d",
    )
    removed = remove_dead(graph, [node_named(graph, "b"), node_named(graph, "d")])
    assert [node.op.name for node in removed] == ["identity", "identity"]
    assert not graph.constants
    assert len(graph) == 1


def test_a_node_that_tells_a_dimension_is_not_dead() -> None:
    graph = graph_of(
        "input %x: f32[n]",
        "const %one: f32[1] = [1.0]",
        "%where: i64[1, k] = nonzero(%x)",
        "%y: f32[k] = expand(%one) {shape = [k]}",
        "return %y",
    )
    teller = node_named(graph, "where")
    assert not remove_dead(graph, [teller])
    graph.set_outputs([graph.inputs[0]])
    remove_dead(graph, [node_named(graph, "y")])
    assert remove_dead(graph, [teller]) == [teller]
