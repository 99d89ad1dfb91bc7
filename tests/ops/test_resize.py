"""Resize against one output element at a time, straight from the operator specification."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.dims import parse_dim
from gie_core.ir.graph import Graph
from gie_core.ir.op import OpError
from gie_core.ir.types import Array, DType, TensorType
from gie_core.ops.resize import COORDINATES, NEAREST, Resize
from gie_core.ops.run import run_graph
from gie_core.testing.ops import check, check_rejected, draw


def position(op: Resize, axis: int, at: int, before: int, after: int) -> float:
    """The formulas of the specification, with its names."""
    length = before * op.scales[axis] if op.scales else float(after)
    scale = length / before
    match op.coordinates:
        case "half_pixel":
            return (at + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            adjustment = after / length
            offset = before / 2 * (1 - adjustment)
            return offset + (at + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (at + 0.5) / scale - 0.5 if after > 1 else 0.0
        case "align_corners":
            return at * (before - 1) / (length - 1) if after > 1 else 0.0
        case "asymmetric":
            return at / scale
        case "tf_half_pixel_for_nn":
            return (at + 0.5) / scale
        case _:
            start, end = op.roi[axis], op.roi[axis + len(op.sizes)]
            if after == 1:
                return 0.5 * (start + end) * (before - 1)
            return start * (before - 1) + at * (end - start) * (before - 1) / (after - 1)


def nearest_index(op: Resize, x: float) -> int:
    down, up = math.floor(x), math.ceil(x)
    tie = math.isclose(x - down, 0.5, abs_tol=1e-6)
    match op.nearest:
        case "floor":
            return round(x) if math.isclose(x, round(x), abs_tol=1e-6) else down
        case "ceil":
            return round(x) if math.isclose(x, round(x), abs_tol=1e-6) else up
        case "round_prefer_floor":
            return down if tie else round(x)
        case _:
            return up if tie else round(x)


def kernel(op: Resize, distance: float) -> float:
    d, a = abs(distance), op.cubic_coefficient
    if op.mode == "linear":
        return max(0.0, 1 - d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def slow_axis(op: Resize, axis: int, before: int, after: int) -> list[dict[int, float]]:
    """Which input positions every output position reads, and their weights."""
    scaled = bool(op.scales) and op.scales[axis] != 1
    if before == after and not scaled and op.coordinates != "tf_crop_and_resize":
        return [{at: 1.0} for at in range(after)]
    rows: list[dict[int, float]] = []
    for at in range(after):
        x = position(op, axis, at, before, after)
        if op.mode == "nearest":
            rows.append({min(max(nearest_index(op, x), 0), before - 1): 1.0})
            continue
        scale = op.scales[axis] if op.scales else after / before
        stretch = max(1.0, 1 / scale) if op.antialias else 1.0
        reach = 2 * stretch + 1
        taps = range(math.floor(x - reach), math.ceil(x + reach) + 1)
        weights = {i: kernel(op, (i - x) / stretch) for i in taps}
        if op.exclude_outside:
            weights = {i: w for i, w in weights.items() if 0 <= i < before}
        total = sum(weights.values()) or math.nan
        row: dict[int, float] = {}
        for i, weight in weights.items():
            inside = min(max(i, 0), before - 1)
            row[inside] = row.get(inside, 0.0) + weight / total
        rows.append(row)
    return rows


def slow_resize(op: Resize, x: Array, sizes: tuple[int, ...]) -> Array:
    rows = [slow_axis(op, a, n, m) for a, (n, m) in enumerate(zip(x.shape, sizes, strict=True))]
    y = np.zeros(sizes)
    for at in np.ndindex(*sizes):
        places = [list(rows[axis][int(i)].items()) for axis, i in enumerate(at)]
        for taps in itertools.product(*places):
            weight = math.prod(w for _, w in taps)
            y[at] += weight * float(x[tuple(i for i, _ in taps)])
        if op.coordinates == "tf_crop_and_resize":
            found = (
                position(op, a, i, x.shape[a], sizes[a]) / max(x.shape[a] - 1, 1)
                for a, i in enumerate(at)
            )
            if any(p < -1e-6 or p > 1 + 1e-6 for p in found):
                y[at] = op.extrapolation
    return y


GEOMETRIES: list[tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]] = [
    # x, sizes, scales
    ((1, 1, 4, 4), (1, 1, 8, 8), ()),
    ((1, 2, 4, 5), (1, 2, 2, 3), ()),
    ((1, 1, 5, 3), (1, 1, 1, 7), ()),
    ((1, 1, 3, 4), (1, 1, 6, 8), (1.0, 1.0, 2.0, 2.0)),
    ((1, 1, 4, 5), (1, 1, 2, 3), (1.0, 1.0, 0.6, 0.7)),
    ((6,), (15,), ()),
    ((7,), (4,), (0.6,)),
    ((2, 3, 2), (3, 3, 5), ()),
]
geometries = pytest.mark.parametrize(("shape", "sizes", "scales"), GEOMETRIES)
PLAIN = [c for c in COORDINATES if c != "tf_crop_and_resize"]


@geometries
@pytest.mark.parametrize("coordinates", PLAIN)
@pytest.mark.parametrize("nearest", NEAREST)
def test_nearest(
    shape: tuple[int, ...],
    sizes: tuple[int, ...],
    scales: tuple[float, ...],
    coordinates: str,
    nearest: str,
) -> None:
    op = Resize(sizes=sizes, scales=scales, coordinates=coordinates, nearest=nearest)
    x = draw(*shape)
    check(op, x, expect=slow_resize(op, x, sizes), rtol=0, atol=0)


@geometries
@pytest.mark.parametrize("coordinates", PLAIN)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("exclude_outside", [False, True])
@pytest.mark.parametrize("antialias", [False, True])
def test_interpolation(
    shape: tuple[int, ...],
    sizes: tuple[int, ...],
    scales: tuple[float, ...],
    coordinates: str,
    mode: str,
    exclude_outside: bool,
    antialias: bool,
) -> None:
    op = Resize(
        sizes=sizes,
        scales=scales,
        mode=mode,
        coordinates=coordinates,
        exclude_outside=exclude_outside,
        antialias=antialias,
    )
    x = draw(*shape)
    check(op, x, expect=slow_resize(op, x, sizes))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("roi", [(0, 0.4, 1, 0.8), (0.2, -0.3, 0.6, 1.4), (1, 0, 0, 1)])
@pytest.mark.parametrize("sizes", [(3, 4), (1, 1), (6, 2)])
def test_crop_and_resize(mode: str, roi: tuple[float, ...], sizes: tuple[int, ...]) -> None:
    op = Resize(
        sizes=sizes, mode=mode, coordinates="tf_crop_and_resize", roi=roi, extrapolation=7.0
    )
    x = draw(4, 5)
    check(op, x, expect=slow_resize(op, x, sizes))


def test_cubic_coefficient() -> None:
    x = draw(6)
    for coefficient in (-0.5, -0.75):
        op = Resize(sizes=(9,), mode="cubic", cubic_coefficient=coefficient)
        check(op, x, expect=slow_resize(op, x, (9,)))


def test_axes_of_the_same_size_are_left_alone() -> None:
    """Infinity times a weight of 0 would be NaN."""
    x = np.array([[np.inf, 1.0], [2.0, 3.0]], np.float32)
    check(Resize(sizes=(2, 2), mode="linear"), x, expect=x)


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16, DType.F64])
def test_floats_round_once(dtype: DType) -> None:
    op = Resize(sizes=(7, 5), mode="cubic")
    x = draw(4, 3, dtype=dtype)
    half_ulp = {DType.F64: 1e-14, DType.F16: 2.0**-11, DType.BF16: 2.0**-8}[dtype]
    check(op, x, expect=slow_resize(op, x, (7, 5)), rtol=1.01 * half_ulp, atol=1e-6)


@pytest.mark.parametrize("dtype", [DType.U8, DType.I8, DType.I32])
def test_integers_are_cut_and_saturate(dtype: DType) -> None:
    """Keys' kernel overshoots at an edge."""
    x = np.array([0, 0, 127, 127], dtype.numpy)
    op = Resize(sizes=(16,), mode="cubic")
    low, high = {DType.U8: (0, 255), DType.I8: (-128, 127)}.get(dtype, (-1000, 1000))
    exact = slow_resize(op, x, (16,))
    assert exact.min() < -1
    assert exact.max() > 128
    check(op, x, expect=np.trunc(np.clip(exact, low, high)))


