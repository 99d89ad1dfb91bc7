"""If and loop: what runs, what comes out, and what is known of it beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.graph import Graph, Value
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import SequenceType, TensorType, Type
from gie_core.ops.arithmetic import Add, Less, Mul
from gie_core.ops.control import If, Loop
from gie_core.ops.identity import Identity
from gie_core.ops.index import NonZero
from gie_core.ops.run import run_graph
from gie_core.ops.shape import Concat, Tile
from gie_core.testing.ops import check, tensor_type

F32 = "f32[n]"


def graph_of(*inputs: str) -> tuple[Graph, list[Value]]:
    graph = Graph("body")
    return graph, [graph.add_input(f"x{i}", tensor_type(text)) for i, text in enumerate(inputs)]


def unary(op: Op, input: str = F32) -> Graph:
    """A graph of one op on its input, twice if it takes two."""
    graph, (x,) = graph_of(input)
    graph.set_outputs(graph.add(op, *[x] * len(op.operand_specs())).results)
    return graph


def types(*texts: str) -> list[TensorType]:
    return [tensor_type(text) for text in texts]


# ── If ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("condition", [np.array(True), np.array([True]), np.array([[False]])])
def test_if_runs_one_branch(condition: Any) -> None:
    op = If(then_branch=unary(Add()), else_branch=unary(Mul()))
    x = np.array([3, 4], np.float32)
    check(op, condition, x, expect=x + x if condition.item() else x * x)


def test_if_without_captures() -> None:
    branches: list[Graph] = []
    for value in (1.0, 2.0):
        graph = Graph()
        graph.set_outputs([("y", graph.add_constant(np.float32(value)))])
        branches.append(graph)
    check(If(then_branch=branches[0], else_branch=branches[1]), np.array(False), expect=2)


BRANCHES: list[tuple[str, Op, Op, str]] = [
    # capture, then, else, inferred
    ("f32[4]", Add(), Mul(), "f32[4]"),
    ("f32[m]", Add(), Mul(), "f32[m]"),
    ("f32[2*m]", Identity(), Tile(repeats=(1,)), "f32[2*m]"),
    ("f32[4]", Identity(), Tile(repeats=(2,)), "f32[*]"),
    ("f32[*]", Identity(), Identity(), "f32[*]"),
]


@pytest.mark.parametrize(("capture", "then", "other", "expected"), BRANCHES)
def test_if_infers_where_branches_agree(capture: str, then: Op, other: Op, expected: str) -> None:
    op = If(then_branch=unary(then), else_branch=unary(other))
    assert [str(t) for t in op.infer(*types("bool[]", capture))] == [expected]


def test_a_declared_type_is_kept() -> None:
    graph = Graph()
    values = [graph.add_input(n, t) for n, t in zip("cx", types("bool[]", "f32[4]"), strict=True)]
    op = If(then_branch=unary(Identity()), else_branch=unary(Tile(repeats=(2,))))
    node = graph.add(op, *values, types=types("f32[k]"))
    graph.set_outputs(node.results)
    for condition, extent in ((True, 4), (False, 8)):
        assert run_graph(graph, [np.array(condition), np.ones(4, np.float32)])[0].shape == (extent,)


def two_outputs() -> Graph:
    graph, (x,) = graph_of(F32)
    graph.set_outputs([("a", x), ("b", x)])
    return graph


def sequence() -> Graph:
    graph = Graph()
    graph.add_input("x", tensor_type(F32))
    s = graph.add_input("s", SequenceType(tensor_type(F32)))
    graph.set_outputs([("s", s)])
    return graph


REJECTED: list[tuple[Graph, Graph, list[str], str]] = [
    (unary(Add()), unary(Less()), ["bool[]", "f32[2]"], r"result 0 cannot be both a f32\[2\] and"),
    (unary(Add()), two_outputs(), ["bool[]", "f32[2]"], "the branches have 1 and 2 outputs"),
    (unary(Add()), unary(Add()), ["f32[]", "f32[2]"], "condition must be of type bool"),
    (unary(Add()), unary(Add()), ["bool[2]", "f32[2]"], "the condition must have one element"),
    (unary(Add()), unary(Add()), ["bool[]"], "the body has 1 inputs, but got 0 operands"),
    (unary(Add()), unary(Add()), ["bool[]", "i8[2]"], r"input %x0 is a f32\[n\], not a i8\[2\]"),
]


@pytest.mark.parametrize(("then", "other", "operands", "message"), REJECTED)
def test_if_rejects(then: Graph, other: Graph, operands: list[str], message: str) -> None:
    with pytest.raises(OpError, match=message):
        If(then_branch=then, else_branch=other).infer(*types(*operands))


def test_symbols_that_a_body_binds_itself_stay_inside() -> None:
    graph, (x,) = graph_of("f32[n]")
    found = graph.add(NonZero(), x, types=[tensor_type("i64[1, k]")])
    graph.set_outputs(found.results)
    op = If(then_branch=graph, else_branch=graph)
    assert op.infer(*types("bool[]", "f32[3]")) == (tensor_type("i64[*]"),)


def test_lone_symbols_of_a_body_are_the_operands_extents() -> None:
    graph, (_, x) = graph_of("f32[m // 2]", "f32[m]")
    graph.set_outputs([x])
    op = If(then_branch=graph, else_branch=graph)
    assert op.infer(*types("bool[]", "f32[m // 2]", "f32[k]")) == (tensor_type("f32[k]"),)


def test_if_passes_sequences() -> None:
    op = If(then_branch=sequence(), else_branch=sequence())
    operands: list[Type] = [tensor_type("f32[2]"), SequenceType(tensor_type("f32[2]"))]
    assert op.infer(tensor_type("bool[]"), *operands) == (operands[1],)


# ── Loop ────────────────────────────────────────────────────────────────────────────


def counting_body(limit: int) -> Graph:
    """carried, capture -> going on while i < limit; carried + capture; scans: i, carried."""
    graph, (i, _, total, step) = graph_of("i64[]", "bool[]", "f32[n]", "f32[n]")
    going = graph.add(Less(), i, graph.add_constant(np.int64(limit))).result
    following = graph.add(Add(), total, step).result
    graph.set_outputs([going, following, ("i", i), ("seen", total)])
    return graph


@given(
    trip_count=st.none() | st.integers(0, 6),
    condition=st.none() | st.booleans(),
    limit=st.integers(0, 6),
)
def test_loop(trip_count: int | None, condition: bool | None, limit: int) -> None:
    start, step = np.array([1, 2], np.float32), np.array([10, 20], np.float32)
    total, iterations, seen = start, list[int](), list[Any]()
    going = condition is not False
    while going and (trip_count is None or len(iterations) < trip_count):
        going = len(iterations) < limit
        iterations.append(len(iterations))
        seen.append(total)
        total = total + step
    results = Loop(body=counting_body(limit), carried=1).compute(
        None if trip_count is None else np.array(trip_count),
        None if condition is None else np.array(condition),
        start,
        step,
        run=run_graph,
    )
    np.testing.assert_array_equal(results[0], total)
    np.testing.assert_array_equal(results[1], np.array(iterations, np.int64))
    np.testing.assert_array_equal(results[2], np.array(seen, np.float32).reshape(-1, 2))
    assert [r.dtype.name for r in results] == ["float32", "int64", "float32"]


def test_loop_in_a_graph() -> None:
    graph = Graph()
    operands = types("i64[]", "bool[]", "f32[m]", "f32[m]")
    values = [graph.add_input(f"x{i}", type_) for i, type_ in enumerate(operands)]
    op = Loop(body=counting_body(9), carried=1)
    node = graph.add(op, *values, types=types("f32[m]", "i64[k]", "f32[k, m]"))
    graph.set_outputs(node.results)
    inputs = [np.array(3), np.array(True), np.zeros(2, np.float32), np.ones(2, np.float32)]
    total, iterations, seen = run_graph(graph, inputs)
    assert total.tolist() == [3, 3]
    assert iterations.tolist() == [0, 1, 2]
    assert seen.shape == (3, 2)


def growing_body() -> Graph:
    graph, (_, going, x) = graph_of("i64[]", "bool[]", "f32[n]")
    graph.set_outputs([("going", going), ("x", graph.add(Concat(axis=0), x, x).result)])
    return graph


def rotating_body() -> Graph:
    graph, (_, going, a, b, c) = graph_of("i64[]", "bool[]", "f32[n]", "f32[m]", "f32[k]")
    graph.set_outputs([("going", going), ("a", b), ("b", c), ("c", a)])
    return graph


INFERRED: list[tuple[Graph, list[str], list[str]]] = [
    # body, carried values, inferred
    (growing_body(), ["f32[3]"], ["f32[*]"]),
    (rotating_body(), ["f32[4]"] * 3, ["f32[4]"] * 3),
    (rotating_body(), ["f32[p]"] * 3, ["f32[p]"] * 3),
    # It takes two iterations until the third value arrives at the first place.
    (rotating_body(), ["f32[4]", "f32[4]", "f32[5]"], ["f32[*]"] * 3),
]


@pytest.mark.parametrize(("body", "carried", "expected"), INFERRED)
def test_loop_infers_what_every_iteration_keeps(
    body: Graph, carried: list[str], expected: list[str]
) -> None:
    op = Loop(body=body, carried=len(carried))
    inferred = op.infer(tensor_type("i64[]"), None, *types(*carried))
    assert [str(t) for t in inferred] == expected


def test_loop_infers_scans_without_rank() -> None:
    operands = types("f32[3]", "f32[3]")
    inferred = Loop(body=counting_body(3), carried=1).infer(None, None, *operands)
    assert [str(t) for t in inferred] == ["f32[3]", "i64[*]", "f32[*]"]


def test_a_carried_value_may_grow() -> None:
    op = Loop(body=growing_body(), carried=1)
    (x,) = op.compute(np.array(3), None, np.ones(2, np.float32), run=run_graph)
    assert x.shape == (16,)


def test_a_body_may_take_the_iteration_as_a_vector() -> None:
    graph, (i, going) = graph_of("i64[1]", "bool[1]")
    graph.set_outputs([("going", going), ("i", i)])
    (scan,) = Loop(body=graph, carried=0).compute(np.array([2]), None, run=run_graph)
    assert scan.tolist() == [[0], [1]]


VALUES = types("f32[3]", "f32[3]")
LOOP_REJECTED: list[tuple[int, str | None, str | None, list[TensorType], str]] = [
    # carried, trip count, condition, operands, message
    (1, "i64[2]", None, VALUES, "the trip count must have one"),
    (1, "i32[]", None, VALUES, "trip_count must be of type i64"),
    (1, None, "i64[]", VALUES, "condition must be of type bool"),
    (1, None, None, VALUES[:1], "carried values and 0 captures has 3 inputs"),
    (3, None, None, VALUES, "3 values are carried, but there are 2"),
    (1, None, None, types("f32[3]", "f32[4]"), "the dimension 'n' of the body cannot be both"),
]


@pytest.mark.parametrize(("carried", "trips", "condition", "operands", "message"), LOOP_REJECTED)
def test_loop_rejects(
    carried: int, trips: str | None, condition: str | None, operands: list[Type], message: str
) -> None:
    control = [None if text is None else tensor_type(text) for text in (trips, condition)]
    with pytest.raises(OpError, match=message):
        Loop(body=counting_body(1), carried=carried).infer(control[0], control[1], *operands)
