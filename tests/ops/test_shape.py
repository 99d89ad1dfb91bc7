"""Data movement against loops over indices."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.dims import dim_max, dim_min, evaluate_dim, symbol
from gie_core.ir.graph import Graph
from gie_core.ir.op import Op, OpError
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.extents import at_least_zero
from gie_core.ops.run import ExecutionError, run_graph
from gie_core.ops.shape import (
    Concat,
    DepthToSpace,
    Expand,
    Pad,
    Range,
    Reshape,
    ShapeOf,
    Slice,
    SpaceToDepth,
    Split,
    Tile,
    Transpose,
    Trilu,
)
from gie_core.testing.ops import check, check_rejected

DTYPES = (DType.F32, DType.BF16, DType.I4, DType.BOOL, DType.F8E4M3, DType.C64, DType.STR)
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def numbered(*shape: int, dtype: DType = DType.F32) -> Array:
    """Every element another one, as far as the type reaches."""
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    if dtype is DType.STR:
        return np.array([f"s{n}" for n in numbers.flat], object).reshape(shape)
    return numbers.astype(np.float32).astype(dtype.numpy)


def by_index(shape: tuple[int, ...], dtype: Any, element: Callable[..., Any]) -> Array:
    """The tensor of this shape whose elements a function of the index gives."""
    y = np.empty(shape, dtype)
    for index in np.ndindex(*shape):
        y[index] = element(*index)
    return y


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
class TestEveryType:
    """Moving elements works for every element type."""

    def test_movement(self, dtype: DType) -> None:
        x = numbered(2, 3, 4, dtype=dtype)
        check(Reshape(shape=(4, 6)), x)
        check(Transpose(permutation=(2, 0, 1)), x)
        check(Expand(shape=(5, 2, 3, 4)), x)
        check(Concat(axis=1), x, x)
        check(Split(axis=2, sizes=(1, 3)), x)
        check(Slice(axes=(1,), starts=(2,), ends=(-1,), steps=(-1,)), x)
        check(Tile(repeats=(1, 2, 3)), x)
        check(ShapeOf(), x, expect=[2, 3, 4])

    def test_pad_and_trilu(self, dtype: DType) -> None:
        x = numbered(3, 3, dtype=dtype)
        zero = "" if dtype is DType.STR else np.zeros((), dtype.numpy)
        (y,) = check(Pad(pads=(1, 0, 0, 1)), x)
        assert (y[1:, :3] == x).all()
        assert (y[0] == zero).all()
        assert (y[:, 3] == zero).all()
        (y,) = check(Trilu(upper=False), x)
        assert all(y[r, c] == (x[r, c] if c <= r else zero) for r, c in np.ndindex(3, 3))


RESHAPES = [((2, 3), (6,)), ((6,), (1, 2, 3)), ((), (1, 1)), ((0, 3), (3, 0)), ((1,), ())]


@pytest.mark.parametrize(("before", "after"), RESHAPES)
def test_reshape_keeps_the_order(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    x = numbered(*before)
    (y,) = check(Reshape(shape=after), x, symbolic=False)
    assert y.shape == after
    assert list(y.flat) == list(x.flat)


@given(shape=SHAPES, data=st.data())
def test_transpose(shape: tuple[int, ...], data: st.DataObject) -> None:
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    x = numbered(*shape)
    wanted = by_index(
        tuple(shape[axis] for axis in order),
        x.dtype,
        lambda *index: x[tuple(index[order.index(axis)] for axis in range(len(shape)))],
    )
    check(Transpose(permutation=order), x, expect=wanted)


@pytest.mark.parametrize(
    ("before", "after"), [((3, 1), (3, 4)), ((3,), (2, 3)), ((1, 1), (2, 5)), ((), (2,))]
)
def test_expand(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    x = numbered(*before)
    lead = len(after) - len(before)

    def element(*index: int) -> Any:
        kept = zip(before, index[lead:], strict=True)
        return x[tuple(i if extent > 1 else 0 for extent, i in kept)]

    check(Expand(shape=after), x, expect=by_index(after, x.dtype, element))


@given(
    shape=SHAPES.filter(len),
    counts=st.lists(st.integers(0, 3), min_size=1, max_size=4),
    data=st.data(),
)
def test_concat_and_split_are_inverse(
    shape: tuple[int, ...], counts: list[int], data: st.DataObject
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    whole = numbered(*shape[:axis], sum(counts), *shape[axis + 1 :])
    parts = check(Split(axis=axis, sizes=tuple(counts)), whole)
    assert [part.shape[axis] for part in parts] == counts
    ends = list(itertools.accumulate(counts))
    for part, end, count in zip(parts, ends, counts, strict=True):
        wanted = range(end - count, end)
        assert [list(np.take(part, i, axis).flat) for i in range(count)] == [
            list(np.take(whole, i, axis).flat) for i in wanted
        ]
    check(Concat(axis=axis), *parts, expect=whole)


@given(extent=st.integers(0, 6), data=st.data())
def test_slice(extent: int, data: st.DataObject) -> None:
    step = data.draw(st.sampled_from([-3, -2, -1, 1, 2, 3]))
    low = 0 if step > 0 else -1
    start, end = (data.draw(st.integers(low, extent + low)) for _ in "se")
    x = numbered(2, extent)
    picked = [x[:, i] for i in range(start, end, step)]
    wanted = np.stack(picked, 1) if picked else np.empty((2, 0))
    check(Slice(axes=(1,), starts=(start,), ends=(end,), steps=(step,)), x, expect=wanted)


@given(extent=st.integers(0, 6), step=st.integers(1, 3), data=st.data())
def test_slice_between_symbols(extent: int, step: int, data: st.DataObject) -> None:
    n, begin = symbol("n"), symbol("begin")
    op = Slice(axes=(0,), starts=(begin,), ends=(n,), steps=(step,))
    sizes = {"n": extent, "begin": data.draw(st.integers(0, extent))}
    y = op.infer(TensorType.of("f32", [n]))
    x = numbered(extent)
    (wanted,) = check(op.resolve(sizes), x)
    assert evaluate_dim(y.dims[0], sizes) == len(wanted)


def test_slice_of_several_axes() -> None:
    x = numbered(3, 4, 5)
    op = Slice(axes=(2, 0), starts=(4, 1), ends=(-1, 3), steps=(-2, 1))

    def element(i: int, j: int, k: int) -> Any:
        return x[i + 1, j, 4 - 2 * k]

    check(op, x, expect=by_index((2, 4, 3), x.dtype, element))


def source_index(position: int, extent: int, mode: str) -> int:
    """Where a padded position comes from; walks instead of computing."""
    if mode == "edge":
        return min(max(position, 0), extent - 1)
    if mode == "wrap":
        while position < 0:
            position += extent
        while position >= extent:
            position -= extent
        return position
    while not 0 <= position < extent:
        position = -position if position < 0 else 2 * (extent - 1) - position
    return position


@given(data=st.data(), mode=st.sampled_from(["constant", "edge", "reflect", "wrap"]))
def test_pad(data: st.DataObject, mode: str) -> None:
    shape = tuple(data.draw(st.lists(st.integers(2, 4), min_size=1, max_size=3)))
    rank = len(shape)
    pads = tuple(data.draw(st.lists(st.integers(-1, 6), min_size=2 * rank, max_size=2 * rank)))
    x = numbered(*shape)
    cropped = x[
        tuple(
            slice(max(-b, 0), d - max(-e, 0))
            for b, d, e in zip(pads[:rank], shape, pads[rank:], strict=True)
        )
    ]
    if 0 in cropped.shape or (mode == "reflect" and 1 in cropped.shape):
        return
    begins = [max(b, 0) for b in pads[:rank]]

    def element(*index: int) -> Any:
        inner = [i - b for i, b in zip(index, begins, strict=True)]
        if mode == "constant":
            inside = all(0 <= i < d for i, d in zip(inner, cropped.shape, strict=True))
            return cropped[tuple(inner)] if inside else -7
        sources = (source_index(i, d, mode) for i, d in zip(inner, cropped.shape, strict=True))
        return cropped[tuple(sources)]

    after = tuple(b + d + e for b, d, e in zip(pads[:rank], shape, pads[rank:], strict=True))
    value = (np.float32(-7),) if mode == "constant" else ()
    check(Pad(pads=pads, mode=mode), x, *value, expect=by_index(after, x.dtype, element))


def test_pad_takes_one_element_of_any_rank() -> None:
    check(Pad(pads=(1, 1)), np.array([2.0]), np.array([9.0]), expect=[9, 2, 9])


@given(shape=SHAPES, data=st.data())
def test_tile(shape: tuple[int, ...], data: st.DataObject) -> None:
    repeats = tuple(data.draw(st.integers(0, 3)) for _ in shape)
    x = numbered(*shape)
    after = tuple(d * r for d, r in zip(shape, repeats, strict=True))

    def element(*index: int) -> Any:
        return x[tuple(i % d for i, d in zip(index, shape, strict=True))]

    check(Tile(repeats=repeats), x, expect=by_index(after, x.dtype, element))


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("k", [-5, -1, 0, 2, 5])
@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 3), (0, 2)])
def test_trilu(shape: tuple[int, ...], k: int, upper: bool) -> None:
    x = numbered(*shape) + 1

    def element(*index: int) -> Any:
        row, column = index[-2:]
        return x[index] if (column - row >= k if upper else column - row <= k) else 0

    check(Trilu(upper=upper, k=k), x, expect=by_index(shape, x.dtype, element))


@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(block: int, mode: str) -> None:
    n, c, h, w = 2, 2, 2, 3
    x = numbered(n, c * block**2, h, w)

    def element(image: int, channel: int, row: int, column: int) -> Any:
        offset = row % block * block + column % block
        depth = offset * c + channel if mode == "DCR" else channel * block**2 + offset
        return x[image, depth, row // block, column // block]

    wanted = by_index((n, c, h * block, w * block), x.dtype, element)
    check(DepthToSpace(block=block, mode=mode), x, expect=wanted)
    if mode == "DCR":
        check(SpaceToDepth(block=block), wanted, expect=x)


RANGES: list[tuple[str, Any, Any, Any, list[float]]] = [
    ("i64", 0, 5, 2, [0, 2, 4]),
    ("i32", 10, 4, -2, [10, 8, 6]),
    ("i32", 1, 1, 1, []),
    ("i32", 3, 1, 1, []),
    ("u8", 250, 255, 2, [250, 252, 254]),
    ("f32", 0.0, 1.0, 0.25, [0, 0.25, 0.5, 0.75]),
    ("f32", 1.0, -1.0, -0.5, [1, 0.5, 0, -0.5]),
    ("f64", 0.0, 0.9, 0.5, [0, 0.5]),
    ("f16", 2048.0, 2056.0, 1.0, [2048, 2048, 2050, 2052, 2052, 2052, 2054, 2056]),  # once rounded
    ("bf16", 1.0, 3.0, 1.0, [1, 2]),
]


@pytest.mark.parametrize(("dtype", "start", "limit", "delta", "expected"), RANGES)
def test_range(dtype: str, start: Any, limit: Any, delta: Any, expected: list[float]) -> None:
    operands = [np.array(value, DType(dtype).numpy) for value in (start, limit, delta)]
    y = Range().compute(*operands)
    assert y.dtype == DType(dtype).numpy
    assert y.astype(np.float64).tolist() == expected


def test_range_declares_its_type() -> None:
    graph = Graph()
    limit = graph.add_input("limit", TensorType.of("i64", []))
    zero, one = graph.add_constant(np.int64(0)), graph.add_constant(np.int64(1))
    node = graph.add(Range(), zero, limit, one, types=[TensorType.of("i64", ["count"])])
    graph.set_outputs(node.results)
    assert run_graph(graph, [np.array(3)])[0].tolist() == [0, 1, 2]


def test_range_needs_a_step() -> None:
    with pytest.raises(OpError, match="the delta of range cannot be 0"):
        Range().compute(np.array(0), np.array(1), np.array(0))


def test_split_finds_that_sizes_do_not_add_up() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType.of("f32", ["n"]))
    graph.set_outputs(graph.add(Split(axis=0, sizes=(1, 2)), x).results)
    with pytest.raises(ExecutionError, match=r"the sizes \[1, 2\] do not add up to 4"):
        run_graph(graph, [np.zeros(4, np.float32)])


def test_a_wrong_expansion_names_the_node() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType.of("f32", ["n"]))
    graph.set_outputs(graph.add(Expand(shape=(2, 3)), x, names=["wide"], sources=["old"]).results)
    with pytest.raises(ExecutionError, match=r"expand failed at %wide \(from old\): .*broadcast"):
        run_graph(graph, [np.zeros(4, np.float32)])


# ── Shape rules ─────────────────────────────────────────────────────────────────────

n, m = symbol("n"), symbol("m")
SYMBOLIC: list[tuple[Op, list[Any], str]] = [
    # op, shape of x, type of the result
    (Reshape(shape=(2 * n, 3)), [n, 6], "f32[2*n, 3]"),
    (Transpose(permutation=(1, 0)), [n, m], "f32[m, n]"),
    (Expand(shape=(m, n)), [1, n], "f32[m, n]"),
    (Slice(axes=(0,), starts=(0,), ends=(n,), steps=(1,)), [n], "f32[n]"),
    (Slice(axes=(0,), starts=(0,), ends=(n,), steps=(2,)), [n], "f32[(n + 1) // 2]"),
    (Slice(axes=(0,), starts=(n - 1,), ends=(-1,), steps=(-1,)), [n], "f32[n]"),
    (Slice(axes=(0,), starts=(1,), ends=(n,), steps=(1,)), [n], "f32[max(0, n - 1)]"),
    (Slice(axes=(0,), starts=(1,), ends=(n + 2,), steps=(1,)), [n + 2], "f32[n + 1]"),
    (Pad(pads=(1, 0, 1, m)), [n, 4], "f32[n + 2, m + 4]"),
    (Tile(repeats=(2, m)), [n, 4], "f32[2*n, 4*m]"),
    (ShapeOf(), [n, m, 3], "i64[3]"),
    (DepthToSpace(block=2), [n, 8, m, 3], "f32[n, 2, 2*m, 6]"),
    (SpaceToDepth(block=2), [n, 2, 2 * m, 6], "f32[n, 8, m, 3]"),
]


@pytest.mark.parametrize(("op", "shape", "expected"), SYMBOLIC)
def test_symbolic_shapes(op: Op, shape: list[Any], expected: str) -> None:
    assert str(op.infer(TensorType.of("f32", shape))) == expected


def test_concat_takes_the_known_extent() -> None:
    a, b = TensorType.of("f32", ["n", "h"]), TensorType.of("f32", [3, 4])
    assert str(Concat(axis=0).infer(a, b)) == "f32[n + 3, 4]"


@pytest.mark.parametrize(
    ("dim", "expected"),
    [
        (3, "3"),
        (-3, "0"),
        (n, "n"),
        (2 * n * m + 1, "2*m*n + 1"),
        (n - 1, "max(0, n - 1)"),
        (dim_max(n - 1, 0), "max(0, n - 1)"),
        (dim_min(n - 1, m), "max(0, min(m, n - 1))"),
        ((n - 1) % 3, "mod(n + 2, 3)"),
        (n // 2 + 1, "n // 2 + 1"),
        ((n - 1) // 2, "max((n + 1) // 2 - 1, 0)"),
    ],
)
def test_at_least_zero(dim: Any, expected: str) -> None:
    assert str(at_least_zero(dim)) == expected


REJECTED: list[tuple[Op, tuple[str, ...], str]] = [
    (Reshape(shape=(4,)), ("f32[5]",), r"f32\[5\] has not as many elements as the shape \[4\]"),
    (Transpose(permutation=(0, 1)), ("f32[3]",), r"\[0, 1\] does not fit f32\[3\]"),
    (Expand(shape=(3,)), ("f32[2]",), r"f32\[2\] cannot expand to the shape \[3\]"),
    (Expand(shape=(3,)), ("f32[1, 3]",), "cannot expand"),
    (Concat(axis=0), (), "at least one operand"),
    (Concat(axis=2), ("f32[1, 2]",), "axis 2 does not exist in a tensor of rank 2"),
    (Concat(axis=0), ("f32[1, 2]", "f32[1, 3]"), "extents of the operands at axis 1 must be equal"),
    (Concat(axis=0), ("f32[1]", "f32[1, 3]"), "must have one rank, not 1 and 2"),
    (Concat(axis=0), ("f32[1]", "f16[1]"), "must be of type f32"),
    (Split(axis=0, sizes=(1, 2)), ("f32[4]",), "the sum of sizes must be equal, not 4 and 3"),
    (Slice(axes=(0,), starts=(5,), ends=(3,), steps=(1,)), ("f32[4]",), "position 5 at axis 0"),
    (Slice(axes=(0,), starts=(4,), ends=(-1,), steps=(-1,)), ("f32[4]",), r"outside of \[-1, 3\]"),
    (Pad(pads=(1, 1)), ("f32[4, 4]",), "needs 4 pads, not 2"),
    (Pad(pads=(-3, 3)), ("f32[2]",), "cut off more than"),
    (Pad(pads=(1, 1)), ("f32[2]", "f64[]"), "value must be of type f32"),
    (Pad(pads=(1, 1)), ("f32[2]", "f32[2]"), "the value must have one element"),
    (Tile(repeats=(2,)), ("f32[2, 2]",), "needs 2 repeats, not 1"),
    (Trilu(), ("f32[2]",), "holds no matrices"),
    (DepthToSpace(block=2), ("f32[1, 6, 2, 2]",), "6 channels do not divide into blocks"),
    (DepthToSpace(block=2), ("f32[4, 2, 2]",), r"not of the form \[N, C, H, W\]"),
    (SpaceToDepth(block=2), ("f32[1, 1, 3, 2]",), "3 rows do not divide"),
    (Range(), ("i32[]", "i64[]", "i32[]"), "limit must be of type i32"),
    (Range(), ("i32[2]", "i32[]", "i32[]"), "the start must have one element"),
]


@pytest.mark.parametrize(("op", "types", "message"), REJECTED)
def test_rejects(op: Op, types: tuple[str, ...], message: str) -> None:
    check_rejected(op, *types, match=message)


BAD_ATTRIBUTES: list[tuple[Callable[[], Op], str]] = [
    (lambda: Reshape(shape=(-1,)), "extents ≥ 0"),
    (lambda: Transpose(permutation=(0, 0)), "does not name each axis once"),
    (lambda: Slice(axes=(0,), starts=(0,), ends=(1,), steps=(0,)), "cannot be 0"),
    (lambda: Slice(axes=(0, 0), starts=(0, 0), ends=(1, 1), steps=(1, 1)), "each axis once"),
    (lambda: Slice(axes=(0,), starts=(0, 0), ends=(1,), steps=(1,)), "one start, end and step"),
    (lambda: Pad(pads=(), mode="mirror"), "'mode' of pad is 'mirror'; it must be one of"),
    (lambda: DepthToSpace(block=0), "extent of 1 or more"),
    (lambda: DepthToSpace(block=2, mode="RGB"), "must be one of 'DCR', 'CRD'"),
]


@pytest.mark.parametrize(("make", "message"), BAD_ATTRIBUTES)
def test_rejects_attributes(make: Callable[[], Op], message: str) -> None:
    with pytest.raises(OpError, match=message):
        make()
