"""The reference executor: what it computes, what it checks, and whom it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Node
from gie_core.ir.op import Op
from gie_core.ir.types import Array, TensorType
from gie_core.ops.activation import Relu
from gie_core.ops.arithmetic import Add, Clip, Mul
from gie_core.ops.foreign import Foreign
from gie_core.ops.run import ExecutionError, compute_node, run_graph
from gie_core.ops.shape import Expand, Reshape, Split
from gie_core.testing.ops import draw, tensor_type


class Broken(Op, name="broken"):
    """Fails as its attribute says."""

    how: str

    def infer(self, x: TensorType) -> TensorType:
        return x

    def compute(self, x: Array) -> Any:
        match self.how:
            case "raise":
                raise ZeroDivisionError("oh")
            case "two results":
                return x, x
            case "other type":
                return x.astype(np.float64)
            case _:
                return x[:1]


def graph_of(*inputs: str) -> Graph:
    graph = Graph("net")
    for index, text in enumerate(inputs):
        graph.add_input(f"x{index}", tensor_type(text))
    return graph


def test_runs_in_order_with_constants_and_several_outputs() -> None:
    graph = graph_of("f32[n, 4]")
    (x,) = graph.inputs
    two = graph.add_constant(np.float32(2))
    left, right = graph.add(Split(axis=1, sizes=(1, 3)), x).results
    total = graph.add(Add(), left, right).result
    graph.set_outputs([total, ("double", graph.add(Mul(), total, two).result), ("in", x)])
    values = draw(2, 4)
    total_, double, same = run_graph(graph, [values])
    np.testing.assert_array_equal(total_, values[:, :1] + values[:, 1:])
    np.testing.assert_array_equal(double, 2 * total_)
    assert same is values


def test_symbols_become_numbers() -> None:
    graph = graph_of("f32[n, 6]")
    n = graph.inputs[0].tensor.dims[0]
    node = graph.add(Reshape(shape=(3 * n, 2)), graph.inputs[0])
    graph.set_outputs(node.results)
    assert run_graph(graph, [draw(5, 6)])[0].shape == (15, 2)


def test_an_attribute_may_divide_by_zero() -> None:
    graph = graph_of("f32[n]")
    shape = (12 // graph.inputs[0].tensor.dims[0],)
    op = Expand(shape=shape)
    graph.set_outputs(graph.add(op, graph.add_constant(np.float32(1)), names=["y"]).results)
    with pytest.raises(ExecutionError, match="expand failed at %y: ZeroDivisionError"):
        run_graph(graph, [np.zeros(0, np.float32)])


def test_absent_operands_arrive_as_none() -> None:
    graph = graph_of("f32[n]", "f32[]")
    x, high = graph.inputs
    graph.set_outputs(graph.add(Clip(), x, None, high).results)
    (y,) = run_graph(graph, [np.array([-9, 9], np.float32), np.ones((), np.float32)])
    assert y.tolist() == [-9, 1]


def test_another_function_may_compute() -> None:
    graph = graph_of("f32[n]")
    graph.set_outputs(graph.add(Relu(), graph.inputs[0], names=["y"]).results)
    seen: list[str] = []

    def compute(node: Node, op: Op, operands: Any) -> tuple[Any, ...]:
        seen.append(node.result.name)
        return compute_node(node, op, operands)

    run_graph(graph, [draw(3)], compute)
    assert seen == ["y"]


INPUTS: list[tuple[list[str], list[Any], str]] = [
    # declared, given, message
    (["f32[n]"], [], "graph 'net' has 1 inputs, but got 0"),
    (["f32[3]"], [np.zeros(4, np.float32)], r"%x0 is f32\[3\], but got an array of shape \[4\]"),
    (["f32[n]"], [np.zeros((4, 1), np.float32)], r"but got an array of shape \[4, 1\]"),
    (["f32[n]"], [np.zeros(4)], r"%x0 is f32\[n\], but got an array of float64"),
    (
        ["f32[n]", "f32[n]"],
        [np.zeros(4, np.float32), np.zeros(3, np.float32)],
        r"%x1 is f32\[n\] with n = 4, but got an array of shape \[3\]",
    ),
    (
        ["f32[2*n]", "f32[n]"],  # n is known only after the second
        [np.zeros(7, np.float32), np.zeros(3, np.float32)],
        r"%x0 is f32\[2\*n\] with n = 3, but got an array of shape \[7\]",
    ),
    (
        ["f32[n]", "f32[12 // n]"],
        [np.zeros(0, np.float32), np.zeros(3, np.float32)],
        r"%x1 is f32\[12 // n\], which divides by zero with n = 0",
    ),
]


@pytest.mark.parametrize(("declared", "given", "message"), INPUTS)
def test_checks_inputs(declared: list[str], given: list[Any], message: str) -> None:
    with pytest.raises(ExecutionError, match=message):
        run_graph(graph_of(*declared), given)


FAILURES = [
    ("raise", r"broken failed at %y \(from conv1, relu1\): ZeroDivisionError: oh"),
    ("two results", r"broken at %y \(from conv1, relu1\) returned 2 results, not 1"),
    ("other type", r"%y is f32\[n\], but got an array of float64"),
    ("other shape", r"%y is f32\[n\] with n = 3, but got an array of shape \[1\]"),
]


@pytest.mark.parametrize(("how", "message"), FAILURES)
def test_names_the_node_that_fails(how: str, message: str) -> None:
    graph = graph_of("f32[n]")
    node = graph.add(Broken(how=how), graph.inputs[0], names=["y"], sources=["conv1", "relu1"])
    graph.set_outputs(node.results)
    with pytest.raises(ExecutionError, match=message):
        run_graph(graph, [draw(3)])


def foreign(graph: Graph) -> Node:
    op = Foreign(domain="ai.onnx", op="Celestial", version=1)
    return graph.add(op, graph.inputs[0], names=["y"], types=[tensor_type("f32[*]")])


def unbound(graph: Graph) -> Node:
    m = tensor_type("f32[m]").dims[0]
    return graph.add(Reshape(shape=(m,)), graph.inputs[0], names=["y"])


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (foreign, r"foreign has no reference implementation \(node %y\)"),
        (unbound, "the dimension 'm' is not known when %y runs"),
    ],
)
def test_says_what_cannot_run(add: Callable[[Graph], Node], message: str) -> None:
    graph = graph_of("f32[n]")
    graph.set_outputs(add(graph).results)
    with pytest.raises(ExecutionError, match=message):
        run_graph(graph, [draw(3)])


def test_errors_are_for_the_user() -> None:
    assert issubclass(ExecutionError, GieError)
