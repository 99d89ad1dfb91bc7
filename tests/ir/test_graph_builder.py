"""The public graph builder."""

from __future__ import annotations

import numpy as np
import pytest

from gie_core.ir.graph import GraphError
from gie_core.ir.graph_builder import GraphBuilder
from gie_core.ir.op import OpError
from gie_core.ir.text import format_graph
from gie_core.ir.types import TensorType
from gie_core.ir.verify import VerifyError
from gie_core.ops.arithmetic import Add, Mul
from gie_core.ops.foreign import Foreign
from gie_core.ops.run import run_graph
from gie_core.ops.shape import Split


def test_a_graph_in_a_few_lines() -> None:
    b = GraphBuilder("net")
    x = b.input("x", "f32", ["n", 2])
    y = b.add(Mul(), x, np.array([[2, 3]], np.float32), source="Mul_0")
    b.output(b.add(Add(), y, 1), "sum")
    graph = b.build()
    assert graph.output_names == ("sum",)
    assert '%mul: f32[n, 2] = mul(%x, %c) from "Mul_0"' in format_graph(graph)
    result = run_graph(graph, [np.ones((1, 2), np.float32)])[0]
    np.testing.assert_array_equal(result, [[3, 4]])


def test_numbers_take_the_dtype_beside_them() -> None:
    b = GraphBuilder()
    x = b.input("x", "f16", [2])
    assert b.add(Add(), x, 1).type == TensorType.of("f16", [2])


@pytest.mark.parametrize("number", [0.5, 300, -1])
def test_numbers_that_do_not_fit_are_refused(number: float) -> None:
    b = GraphBuilder()
    x = b.input("x", "u8", [2])
    with pytest.raises(GraphError, match="cannot be a constant of type u8; pass an array"):
        b.add(Add(), x, number)


def test_several_results() -> None:
    b = GraphBuilder()
    x = b.input("x", "f32", [5])
    node = b.add_node(Split(axis=0, sizes=(2, 3)), x, names=("head", "tail"))
    assert [r.name for r in node.results] == ["head", "tail"]


def test_types_can_be_declared() -> None:
    b = GraphBuilder()
    x = b.input("x", "f32", [5])
    with pytest.raises(OpError, match="cannot infer its result types; declare them"):
        b.add(Foreign(domain="d", op="o"), x)
    node = b.add_node(Foreign(domain="d", op="o"), x, types=[TensorType.of("f32")])
    assert str(node.result.type) == "f32[*]"


def test_states() -> None:
    b = GraphBuilder()
    total, x = b.input("total", "f32", [1]), b.input("x", "f32", [1])
    following = b.add(Add(), total, x)
    b.state(total, following)
    b.output(following)
    assert b.build().states[0].input is total


def test_errors() -> None:
    b = GraphBuilder()
    x = b.input("x", "f32", [2])
    with pytest.raises(GraphError, match="has a value called 'x' already"):
        b.input("x", "f32", [2])
    with pytest.raises(OpError, match=r"add: shapes \[2\] and \[3\] do not broadcast"):
        b.add(Add(), x, np.zeros(3, np.float32))
    x.type = TensorType.of("f32", [3])
    b.output(b.add(Add(), x, x))
    x.type = TensorType.of("f32", [4])
    with pytest.raises(VerifyError, match="add makes"):
        b.build()