@pytest.mark.parametrize("dtype", [DType.BOOL, DType.I64, DType.BF16, DType.C64])
def test_nearest_takes_any_type(dtype: DType) -> None:
    x = draw(3, dtype=dtype) if dtype is not DType.C64 else np.array([1j, 2, 3], np.complex64)
    (y,) = check(Resize(sizes=(6,)), x)
    np.testing.assert_array_equal(y, np.repeat(x, 2))


@given(
    before=st.integers(1, 9),
    after=st.integers(1, 9),
    mode=st.sampled_from(["linear", "cubic"]),
    coordinates=st.sampled_from(PLAIN),
    antialias=st.booleans(),
)
def test_a_constant_stays_constant(
    before: int, after: int, mode: str, coordinates: str, antialias: bool
) -> None:
    op = Resize(sizes=(after,), mode=mode, coordinates=coordinates, antialias=antialias)
    check(op, np.full(before, 3.0), expect=np.full(after, 3.0))


def test_symbolic_sizes_are_numbers_when_it_runs() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType.of("f32", ["n", "h"]))
    op = Resize(sizes=(parse_dim("n"), parse_dim("2*h")))
    graph.set_outputs(graph.add(op, x).results)
    assert str(graph.outputs[0].type) == "f32[n, 2*h]"
    for h in (3, 4):
        (y,) = run_graph(graph, [draw(2, h)])
        assert y.shape == (2, 2 * h)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"mode": "lanczos"}, "'mode' of resize is 'lanczos'"),
        ({"coordinates": "corners"}, "'coordinates' of resize"),
        ({"nearest": "up"}, "'nearest' of resize"),
        ({"scales": (1.0,)}, "one scale > 0 per axis"),
        ({"scales": (1.0, 0.0)}, "one scale > 0 per axis"),
        ({"coordinates": "tf_crop_and_resize"}, "a roi of 4 numbers"),
        ({"roi": (0.0, 1.0)}, "a roi of 4 numbers"),
    ],
)
def test_bad_attributes(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(OpError, match=message):
        Resize(sizes=(2, 3), **attributes)


def test_what_does_not_fit() -> None:
    check_rejected(Resize(sizes=(2, 3)), "f32[2]", match="sizes has 2 entries")
    check_rejected(Resize(sizes=(2,), mode="linear"), "bool[2]", match="number type")
