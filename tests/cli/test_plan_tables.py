"""How layouts read in tables of steps."""

from __future__ import annotations

import pytest

from gie_core.cli.plan_tables import layout_text
from gie_core.ir.types import DType
from gie_core.kernels.format import Format, Layout, Strides

SHAPE = 2, 8, 4, 4
NHWC = Format(DType.F16, (0, 2, 3, 1))


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        (Format(DType.F32, (0, 1, 2, 3)).layout(SHAPE), "f32[2, 8, 4, 4]"),
        (NHWC.layout(SHAPE), "f16[2, 8, 4, 4] NHWC"),
        (Format(DType.F32, (1, 0)).layout((2, 3)), "f32[2, 3] 1,0"),
        (Layout(DType.F32, (2, 3), (64, 4)), "f32[2, 3] pitched"),
        (Layout(DType.F32, (), ()), "f32[]"),
        (Layout(DType.F32, (1, 3), (0, 4)), "f32[1, 3]"),
    ],
)
def test_layouts(layout: Layout, text: str) -> None:
    assert layout_text(layout) == text
    assert Strides.PITCHED.value in text or layout.is_dense
