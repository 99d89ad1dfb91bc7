"""Predictions are whole, positive, and never less for more work."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gie_core.builder.cost_model import predict, predict_reformat, reformat_work
from gie_core.errors import GieError
from gie_core.ir.types import DType
from gie_core.kernels.candidate import Work
from gie_core.kernels.format import Format, Layout
from gie_core.runtime.target import HOST, Target

amounts = st.integers(0, 10**12).map(float)
works = st.builds(Work, products=amounts, steps=amounts, bytes=amounts, calls=amounts)
SHAPE = (1, 64, 56, 56)
NCHW = Format(DType.F32, (0, 1, 2, 3)).layout(SHAPE)
NHWC = Format(DType.F32, (0, 2, 3, 1)).layout(SHAPE)
HALF = Format(DType.F16, (0, 1, 2, 3)).layout(SHAPE)
PITCHED = Layout(DType.F32, SHAPE, (2 * 64 * 56 * 56 * 4, 56 * 60 * 4, 60 * 4, 4))


@given(works, st.sampled_from([f.name for f in fields(Work)]), amounts)
def test_more_work_never_takes_less(work: Work, name: str, more: float) -> None:
    time = predict(work, HOST)
    larger = replace(work, **{name: getattr(work, name) + more})
    assert type(time) is int
    assert 1 <= time <= predict(larger, HOST)


@pytest.mark.parametrize(
    ("work", "nanoseconds"),
    [
        (Work(calls=0), 1),
        (Work(), 1000),
        (Work(products=2e7, calls=0), 100_000),
        (Work(bytes=1e7, calls=0), 100_000),
        (Work(steps=8e5, calls=2), 102_000),
        (Work(products=2e7, steps=8e5, bytes=1e7, calls=1), 301_000),
    ],
)
def test_terms_are_added(work: Work, nanoseconds: int) -> None:
    assert predict(work, HOST) == nanoseconds


def test_reformats_are_ordered_by_what_they_change() -> None:
    chain = [
        predict_reformat(NCHW, NCHW, HOST),
        predict_reformat(NCHW, NHWC, HOST),
        predict_reformat(NHWC, HALF, HOST),
    ]
    assert all(a < b for a, b in itertools.pairwise(chain))
    assert predict_reformat(NCHW, PITCHED, HOST) == chain[0]
    assert predict_reformat(NHWC, NCHW, HOST) == chain[1]


def test_positions_that_stand_alone_are_not_transposed() -> None:
    flat = (1, 64, 1, 1)
    one, other = (Format(DType.F32, order).layout(flat) for order in ((0, 1, 2, 3), (0, 2, 3, 1)))
    assert reformat_work(one, other) == Work(steps=0, bytes=2 * 64 * 4)


def test_an_unknown_target_is_named() -> None:
    with pytest.raises(GieError, match="there is no cost model for abacus; build with a timing"):
        predict(Work(), Target("abacus"))
