"""Errors are measured in the norm and at the worst element, at no infinity and at every NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gie_core.builder.comparing import Comparison, compare, tolerance_of
from gie_core.ir.types import Array, DType

RNG = np.random.default_rng(0)
RIGHT = RNG.normal(size=(100, 1000))
F32 = tolerance_of([DType.F32])


def changed(array: Array, index: tuple[int, ...], value: object) -> Array:
    copy = array.copy()
    copy[index] = value
    return copy


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0])
def test_the_error_is_relative_in_the_norm(scale: float) -> None:
    noise = RNG.normal(size=RIGHT.shape) * scale
    found = compare(RIGHT + noise, RIGHT)
    assert found.error == pytest.approx(np.linalg.norm(noise) / np.linalg.norm(RIGHT))
    assert found.miss == found.error  # 5 standard deviations are less than 8


def test_one_wrong_element_is_a_miss() -> None:
    found = compare(changed(RIGHT, (99, 999), RIGHT[99, 999] + 0.01), RIGHT)
    assert found.error < 1e-4
    assert found.miss > 5e-4 > F32
    assert found.where.startswith("[99, 999] is ")


@pytest.mark.parametrize(
    ("answer", "right", "is_right"),
    [
        ([1.0, 2.0], [1.0, 2.0], True),
        ([np.inf, 2.0], [np.inf, 2.0], True),
        ([np.nan, 2.0], [np.nan, 2.0], True),
        ([np.nan, 2.0], [1.0, 2.0], False),
        ([np.inf, 2.0], [1.0, 2.0], False),
        ([-np.inf, 2.0], [np.inf, 2.0], False),
        ([1e30, 2.0], [np.inf, 2.0], False),
        ([0.0, 0.0], [0.0, 0.0], True),
        ([1e-7, 0.0], [0.0, 0.0], True),
        ([1e-3, 0.0], [0.0, 0.0], False),
        ([1 + 2j, 0.0], [1 + 2j, 0.0], True),
        ([1 - 2j, 0.0], [1 + 2j, 0.0], False),
        ([], [], True),
    ],
)
def test_special_values(answer: list[complex], right: list[complex], is_right: bool) -> None:
    found = compare(np.array(answer), np.array(right))
    assert (found.miss <= F32) == is_right


INTEGERS = np.arange(5000, dtype=np.int32)
FLAGS = np.arange(5000) % 3 == 0


@pytest.mark.parametrize(
    ("answer", "right", "with_floats", "without"),
    [
        (INTEGERS, INTEGERS, True, True),
        (changed(INTEGERS, (7,), 8), INTEGERS, True, False),
        (changed(INTEGERS, (7,), 9), INTEGERS, False, False),
        (INTEGERS + 1, INTEGERS, False, False),
        (changed(FLAGS, (1,), True), FLAGS, True, False),
        (~FLAGS, FLAGS, False, False),
        (changed(FLAGS.view(np.uint8), (0,), 255).view(np.bool_), FLAGS, False, False),
    ],
)
def test_integers_are_equal_or_rounded_from_floats(
    answer: Array, right: Array, with_floats: bool, without: bool
) -> None:
    found = compare(answer, right)
    assert (found.miss <= tolerance_of([DType.I32, DType.F32])) == with_floats
    assert (found.miss <= tolerance_of([DType.I32, DType.BOOL])) == without


def test_the_error_of_integers_is_the_share_that_differs() -> None:
    found = compare(changed(INTEGERS, (7,), 9), INTEGERS)
    assert found == Comparison(1 / 5000, math.inf, "[7] is 9 instead of 7")


@pytest.mark.parametrize(
    ("dtypes", "coarsest"),
    [
        ([DType.F32, DType.F64], DType.F32),
        ([DType.F32, DType.F16], DType.F16),
        ([DType.F16, DType.BF16, DType.I8], DType.BF16),
        ([DType.F8E4M3, DType.BF16], DType.F8E5M2),
    ],
)
def test_the_coarsest_type_counts(dtypes: list[DType], coarsest: DType) -> None:
    assert tolerance_of(dtypes) == tolerance_of([coarsest])
