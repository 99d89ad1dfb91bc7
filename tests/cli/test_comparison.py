"""Comparing value by value: what counts as the same, and where the first divergence is."""

from __future__ import annotations

import numpy as np
import pytest

from gie_core.cli.comparison import Comparison
from gie_core.cli.traces import Traced
from gie_core.ir.types import Array


def traced(name: str, value: object, *sources: str) -> Traced:
    return Traced(name, "op", sources, "kernel", np.asarray(value, np.float32))


def compared(*pairs: tuple[Traced, Traced]) -> Comparison:
    found = Comparison({expected.name: expected for _, expected in pairs})
    for actual, _ in pairs:
        found.watch(actual)
    return found


@pytest.mark.parametrize(
    ("actual", "expected", "same"),
    [
        (traced("a", [1], "Conv"), traced("a", [1], "Conv"), True),
        (traced("a", [1], "Conv", "Relu"), traced("a", [1], "Relu"), True),  # fused
        (traced("a", [1], "Relu"), traced("a", [1], "Conv", "Relu"), True),  # there
        (traced("a", [1], "Relu"), traced("a", [1], "Conv"), False),  # the name came to another
        (traced("a", [1]), traced("a", [1], "Conv"), True),
        (traced("a", [1], "Conv"), traced("b", [1], "Conv"), False),
        (traced("a", [[1]], "Conv"), traced("a", [1], "Conv"), False),
    ],
)
def test_what_is_the_same_value(actual: Traced, expected: Traced, same: bool) -> None:
    found = compared((actual, expected))
    assert (len(found.found), found.unmatched) == (same, not same)


def test_the_first_beyond_the_tolerance_is_not_the_worst() -> None:
    found = compared(
        *(
            (traced(name, [1 + error]), traced(name, [1]))
            for name, error in (("a", 0), ("b", 0.25), ("c", 0.5), ("d", 0.125))
        )
    )
    for tolerance, first in ((0.1, "b"), (0.3, "c")):
        deviation = found.first_beyond(tolerance)
        assert deviation is not None
        assert deviation.value == first
    assert found.first_beyond(0.5) is None
    assert [each.value for each in found.worst(3)] == ["c", "b", "d"]


@pytest.mark.parametrize(
    ("dtypes", "tolerance"),
    [((), 1e-4), (("f4", "f8", "i1"), 1e-4), (("f4", "f2"), 1e-2)],
)
def test_the_coarsest_type_sets_the_tolerance(dtypes: tuple[str, ...], tolerance: float) -> None:
    values = [Traced(dtype, "op", (), "", np.zeros(1, dtype)) for dtype in dtypes]
    assert compared(*((value, value) for value in values)).tolerance() == tolerance


@pytest.mark.parametrize(
    ("outputs", "expected", "errors"),
    [
        ({"y": np.ones(2)}, {"y": np.ones(2)}, [0]),
        ({"y": np.ones(2)}, {"y": np.ones(3)}, [np.inf]),
        ({"y": np.ones(2)}, {"z": np.ones(2)}, []),
        ({"seen": np.ones(2)}, {"seen": np.zeros(2)}, [0]),
        ({"y": ["text"]}, {"y": ["text"]}, []),
    ],
)
def test_outputs_count_where_no_node_was_seen(
    outputs: dict[str, Array], expected: dict[str, Array], errors: list[float]
) -> None:
    found = Comparison({"seen": traced("seen", [1, 1])})
    if "seen" in outputs:
        found.watch(traced("seen", [1, 1]))
    found.watch_outputs(outputs, expected)
    assert [each.error for each in found.found] == errors
