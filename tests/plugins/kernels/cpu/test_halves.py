"""All 65,536 halves, widened as NumPy does it."""

from __future__ import annotations

import numpy as np
import pytest

from gie_core.ir.types import Array
from gie_kernels_cpu.halves import is_finite, widening
from gie_kernels_cpu.launches import in_order

HALVES: Array = np.arange(1 << 16).astype(np.uint16).view(np.float16)
FINITE: Array = HALVES[np.isfinite(HALVES)]


@pytest.mark.parametrize(
    "source",
    [HALVES, HALVES[::-1], np.repeat(HALVES, 2)[::2], HALVES.reshape(256, 256).T, FINITE],
    ids=["all", "reversed", "strided", "transposed", "finite"],
)
def test_same_numbers_as_numpy(source: Array) -> None:
    out, wanted = np.full(source.shape, np.nan, np.float32), source.astype(np.float32)
    in_order(widening(source, out))()
    np.testing.assert_array_equal(out, wanted)
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(out[number]), np.signbit(wanted[number]))


def test_finite_halves_need_no_look_back() -> None:
    out = np.empty(FINITE.shape, np.float32)
    in_order(widening(FINITE, out, finite=True))()
    np.testing.assert_array_equal(out, FINITE.astype(np.float32))


def test_what_is_finite() -> None:
    assert is_finite(FINITE)
    assert not any(is_finite(np.array([x], np.float16)) for x in (np.inf, -np.inf, np.nan))
    assert not is_finite(np.ones(3, np.float32))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_other_types_are_copied(dtype: str) -> None:
    out: Array = np.empty(3, dtype)
    in_order(widening(np.array([1, 2, np.inf], np.float32), out))()
    np.testing.assert_array_equal(out, [1, 2, np.inf])
