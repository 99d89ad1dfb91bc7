"""Graphs: building, reading, changing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gie_core.ir.graph import Graph, GraphError, Node, Value
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import TensorType
from gie_core.ops.identity import Identity

F32 = TensorType.of("f32", ["n", 3])


class Join(Op, name="test.join"):
    """Any two operands."""

    def infer(self, a: TensorType, b: TensorType, c: TensorType | None = None) -> TensorType:
        return a


class Twice(Op, name="test.twice", results=("first", "second")):
    """Two results."""

    def infer(self, x: TensorType) -> tuple[TensorType, TensorType]:
        return x, x


def chain(length: int) -> tuple[Graph, list[Node]]:
    graph = Graph()
    value = graph.add_input("x", F32)
    nodes: list[Node] = []
    for _ in range(length):
        nodes.append(graph.add(Identity(), value))
        value = nodes[-1].result
    graph.set_outputs([value])
    return graph, nodes


def names(graph: Graph) -> list[str]:
    return [node.results[0].name for node in graph.nodes]


def test_results_get_unique_names() -> None:
    graph = Graph()
    x = graph.add_input("x", F32)
    node = graph.add(Twice(), x)
    again = graph.add(Twice(), x, names=("first", "second"))
    assert [r.name for r in node.results] == ["test.twice", "test.twice_1"]
    assert [r.name for r in again.results] == ["first", "second"]
    assert graph.add(Identity(), x, names=("x",)).result.name == "x_1"
    assert graph.add_constant(1.0, "x").name == "x_2"


def test_uses_are_ordered_and_count_each_operand() -> None:
    graph = Graph()
    x = graph.add_input("x", F32)
    join = graph.add(Join(), x, x)
    single = graph.add(Identity(), x)
    assert [(use.node, use.index) for use in x.uses] == [(join, 0), (join, 1), (single, 0)]
    assert x.users == (join, single)


def test_operands_are_found_by_name() -> None:
    graph = Graph()
    x, y = graph.add_input("x", F32), graph.add_input("y", F32)
    node = graph.add(Join(), x, y, None)
    assert node.operands == (x, y)
    assert (node.operand("b"), node.operand("c")) == (y, None)
    with pytest.raises(KeyError, match="no operand 'd'"):
        node.operand("d")


@pytest.mark.parametrize(
    ("count", "message"), [(1, "needs the operand 'b'"), (4, "at most 3 operands, got 4")]
)
def test_arity_is_checked(count: int, message: str) -> None:
    graph = Graph()
    x = graph.add_input("x", F32)
    with pytest.raises(OpError, match=message):
        graph.add(Join(), *[x] * count)


def test_values_of_another_graph_are_refused() -> None:
    stranger = Graph().add_input("x", F32)
    graph = Graph()
    graph.add_input("x", F32)
    with pytest.raises(GraphError, match="%x, an operand of identity, is not a value of graph"):
        graph.add(Identity(), stranger)
    with pytest.raises(GraphError, match="is not a value of graph"):
        graph.set_outputs([stranger])


def test_constants_are_read_only_and_detached() -> None:
    graph = Graph()
    array = np.arange(4.0)
    view = graph.add_constant(array[:2], "v").data
    assert view is not None
    array[0] = 9
    assert view[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1


STRANGERS: list[Callable[[Graph, Node, Node], object]] = [
    lambda graph, own, stranger: graph.add(Identity(), graph.inputs[0], before=stranger),
    lambda graph, own, stranger: graph.remove(stranger),
    lambda graph, own, stranger: graph.set_operand(stranger, 0, graph.inputs[0]),
    lambda graph, own, stranger: graph.set_operand(own, 0, stranger.result),
    lambda graph, own, stranger: graph.move_before(stranger, own),
    lambda graph, own, stranger: graph.move_before(own, stranger),
]


@pytest.mark.parametrize("change", STRANGERS)
def test_nodes_of_another_graph_are_refused(change: Callable[[Graph, Node, Node], object]) -> None:
    (graph, (own,)), (other, (stranger,)) = chain(1), chain(1)
    other.set_outputs([other.inputs[0]])
    with pytest.raises(GraphError, match=r"is not a (node|value) of graph 'main'"):
        change(graph, own, stranger)
    assert (list(graph.nodes), list(other.nodes)) == ([own], [stranger])


def test_the_callers_array_stays_the_callers() -> None:
    array = np.zeros(3)
    constant = Graph().add_constant(array).data
    array[0] = 1
    assert constant is not None
    assert constant[0] == 0


def test_arrays_that_are_given_away_or_read_only_are_not_copied() -> None:
    array = np.zeros(3)
    assert Graph().add_constant(array, own=True).data is array
    assert Graph().add_constant(array).data is array
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_nodes_are_inserted_in_front_of_others() -> None:
    graph, (first, second) = chain(2)
    graph.add(Identity(), graph.inputs[0], names=["early"], before=first)
    graph.add(Identity(), first.result, names=["between"], before=second)
    assert names(graph) == ["early", "identity", "between", "identity_1"]
    assert len(graph) == 4


def test_walking_survives_changes() -> None:
    graph, nodes = chain(5)
    seen: list[Node] = []
    for node in graph.nodes:
        seen.append(node)
        if node in nodes[1:3]:
            graph.replace_uses(node.result, graph.inputs[0])
            graph.remove(node)
    assert seen == nodes
    assert names(graph) == ["identity", "identity_3", "identity_4"]


def test_replacing_uses_reaches_outputs_and_states() -> None:
    graph, (first, second) = chain(2)
    graph.add_state(graph.inputs[0], second.result)
    graph.replace_uses(second.result, first.result)
    assert graph.outputs == (first.result,)
    assert graph.output_names == ("identity_1",)
    assert graph.states[0].output is first.result
    graph.remove(second)
    assert not second.is_attached


@pytest.mark.parametrize("position", [0, 1])
def test_what_is_used_cannot_be_removed(position: int) -> None:
    graph, nodes = chain(2)
    with pytest.raises(GraphError, match="still used"):
        graph.remove(nodes[position])
    with pytest.raises(GraphError, match="still used"):
        graph.remove_input(graph.inputs[0])


def test_the_input_of_a_state_cannot_be_removed() -> None:
    graph, nodes = chain(1)
    state = graph.add_input("s", F32)
    graph.add_state(state, nodes[0].result)
    with pytest.raises(GraphError, match="%s is still used"):
        graph.remove_input(state)


def test_states_must_be_inputs_of_the_same_type() -> None:
    graph, nodes = chain(1)
    with pytest.raises(GraphError, match="is not an input"):
        graph.add_state(nodes[0].result, nodes[0].result)
    other = graph.add_input("s", TensorType.of("f16", [1]))
    graph.add_state(graph.inputs[0], nodes[0].result)
    with pytest.raises(GraphError, match="%x is a state already"):
        graph.add_state(graph.inputs[0], nodes[0].result)
    with pytest.raises(GraphError, match=r"is f16\[1\], its successor %identity f32"):
        graph.add_state(other, nodes[0].result)


def test_outputs_have_names_of_their_own() -> None:
    graph, nodes = chain(1)
    graph.set_outputs([("a", nodes[0].result), ("b", nodes[0].result)])
    assert graph.output_names == ("a", "b")
    with pytest.raises(GraphError, match="two outputs of one name"):
        graph.set_outputs([("a", nodes[0].result), ("a", nodes[0].result)])


def test_renaming_keeps_names_unique() -> None:
    graph, nodes = chain(2)
    graph.rename(nodes[1].result, "identity")
    assert nodes[1].result.name == "identity_2"
    assert graph.value("identity_2") is nodes[1].result
    with pytest.raises(KeyError):
        graph.value("identity_1")


def test_values_compare_by_identity() -> None:
    a, b = Value("x", F32), Value("x", F32)
    assert a != b
    assert len({a, b}) == 2
