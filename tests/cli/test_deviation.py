"""How far values are from one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gie_core.cli.deviation import (
    comparable,
    largest_difference,
    outputs_error,
    relative_error,
)

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("actual", "expected", "relative", "largest"),
    [
        ([3, 4], [3, 4], 0, 0),
        ([3, 5], [3, 4], 1 / 5, 1),
        ([0, 0], [3, 4], 1, 4),
        ([0, 0], [0, 0], 0, 0),
        ([0, 1e-9], [0, 0], INF, 1e-9),
        ([], [], 0, 0),
        ([INF, 4], [INF, 5], 1 / 5, 1),
        ([NAN, 4], [NAN, 5], 1 / 5, 1),
        ([INF, 4], [-INF, 4], INF, INF),
        ([NAN, 4], [3, 4], INF, INF),
        ([3, 4], [INF, 4], INF, INF),
        ([3 + 4j], [3], 4 / 3, 4),
        ([True, False], [True, True], 2**-0.5, 1),
        ([[3, 4]], [3, 4], INF, INF),
        (["a"], ["a"], INF, INF),
    ],
)
def test_errors(actual: Any, expected: Any, relative: float, largest: float) -> None:
    pair = np.array(actual), np.array(expected)
    assert relative_error(*pair) == pytest.approx(relative)
    assert largest_difference(*pair) == pytest.approx(largest)


def test_differences_are_taken_in_double() -> None:
    big = np.array([60000, -60000], np.float16)
    assert relative_error(big, -big) == 2
    assert relative_error(np.array([0], np.uint8), np.array([255], np.uint8)) == 1


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (np.zeros(2), np.ones(2, np.int8), True),
        (np.zeros(2), np.zeros(3), False),
        (np.zeros(2), [0, 0], False),
        (np.array(["a"]), np.array(["a"]), False),
        (None, None, False),
    ],
)
def test_what_can_be_compared(one: Any, other: Any, expected: bool) -> None:
    assert comparable(one, other) is expected


def test_outputs_in_common_count() -> None:
    one = {"a": np.ones(2), "b": np.ones(2), "s": ["text"]}
    assert outputs_error(one, {"b": np.full(2, 2.0), "s": ["text"]}) == 0.5
    assert outputs_error(one, {"c": np.ones(2)}) is None
