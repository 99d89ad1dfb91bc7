"""Buffers lie as asked, and show every stray write."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.ir.types import DType
from gie_core.kernels.format import Format, Strides
from gie_core.testing.memory import ARRANGEMENTS, Buffer, poisoned_memory, scratch

DTYPES = [DType.F32, DType.F16, DType.I8, DType.C128, DType.BOOL]
NEEDED = {"dense": Strides.DENSE, "pitched": Strides.PITCHED}


@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 4), max_size=4),
    name=st.sampled_from(list(ARRANGEMENTS)),
    alignment=st.sampled_from([1, 2, 16, 64]),
    data=st.data(),
)
def test_arrangements(
    dtype: DType, shape: list[int], name: str, alignment: int, data: st.DataObject
) -> None:
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    format_ = Format(dtype, order, NEEDED.get(name, Strides.ANY), alignment)
    layout = ARRANGEMENTS[name](format_, shape)
    assert format_.accepts(layout)
    buffer = Buffer(layout, alignment)
    unit = max(alignment, dtype.numpy.itemsize)
    assert buffer.array.ctypes.data % (2 * unit) == unit or not buffer.array.size
    values = np.zeros(shape) if name == "broadcast" else np.random.default_rng(0).random(shape)
    buffer.fill(values)
    np.testing.assert_array_equal(buffer.array, values.astype(dtype.numpy))
    assert buffer.is_guarded
    buffer.poison(0xFF)
    assert buffer.is_guarded
    assert (np.ascontiguousarray(buffer.array).view(np.uint8) == 0xFF).all()


@pytest.mark.parametrize(("shift", "is_stray"), [(-1, True), (0, False), (8, True), (44, True)])
def test_stray_writes_show(shift: int, is_stray: bool) -> None:
    """Rows of two f32, 8 bytes, which begin every 12 bytes; three of them."""
    layout = ARRANGEMENTS["pitched"](Format(DType.F32, (0, 1), Strides.PITCHED), (3, 2))
    assert layout.strides == (12, 4)
    buffer = Buffer(layout)
    buffer.fill(np.zeros((3, 2)))
    ctypes.c_uint8.from_address(buffer.array.ctypes.data + shift).value = 1
    assert buffer.is_guarded is not is_stray


def test_scratch() -> None:
    for size in (0, 1, 100):
        workspace = scratch(size)
        assert workspace.array.size == size
        assert workspace.array.ctypes.data % 64 == 0 or not size
        workspace.array[...] = 1
        assert workspace.is_guarded
        workspace.guards[1][0] = 1
        assert not workspace.is_guarded


def test_poisoned_memory() -> None:
    with poisoned_memory():
        assert np.isnan(np.empty(3)).all()
        assert (np.empty_like(np.zeros(3, np.int8)) == -1).all()
