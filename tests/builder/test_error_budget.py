"""Amplifications where they are known, local errors, and the sum of squares against the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.builder.error_budget import (
    amplification,
    amplifications,
    reference_values,
    storage_error,
    variance,
)
from gie_core.ir.graph import Graph, Node
from gie_core.ir.graph_builder import GraphBuilder
from gie_core.ir.op import Op
from gie_core.ir.parser import parse_graph
from gie_core.ir.types import Array, DType
from gie_core.ops import core_ops
from gie_core.ops.activation import Relu
from gie_core.ops.arithmetic import Add, Mul
from gie_core.ops.linear import Matmul
from gie_core.ops.run import compute_node, run_graph
from gie_core.testing.graphs import random_graphs
from gie_core.testing.inputs import random_inputs

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 64))


def measured(body: str, x: Array = X) -> dict[str, float]:
    """The amplification of each value of a graph of %x [64, 64] and constants, by its name."""
    text = f"""graph g {{
        input %x: {DType.of(x.dtype)}[64, 64]
        const %two: f64[1] = [2.0]
        const %three: f64[1] = [3.0]
        const %tiny: f64[1] = [1e-6]
        {body}
    }}"""
    graph = parse_graph(text, core_ops())
    found = amplifications(graph, reference_values(graph, [x]))
    return {value.name: number for value, number in found.items()}


# ── Amplification ───────────────────────────────────────────────────────────────────

SHIFTED = float(np.linalg.norm(X) / np.linalg.norm(X + 3))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("%y = mul(%x, %three) \n return %y", {"x": 1, "y": 1}),
        ("%y = mul(%x, %x) \n return %y", {"x": 2, "y": 1}),
        ("%y = add(%x, %three) \n return %y", {"x": SHIFTED, "y": 1}),
        (
            "%a = add(%x, %three) \n %y = mul(%a, %three) \n return %y",
            {"x": SHIFTED, "a": 1, "y": 1},
        ),
        ("%y = matmul(%x, %x) \n return %y", {"x": math.sqrt(2), "y": 1}),
        ("%dead = relu(%x) \n return %x", {"x": 1, "dead": 0}),
        ("%y = sub(%x, %x) \n return %y", {"x": 0, "y": 0}),
        # the larger one of two outputs
        (
            "%y = mul(%x, %three) \n %z = mul(%x, %x) \n return %y, %z",
            {"x": 2, "y": 1, "z": 1},
        ),
        # an error too small to change an integer
        (
            "%a = mul(%x, %tiny) \n %i = cast(%a) {to = i32} \n %y = cast(%i) {to = f64} \n"
            "return %y",
            {"x": 0, "a": 0, "y": 0},
        ),
        # integers are not measured
        ("%i = cast(%x) {to = i32} \n return %i", {"x": 0}),
    ],
)
def test_where_it_is_known(body: str, expected: dict[str, float]) -> None:
    assert measured(body) == pytest.approx(expected, rel=0.05)


def test_an_output_that_becomes_infinite_has_no_bound() -> None:
    large = np.full((64, 64), np.finfo(np.float64).max / 2.0001)
    assert measured("%y = mul(%x, %two) \n return %y", large)["x"] == math.inf
    assert measured("%y = relu(%x) \n return %y", large)["x"] == pytest.approx(1)


def test_the_new_content_of_a_state_counts() -> None:
    graph = parse_graph(
        """graph g {
          input %x: f64[64, 64]
          input %old: f64[64, 64]
          %new = mul(%x, %x)
          %y = relu(%old)
          state %old -> %new
          return %y
        }""",
        core_ops(),
    )
    found = amplifications(graph, reference_values(graph, [X, X]))
    assert found[graph.value("x")] == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16, DType.BF16])
def test_of_narrow_values(dtype: DType) -> None:
    found = measured("%y = mul(%x, %x) \n return %y", X.astype(dtype.numpy))
    assert found == pytest.approx({"x": 2, "y": 1}, rel=0.1)


def test_of_constants_where_wanted() -> None:
    b = GraphBuilder()
    b.output(b.add(Mul(), b.input("x", "f64", ["n", 64]), X))
    graph = b.build()
    values = reference_values(graph, [X])
    found = amplifications(graph, values, wanted=graph.constants)
    assert list(found) == list(graph.constants)
    assert found[graph.constants[0]] == pytest.approx(1, rel=0.05)


def test_only_what_depends_on_a_value_runs_again() -> None:
    graph, ran = chain(6), list[Node]()

    def compute(node: Node, op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
        ran.append(node)
        return compute_node(node, op, operands)

    values = reference_values(graph, [X], compute)
    assert ran == list(graph.nodes)
    ran.clear()
    amplification(graph, list(graph.nodes)[3].result, values, compute)
    assert ran == list(graph.nodes)[4:]


def chain(length: int) -> Graph:
    b = GraphBuilder()
    x = b.input("x", "f64", ["n", 64])
    for _ in range(length):
        x = b.add(Mul(), x, 1.25)
    b.output(x)
    return b.build()


@given(random_graphs(), st.integers(0, 9))
def test_of_any_graph(graph: Graph, seed: int) -> None:
    inputs = random_inputs(graph, np.random.default_rng(seed))
    values = reference_values(graph, inputs)
    for output, array in zip(graph.outputs, run_graph(graph, inputs), strict=True):
        np.testing.assert_array_equal(values[output], array)
    found = amplifications(graph, values, seed=seed)
    assert all(number >= 0 for number in found.values())
    assert found == amplifications(graph, values, seed=seed)


# ── Local error ─────────────────────────────────────────────────────────────────────

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("array", "dtype", "expected"),
    [
        ([1, -2, 0.5], DType.F16, 0),
        ([1 + 2**-11, 0, 0], DType.F16, 2**-11 / (1 + 2**-11)),
        ([1 + 2**-8, 0, 0], DType.BF16, 2**-8 / (1 + 2**-8)),
        ([3, 4 + 2**-9], DType.F16, 2**-9 / math.hypot(3, 4 + 2**-9)),
        ([1e-9, 0], DType.F16, 1),  # flushed to 0
        ([65504, 1], DType.F16, 0),
        ([65505, 1], DType.F16, INF),
        ([-1e5, 1], DType.F16, INF),
        ([1e5, 0], DType.BF16, abs(99840 - 1e5) / 1e5),
        ([448, 1], DType.F8E4M3, 0),
        ([449, 1], DType.F8E4M3, INF),
        ([7, 1], DType.F4E2M1, INF),  # a type without infinity saturates, but that is no rounding
        ([INF, NAN, 1], DType.F16, 0),
        ([INF, 1], DType.F8E4M3, INF),
        ([0, 0], DType.F16, 0),
        ([], DType.F16, 0),
        ([0.1], DType.F64, 0),
    ],
)
def test_storing_in_another_type(array: list[float], dtype: DType, expected: float) -> None:
    found = storage_error(np.array(array, np.float32), dtype)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("factor", "error", "expected"), [(3, 2, 36), (0, 2, 0), (0, INF, INF), (INF, 2, INF)]
)
def test_variance(factor: float, error: float, expected: float) -> None:
    assert variance(factor, error) == expected


# ── Together ────────────────────────────────────────────────────────────────────────


def residual(depth: int, rng: np.random.Generator) -> Graph:
    """x + relu(x W) V, many times, with weights that keep its size."""
    b = GraphBuilder()
    x = b.input("x", "f32", ["n", 64])
    for _ in range(depth):
        w, v = (rng.normal(0, 0.125, (64, 64)).astype(np.float32) for _ in range(2))
        x = b.add(Add(), x, b.add(Matmul(), b.add(Relu(), b.add(Matmul(), x, w)), v))
    b.output(x)
    return b.build()


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16])
@pytest.mark.parametrize("depth", [1, 4, 12])
@pytest.mark.parametrize("seed", range(3))
def test_the_sum_of_squares_predicts_the_error(dtype: DType, depth: int, seed: int) -> None:
    """Every value is rounded, and the error of the output is measured."""
    rng = np.random.default_rng(seed)
    graph, x = residual(depth, rng), rng.normal(size=(32, 64)).astype(np.float32)

    def compute(node: Node, op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
        (result,) = compute_node(node, op, operands)
        return (result.astype(dtype.numpy).astype(np.float32),)

    values = reference_values(graph, [x])
    found = amplifications(graph, values, wanted=[node.result for node in graph.nodes])
    sigmas = [variance(found[value], storage_error(values[value], dtype)) for value in found]
    right: Array = values[graph.outputs[0]]
    rounded: Array = run_graph(graph, [x], compute)[0]
    error = float(np.linalg.norm(rounded - right) / np.linalg.norm(right))
    assert math.sqrt(sum(sigmas)) == pytest.approx(error, rel=0.15)
