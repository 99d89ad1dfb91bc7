"""Gathering, scattering and searching against loops over indices."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.graph import Graph
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.index import (
    ArgMax,
    ArgMin,
    Compress,
    CumSum,
    Gather,
    GatherElements,
    GatherNd,
    NonZero,
    OneHot,
    ReverseSequence,
    ScatterElements,
    ScatterNd,
    TopK,
)
from gie_core.ops.precision import widen
from gie_core.ops.run import ExecutionError, run_graph
from gie_core.testing.ops import check, check_rejected, draw, run_op

NAN = math.nan
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
NUMBERS = (DType.F32, DType.F16, DType.BF16, DType.I8, DType.U4, DType.I2)


def indices_within(seed: int, shape: tuple[int, ...], extent: int) -> Array:
    return np.random.default_rng(seed).integers(-extent, extent, shape)


# ── Gather and scatter ──────────────────────────────────────────────────────────────


@given(shape=SHAPES, wanted=st.lists(st.integers(0, 3), max_size=2).map(tuple), data=st.data())
def test_gather(shape: tuple[int, ...], wanted: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    x, indices = draw(*shape), indices_within(len(wanted), wanted, shape[axis])
    y = np.empty((*shape[:axis], *wanted, *shape[axis + 1 :]), np.float32)
    for at in np.ndindex(*y.shape):
        middle = at[axis : axis + len(wanted)]
        y[at] = x[(*at[:axis], indices[middle], *at[axis + len(wanted) :])]
    check(Gather(axis=axis), x, indices, expect=y)


@given(shape=SHAPES, data=st.data())
def test_gather_and_scatter_elements(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    some = [data.draw(st.integers(0, 4 if a == axis else d)) for a, d in enumerate(shape)]
    x, indices = draw(*shape), indices_within(0, tuple(some), shape[axis])
    y, updates = np.empty(some, np.float32), draw(*some, seed=1)
    scattered = x.copy()
    for at in np.ndindex(*some):
        source = (*at[:axis], indices[at], *at[axis + 1 :])
        y[at] = x[source]
        scattered[source] = updates[at]
    check(GatherElements(axis=axis), x, indices, expect=y)
    check(ScatterElements(axis=axis), x, indices, updates, expect=scattered)


REDUCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "none": lambda old, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "min": min,
    "max": max,
}


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_scatter_with_repeated_indices(reduction: str, dtype: DType) -> None:
    x = draw(4, 3, dtype=dtype)
    updates, indices = draw(6, 3, dtype=dtype, seed=1), indices_within(0, (6, 3), 4)
    wide, fresh = widen(x).copy(), widen(updates)
    with np.errstate(over="ignore"):  # integers wrap
        for row, column in np.ndindex(6, 3):
            old = wide[indices[row, column], column]
            wide[indices[row, column], column] = REDUCTIONS[reduction](old, fresh[row, column])
    op = ScatterElements(axis=0, reduction=reduction)
    check(op, x, indices, updates, expect=wide.astype(dtype.numpy))


@pytest.mark.parametrize("batch", [0, 1, 2])
@pytest.mark.parametrize("length", [1, 2])
def test_gather_nd(batch: int, length: int) -> None:
    x = draw(2, 3, 4, 5)
    extents = x.shape[batch : batch + length]
    lead = (*x.shape[:batch], 3)
    vectors = np.stack([indices_within(k, lead, d) for k, d in enumerate(extents)], -1)
    y = np.empty((*lead, *x.shape[batch + length :]), np.float32)
    for at in np.ndindex(*lead):
        y[at] = x[(*at[:batch], *vectors[at])]
    check(GatherNd(batch_dims=batch), x, vectors, expect=y, symbolic=False)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("length", [1, 2, 3])
def test_scatter_nd(length: int, reduction: str) -> None:
    x = draw(3, 2, 4)
    vectors = np.stack([indices_within(k, (5,), d) for k, d in enumerate(x.shape[:length])], -1)
    updates = draw(5, *x.shape[length:], seed=1)
    y = x.astype(np.float64)
    for vector, update in zip(vectors, updates, strict=True):
        for at in np.ndindex(*update.shape):
            place = (*vector, *at)
            y[place] = REDUCTIONS[reduction](y[place], float(update[at]))
    check(ScatterNd(reduction=reduction), x, vectors, updates, expect=y, symbolic=False)


def test_strings_are_gathered_and_scattered() -> None:
    x = np.array(["a", "b", "c"], object)
    check(Gather(), x, np.array([2, -3]), expect=np.array(["c", "a"], object))
    check(
        ScatterElements(),
        x,
        np.array([1]),
        np.array(["z"], object),
        expect=np.array(["a", "z", "c"], object),
    )


def test_an_index_outside_is_an_error() -> None:
    graph = Graph()
    x, at = (graph.add_input(n, TensorType.of(d, ["n"])) for n, d in (("x", "f32"), ("at", "i64")))
    graph.set_outputs(graph.add(GatherElements(), x, at, names=["y"]).results)
    with pytest.raises(ExecutionError, match="gather_elements failed at %y: IndexError: index 3"):
        run_graph(graph, [np.zeros(3, np.float32), np.array([0, 1, 3])])


# ── One-hot, top-k, extrema ─────────────────────────────────────────────────────────

ONE_HOT: list[tuple[int, int, Any, Any]] = [
    # axis, depth, indices, expected hot positions
    (1, 3, [0, 2, -1], [[1, 0, 0], [0, 0, 1], [0, 0, 1]]),
    (0, 3, [0, 2, -1], [[1, 0, 0], [0, 0, 0], [0, 1, 1]]),
    (1, 2, [2, -3, 1], [[0, 0], [0, 0], [0, 1]]),  # outside of the depth: nothing is hot
    (0, 2, 1, [0, 1]),
    (0, 3, 1.9, [0, 1, 0]),
]


@pytest.mark.parametrize(("axis", "depth", "indices", "hot"), ONE_HOT)
def test_one_hot(axis: int, depth: int, indices: Any, hot: Any) -> None:
    wanted = np.where(np.array(hot) == 1, 7.0, -2.0)
    check(OneHot(depth=depth, axis=axis), np.array(indices), [-2.0, 7.0], expect=wanted)


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(("axis", "k"), [(0, 2), (1, 3), (1, 0), (2, 4)])
def test_top_k(axis: int, k: int, largest: bool, dtype: DType) -> None:
    x = draw(3, 5, 4, dtype=dtype)
    order = np.empty(tuple(k if a == axis else d for a, d in enumerate(x.shape)), np.int64)
    for at in np.ndindex(*(d for a, d in enumerate(x.shape) if a != axis)):
        line = [float(v) for v in np.moveaxis(x, axis, -1)[at]]
        # Python's sort is stable, so equal elements stay in the order of their indices.
        ranked = sorted(range(len(line)), key=lambda i, v=line: -v[i] if largest else v[i])
        np.moveaxis(order, axis, -1)[at] = ranked[:k]
    values = np.take_along_axis(x, order, axis)
    check(TopK(k=k, axis=axis, largest=largest), x, expect=(values, order))


def test_top_k_of_nan() -> None:
    x = [1.0, NAN, 2.0, NAN]
    check(TopK(k=3, axis=0), x, expect=([NAN, NAN, 2], [1, 3, 2]))
    check(TopK(k=3, axis=0, largest=False), x, expect=([1, 2, NAN], [0, 2, 1]))


EXTREMA: list[tuple[Op, list[float], int]] = [
    (ArgMax(axis=0), [1, 3, 2, 3], 1),
    (ArgMax(axis=0, last=True), [1, 3, 2, 3], 3),
    (ArgMin(axis=0), [2, 1, 1, 2], 1),
    (ArgMin(axis=0, last=True), [2, 1, 1, 2], 2),
    (ArgMax(axis=0), [1, NAN, 5], 1),
    (ArgMin(axis=0), [1, NAN, 0], 1),
]


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16, DType.BF16, DType.F8E4M3], ids=str)
@pytest.mark.parametrize(("op", "x", "expected"), EXTREMA)
def test_arg_extrema(op: ArgMax | ArgMin, x: list[float], expected: int, dtype: DType) -> None:
    array = np.array(x, np.float32).astype(dtype.numpy)
    check(op, array, expect=[expected])
    check(op.replace(keep_dims=False), array, expect=expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_arg_extrema_along_an_axis(axis: int) -> None:
    x = draw(2, 3, 4)
    lines = np.moveaxis(x, axis, -1)
    for op, choose in ((ArgMax(axis=axis, keep_dims=False), max), (ArgMin(axis=axis), min)):
        found = np.empty(lines.shape[:-1], np.int64)
        for at in np.ndindex(*found.shape):
            line: list[float] = lines[at].tolist()
            found[at] = line.index(choose(line))
        check(op, x, expect=np.expand_dims(found, axis) if op.keep_dims else found)


# ── Sums, selection, reversal ───────────────────────────────────────────────────────


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("axis", [0, 1])
def test_cumsum(axis: int, exclusive: bool, reverse: bool, dtype: DType) -> None:
    x = draw(3, 4, dtype=dtype)
    wide = widen(x)
    y = np.zeros_like(wide)
    for at in np.ndindex(*x.shape):
        before = range(at[axis] + 1, x.shape[axis]) if reverse else range(at[axis])
        with np.errstate(over="ignore"):  # integers wrap
            for i in (*before, *(() if exclusive else (at[axis],))):
                y[at] += wide[(*at[:axis], i, *at[axis + 1 :])]
    op = CumSum(axis=axis, exclusive=exclusive, reverse=reverse)
    check(op, x, expect=y.astype(dtype.numpy))


def test_cumsum_of_f16_keeps_precision() -> None:
    x = np.ones(4096, np.float16)
    assert check(CumSum(axis=0), x)[0][-1] == 4096  # adding in f16 stops at 2048


@pytest.mark.parametrize("extents", [(0,), (3, 0), ()])
def test_cumsum_and_nonzero_of_nothing(extents: tuple[int, ...]) -> None:
    x = np.zeros(extents, np.float32)
    if extents:
        check(CumSum(axis=0, exclusive=True), x, expect=x)
    assert NonZero().compute(x).shape == (len(extents), 0)


@pytest.mark.parametrize("dtype", [*NUMBERS, DType.BOOL], ids=str)
def test_nonzero(dtype: DType) -> None:
    x = (draw(3, 4) > 0.3).astype(dtype.numpy)
    places = [at for at in np.ndindex(3, 4) if x[at] != 0]
    y = NonZero().compute(x)
    assert y.dtype == np.int64
    assert y.T.tolist() == [list(place) for place in places]


def test_nonzero_of_a_scalar_has_no_rows() -> None:
    assert NonZero().compute(np.array(3.0)).shape == (0, 1)


COMPRESSED: list[tuple[int | None, list[bool], Any]] = [
    (0, [False, True], [[3, 4, 5]]),
    (1, [True, False, True], [[0, 2], [3, 5]]),
    (1, [False, True], [[1], [4]]),  # short: false behind the end
    (None, [True, False, False, False, True], [0, 4]),
    (0, [], np.empty((0, 3))),
]


@pytest.mark.parametrize(("axis", "condition", "expected"), COMPRESSED)
def test_compress(axis: int | None, condition: list[bool], expected: Any) -> None:
    y = Compress(axis=axis).compute(np.arange(6).reshape(2, 3), np.array(condition, bool))
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(("batch", "time"), [(0, 1), (1, 0), (2, 0), (0, 2)])
def test_reverse_sequence(batch: int, time: int) -> None:
    x = draw(3, 4, 3)
    lengths = np.arange(x.shape[batch], dtype=np.int64) % (x.shape[time] + 1)
    y = np.empty_like(x)
    for at in np.ndindex(*x.shape):
        source, length = list(at), int(lengths[at[batch]])
        if at[time] < length:
            source[time] = length - 1 - at[time]
        y[at] = x[tuple(source)]
    check(ReverseSequence(batch_axis=batch, time_axis=time), x, lengths, expect=y)


def test_reverse_sequence_rejects_long_lengths() -> None:
    with pytest.raises(ExecutionError, match=r"a length lies outside of \[0, 2\]"):
        run_op(ReverseSequence(), np.zeros((2, 1)), np.array([3]))


# ── Shape rules ─────────────────────────────────────────────────────────────────────

REJECTED: list[tuple[Op, tuple[str, ...], str]] = [
    (Gather(axis=1), ("f32[3]", "i64[2]"), "axis 1 does not exist in a tensor of rank 1"),
    (Gather(), ("f32[3]", "f32[2]"), "the indices must be integers"),
    (GatherElements(), ("f32[3, 2]", "i64[3]"), "needs indices of its rank"),
    (GatherElements(), ("f32[3, 2]", "i64[3, 3]"), "is larger than .* at axis 1"),
    (ScatterElements(), ("f32[3]", "i64[2]", "f32[3]"), "the updates at axis 0 must be equal"),
    (ScatterElements(), ("f32[3]", "i64[2]", "f16[2]"), "updates must be of type f32"),
    (GatherNd(), ("f32[3, 2]", "i64[4, 3]"), "holds vectors of 3 numbers, for 2 axes"),
    (GatherNd(), ("f32[3, 2]", "i64[4, n]"), "the last extent of the indices, n, must be a number"),
    (GatherNd(batch_dims=1), ("f32[3, 2]", "i64[4, 1]"), "x and the indices at axis 0"),
    (GatherNd(batch_dims=2), ("f32[3, 2]", "i64[3, 2]"), "more than 2 dimensions"),
    (ScatterNd(), ("f32[3, 2]", "i64[4, 1]", "f32[4, 3]"), "slices and the updates at axis 1"),
    (OneHot(depth=3, axis=0), ("i64[2]", "f32[3]"), r"values must have shape \[2\]"),
    (OneHot(depth=3, axis=2), ("i64[2]", "f32[2]"), "axis 2 does not exist"),
    (TopK(k=4, axis=0), ("f32[3]",), "does not have 4 elements"),
    (CumSum(axis=0), ("bool[3]",), "must be of a number type"),
    (ArgMax(axis=0), ("f32[0]",), "no elements to compare"),
    (Compress(axis=2), ("f32[3]", "bool[3]"), "axis 2 does not exist"),
    (Compress(), ("f32[3]", "i64[3]"), "the condition must be bool and 1-D"),
    (ReverseSequence(), ("f32[3, 2]", "i64[3]"), "the batch and the number of lengths"),
    (ReverseSequence(batch_axis=0), ("f32[3, 2]", "i64[3]"), "the time axis are both 0"),
    (ReverseSequence(), ("f32[3, 2]", "i64[2, 1]"), "lengths must have rank 1"),
]


@pytest.mark.parametrize(("op", "types", "message"), REJECTED)
def test_rejects(op: Op, types: tuple[str, ...], message: str) -> None:
    check_rejected(op, *types, match=message)


def test_reductions_are_named() -> None:
    with pytest.raises(OpError, match="'reduction' of scatter_nd is 'sum'; it must be one of"):
        ScatterNd(reduction="sum")
