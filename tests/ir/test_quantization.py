"""Quantizations: what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from gie_core.ir.quantization import Quantization
from gie_core.ir.types import DType

REFUSED: list[tuple[DType, Any, Any, Any, str]] = [
    # dtype, scale, zero point, axis, message
    (DType.I8, (0.5,), (0, 0), None, "one zero point per scale"),
    (DType.I8, (0.5, 0.5), (0, 0), None, "one zero point per scale"),
    (DType.I8, (0.0,), (0,), None, "must be positive"),
    (DType.I8, (float("inf"),), (0,), None, "positive and finite"),
    (DType.I8, (float("nan"),), (0,), None, "positive and finite"),
    (DType.I8, (0.5,), (0,), -1, "counts from 0"),
    (DType.F32, (0.5,), (0,), None, "nothing is quantized to f32"),
    (DType.BOOL, (0.5,), (0,), None, "nothing is quantized to bool"),
    (DType.I8, (0.5,), (0.5,), None, "integer"),
    (DType.I8, ("a",), (0,), None, "convert"),
]


@pytest.mark.parametrize(("dtype", "scale", "zero_point", "axis", "message"), REFUSED)
def test_what_makes_no_sense_is_refused(
    dtype: DType, scale: Any, zero_point: Any, axis: Any, message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        Quantization(dtype, scale, zero_point, axis)


def test_scales_become_floats() -> None:
    assert isinstance(Quantization(DType.F8E4M3, (1,), (0,)).scale[0], float)
