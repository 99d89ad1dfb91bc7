"""Gather, scatter, sorting, searching, and reductions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gie_importer_onnx.testing import Constant, check_node

RNG = np.random.default_rng(3)


def f32(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> Constant:
    return Constant(np.array(values, np.int64))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("indices", [np.array(1), np.array([0, -1]), np.array([[1, 0], [2, 1]])])
def test_gather(axis: int, indices: Any) -> None:
    check_node("Gather", f32(3, 3, 3), indices, opset=11, axis=axis, symbolic=False)


def test_gather_elements() -> None:
    check_node(
        "GatherElements",
        f32(3, 3),
        np.array([[0, -1, 2], [2, 0, 0]]),
        opset=11,
        axis=1,
        symbolic=False,
    )


def test_gather_nd() -> None:
    check_node("GatherND", f32(2, 3, 4), np.array([[0, 1], [1, 2]]), opset=11, symbolic=False)
    check_node(
        "GatherND", f32(2, 3, 4), np.array([[1], [2]]), opset=12, symbolic=False, batch_dims=1
    )


@pytest.mark.parametrize(("op", "opset"), [("Scatter", 9), ("ScatterElements", 11)])
def test_scatter_elements(op: str, opset: int) -> None:
    check_node(op, f32(3, 3), np.array([[0, 2]]), f32(1, 2), opset=opset, axis=1, symbolic=False)


@pytest.mark.parametrize("reduction", ["add", "mul", "max"])
def test_scatter_with_reduction(reduction: str) -> None:
    twice = np.array([[1, 1]])
    check_node(
        "ScatterElements",
        f32(2, 3),
        twice,
        f32(1, 2),
        opset=18,
        axis=1,
        symbolic=False,
        reduction=reduction,
    )
    check_node(
        "ScatterND",
        f32(4, 2),
        np.array([[1], [1]]),
        f32(2, 2),
        opset=18,
        symbolic=False,
        reduction=reduction,
    )


def test_scatter_nd() -> None:
    check_node("ScatterND", f32(4, 2), np.array([[3], [0]]), f32(2, 2), opset=11, symbolic=False)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot(axis: int) -> None:
    check_node(
        "OneHot",
        np.array([0, 2, -1, 7]),
        ints(4),
        Constant(np.array([-1, 2], np.float32)),
        opset=11,
        axis=axis,
    )


@pytest.mark.parametrize("largest", [0, 1])
def test_top_k(largest: int) -> None:
    x = RNG.integers(0, 4, (3, 6)).astype(np.float32)
    check_node("TopK", x, ints(3), opset=11, outputs=2, axis=-1, largest=largest)


def test_top_k_by_attribute() -> None:
    check_node("TopK", f32(3, 6), opset=9, outputs=2, k=2, axis=1)


@pytest.mark.parametrize(("exclusive", "reverse"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_cum_sum(exclusive: int, reverse: int) -> None:
    check_node(
        "CumSum", f32(3, 4), Constant(np.int64(-1)), opset=11, exclusive=exclusive, reverse=reverse
    )


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize(
    "attributes", [{}, {"axis": -1, "keepdims": 0}, {"axis": 1, "select_last_index": 1}]
)
def test_arg_extrema(op: str, attributes: dict[str, Any]) -> None:
    check_node(op, RNG.integers(0, 3, (3, 4)).astype(np.float32), opset=13, **attributes)


def test_nonzero() -> None:
    check_node("NonZero", RNG.integers(0, 2, (3, 4)).astype(np.float32), opset=13)


@pytest.mark.parametrize("attributes", [{}, {"axis": 1}, {"axis": -2}])
def test_compress(attributes: dict[str, Any]) -> None:
    check_node(
        "Compress", f32(3, 4), np.array([True, False, True]), opset=11, symbolic=False, **attributes
    )


def test_reverse_sequence() -> None:
    check_node("ReverseSequence", f32(4, 3, 2), np.array([1, 4, 2]), opset=10, symbolic=False)


@pytest.mark.parametrize("opset", [11, 13])
def test_hardmax(opset: int) -> None:
    check_node("Hardmax", f32(2, 3, 4), opset=opset)


REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axes", [None, [1], [0, -1]])
@pytest.mark.parametrize("keep", [0, 1])
def test_reductions_by_attribute(name: str, axes: list[int] | None, keep: int) -> None:
    attributes: dict[str, Any] = {} if axes is None else {"axes": axes}
    check_node(f"Reduce{name}", np.abs(f32(2, 3, 4)), opset=11, keepdims=keep, **attributes)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axes", [[1], [0, -1]])
def test_reductions_by_operand(name: str, axes: list[int]) -> None:
    check_node(f"Reduce{name}", np.abs(f32(2, 3, 4)), ints(*axes), opset=18)


def test_reduction_of_nothing_and_everything() -> None:
    check_node("ReduceSum", f32(2, 3), opset=13)
    check_node("ReduceSum", f32(2, 3), opset=13, noop_with_empty_axes=1)
    check_node("ReduceSum", f32(2, 3), ints(), opset=13, noop_with_empty_axes=1)


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
def test_any_and_all(op: str) -> None:
    check_node(op, np.array([[True, False], [True, True]]), ints(1), opset=20, peer="reference")


def test_reduction_over_computed_axes_is_foreign() -> None:
    check_node("ReduceSum", f32(2, 3), np.array([1]), opset=13, native=False, symbolic=False)
