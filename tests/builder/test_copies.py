"""Copies between formats are jobs like any other."""

from __future__ import annotations

import pytest

from gie_core.builder.copies import copy_job
from gie_core.builder.environment import Environment
from gie_core.builder.tuner import Tuner
from gie_core.ir.types import DType
from gie_core.kernels.format import Format, Layout
from gie_core.runtime.target import HOST

SHAPE = (1, 5, 7, 9)
NCHW = Format(DType.F32, (0, 1, 2, 3)).layout(SHAPE)
NHWC = Format(DType.F32, (0, 2, 3, 1)).layout(SHAPE)
HALF = Format(DType.F16, (0, 2, 3, 1)).layout(SHAPE)
SLICE = Layout(DType.F32, SHAPE, (4 * 630, 252, 36, 4))
BROADCAST = Layout(DType.F32, SHAPE, (0, 0, 36, 4))


@pytest.mark.parametrize(
    ("source", "result", "error"),
    [
        (NCHW, NHWC, 0),
        (NHWC, NCHW, 0),
        (NHWC, SLICE, 0),
        (BROADCAST, NHWC, 0),
        (HALF, NCHW, 0),
        (NCHW, HALF, 3e-4),
    ],
)
def test_copies_are_right_and_timed(source: Layout, result: Layout, error: float) -> None:
    job = copy_job(DType.F32, source, result)
    (timing,) = Tuner(HOST, Environment("host", "a CPU", ())).tune([job])
    assert timing.ok, timing.reason
    assert timing.nanoseconds > 0
    assert timing.error == pytest.approx(error, rel=0.3)
