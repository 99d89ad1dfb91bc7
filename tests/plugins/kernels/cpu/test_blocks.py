"""Blocks cover everything once; collapsed views are views."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_kernels_cpu.blocks import collapse, parts, regions, spans

SHAPES = st.lists(st.integers(0, 6), max_size=4).map(tuple)


@given(SHAPES, st.integers(1, 50))
def test_regions_cover_every_element_once(shape: tuple[int, ...], limit: int) -> None:
    count = np.zeros(shape, np.int64)
    for region in regions(shape, limit):
        assert count[region].size <= limit
        count[region] += 1
    assert np.all(count == 1)


@given(st.integers(0, 100), st.integers(1, 30))
def test_spans_cover_everything_in_order(extent: int, step: int) -> None:
    positions = [i for part in spans(extent, step) for i in range(part.start, part.stop)]
    assert positions == list(range(extent))
    assert all(0 < part.stop - part.start <= step for part in spans(extent, step))


@given(st.integers(0, 9), st.integers(1, 20), st.integers(1, 60))
def test_parts_cover_every_row_once(images: int, rows: int, at_once: int) -> None:
    count = np.zeros((images, rows), np.int64)
    for part in parts(images, rows, at_once):
        assert 0 < count[part].size <= at_once
        count[part] += 1
    assert np.all(count == 1)


# shapes that broadcast, the merged extents
COLLAPSES: list[tuple[list[tuple[int, ...]], tuple[int, ...]]] = [
    ([(2, 3, 4), (2, 3, 4)], (24,)),
    ([(2, 3, 4), (1, 3, 1)], (2, 3, 4)),
    ([(2, 3, 4, 5), (1, 3, 1, 1)], (2, 3, 20)),
    ([(1, 3, 4, 5), (1, 3, 1, 1)], (3, 20)),
    ([(2, 3, 4), (1, 1, 1)], (24,)),
    ([(2, 3, 4), (1, 1, 4)], (6, 4)),
    ([(1, 1), (1, 1)], (1,)),
    ([(), ()], (1,)),
    ([(0, 2), (1, 1)], (0,)),
]


@pytest.mark.parametrize(("shapes", "merged"), COLLAPSES)
def test_collapse(shapes: list[tuple[int, ...]], merged: tuple[int, ...]) -> None:
    arrays = [np.arange(math.prod(shape)).reshape(shape) for shape in shapes]
    shape = np.broadcast_shapes(*shapes)
    extents, views = collapse(shape, arrays)
    assert extents == merged
    flat = [np.broadcast_to(array, shape).reshape(-1) for array in arrays]
    for array, view, right in zip(arrays, views, flat, strict=True):
        assert not array.size or np.shares_memory(array, view)
        np.testing.assert_array_equal(np.broadcast_to(view, extents).reshape(-1), right)


def test_repetition_becomes_extent_one() -> None:
    row = np.arange(3)
    _, (x, y) = collapse((4, 3), [np.zeros((4, 3)), np.broadcast_to(row, (4, 3))])
    assert (x.shape, y.shape) == ((4, 3), (1, 3))


def test_parts_of_an_array_are_not_merged_across_the_gaps() -> None:
    whole = np.zeros((4, 6, 8))
    extents, (view,) = collapse((4, 3, 8), [whole[:, :3]])
    assert extents == (4, 24)
    view[...] = 1
    assert whole.sum() == 4 * 3 * 8
