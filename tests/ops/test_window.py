"""Window geometry: extents on numbers and symbols, padding, positions, counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.dims import Dim, evaluate_dim, parse_dim, symbol
from gie_core.ir.op import OpError
from gie_core.ops.conv import Conv
from gie_core.ops.pool import MaxPool
from gie_core.ops.window import Window


def axis(
    kernel: Dim = 3, stride: int = 1, dilation: int = 1, begin: Dim = 0, end: Dim = 0
) -> Window:
    return Window((kernel,), (stride,), (dilation,), (begin,), (end,))


def starts(n: int, window: Window, ceil_mode: bool) -> list[int]:
    """Where windows start, found by sliding one along: an oracle without formulas."""
    ((span, *_), (stride, *_)) = window.spans, window.strides
    ((begin, *_), (end, *_)) = window.pads_begin, window.pads_end
    assert isinstance(span, int)
    assert isinstance(begin, int)
    assert isinstance(end, int)
    found: list[int] = []
    start = -begin
    while start + span <= n + end:
        found.append(start)
        start += stride
    if not ceil_mode:
        return found
    if not found or found[-1] + span < n + end:
        found.append(start)
    return [at for at in found if at < n]


@given(
    n=st.integers(1, 12),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    begin=st.integers(0, 3),
    end=st.integers(0, 3),
    ceil_mode=st.booleans(),
)
def test_extents_count_windows(
    n: int, kernel: int, stride: int, dilation: int, begin: int, end: int, ceil_mode: bool
) -> None:
    window = axis(kernel, stride, dilation, begin, end)
    if n + begin + end < (kernel - 1) * dilation + 1 - (stride - 1) * ceil_mode:
        with pytest.raises(OpError, match="does not fit"):
            window.extents((n,), ceil_mode)
        return
    expected = len(starts(n, window, ceil_mode))
    assert window.extents((n,), ceil_mode) == (expected,)
    (symbolic,) = window.extents((symbol("n"),), ceil_mode)
    assert evaluate_dim(symbolic, {"n": n}) == expected


@given(
    n=st.integers(1, 9),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    pad=st.integers(0, 2),
)
def test_transposed_extents_undo_extents(
    n: int, kernel: int, stride: int, dilation: int, pad: int
) -> None:
    window = axis(kernel, stride, dilation, pad, pad)
    if n + 2 * pad < (kernel - 1) * dilation + 1:
        return
    windows = window.extents((n,))
    lost = (n + 2 * pad - (kernel - 1) * dilation - 1) % stride
    assert window.transposed_extents(windows, (lost,)) == (n,)


@pytest.mark.parametrize(
    ("window", "ceil_mode", "expected"),
    [
        (axis(3, begin=1, end=1), False, "n"),
        (axis(1, stride=2), False, "(n - 1) // 2 + 1"),
        (axis(2, stride=2), False, "n // 2"),
        (axis(2, stride=2), True, "(n + 1) // 2"),
        (axis(3, stride=2), True, "n // 2"),
        (axis(2, stride=3), True, "(n + 2) // 3"),
        (axis(2, stride=2, end=1), True, "(n + 1) // 2"),
        (axis(symbol("k")), False, "n - k + 1"),
        (axis(3, begin=symbol("p"), end=1), False, "n + p - 1"),
    ],
)
def test_symbolic_extents(window: Window, ceil_mode: bool, expected: str) -> None:
    assert window.extents((symbol("n"),), ceil_mode) == (parse_dim(expected),)


def test_taps_are_the_positions_in_row_major_order() -> None:
    window = Window((2, 2), (2, 1), (1, 2), (1, 0), (0, 1))
    x = np.arange(12.0).reshape(1, 1, 3, 4) + 1
    extents = window.extents((3, 4))
    assert extents == (2, 3)
    taps = list(window.taps(window.padded(x, (2, 3)), (2, 3)))
    expected = [
        [[0, 0, 0], [5, 6, 7]],  # row −1 and 1, columns 0…2
        [[0, 0, 0], [7, 8, 0]],
        [[1, 2, 3], [9, 10, 11]],
        [[3, 4, 0], [11, 12, 0]],
    ]
    np.testing.assert_array_equal([tap[0, 0] for tap in taps], expected)


@pytest.mark.parametrize(
    ("window", "n", "extents", "with_pads", "expected"),
    [
        (axis(3, begin=1, end=1), 4, 4, False, [2, 3, 3, 2]),
        (axis(3, begin=1, end=1), 4, 4, True, [3, 3, 3, 3]),
        (axis(3, stride=2), 4, 2, False, [3, 2]),  # the last one runs over the end
        (axis(3, stride=2), 4, 2, True, [3, 2]),
        (axis(3, stride=2, end=1), 5, 3, True, [3, 3, 2]),
        (axis(2, dilation=2, begin=1), 3, 2, False, [1, 2]),
    ],
)
def test_counts(window: Window, n: int, extents: int, with_pads: bool, expected: list[int]) -> None:
    np.testing.assert_array_equal(window.counts((n,), (extents,), with_pads), expected)


def test_counts_of_several_axes_multiply() -> None:
    window = Window((3, 2), (1, 1), (1, 1), (1, 0), (1, 1))
    counts = window.counts((2, 2), (2, 2), False)
    np.testing.assert_array_equal(counts, [[4, 2], [4, 2]])


def test_defaults_are_canonical() -> None:
    assert Conv(strides=(1, 1), pads=(0,) * 4, dilations=(1, 1)) == Conv()
    assert Conv(strides=(1, 2)).strides == (1, 2)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"strides": (0, 1)}, "max_pool needs strides ≥ 1"),
        ({"pads": (0, -1, 0, 0)}, "max_pool needs pads ≥ 0"),
        ({"dilations": (-1, 1)}, "max_pool needs dilations ≥ 1"),
    ],
)
def test_bad_geometry(attributes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(OpError, match=message):
        MaxPool(kernel=(2, 2)).replace(**attributes)


def test_entries_must_match_the_rank() -> None:
    with pytest.raises(OpError, match=r"strides must have 2 entries, got \[2\]"):
        Conv(strides=(2,)).window((4, 3, 3, 3))
