"""Element types and tensor types."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from gie_core.ir.types import (
    DType,
    OptionalType,
    SequenceType,
    TensorType,
    Type,
    may_equal,
    type_of,
)

NAMES = [
    (np.float32, "f32"),
    (np.float16, "f16"),
    (ml_dtypes.bfloat16, "bf16"),
    (ml_dtypes.float8_e4m3fn, "f8e4m3"),
    (ml_dtypes.int4, "i4"),
    (np.uint8, "u8"),
    (np.bool_, "bool"),
    ("<U5", "str"),
    (object, "str"),
    (">f4", "f32"),
]


@pytest.mark.parametrize(("numpy", "name"), NAMES)
def test_numpy_types_have_names(numpy: object, name: str) -> None:
    assert DType.of(numpy) is DType(name)


@pytest.mark.parametrize("dtype", list(DType))
def test_storage_round_trips(dtype: DType) -> None:
    assert DType.of(dtype.numpy) is dtype
    assert DType.of(str(dtype)) is dtype


def test_types_that_gie_lacks_are_named() -> None:
    with pytest.raises(TypeError, match="no element type for NumPy's datetime64"):
        DType.of("datetime64[s]")


def test_kinds_are_disjoint() -> None:
    for dtype in DType:
        kinds = [dtype.is_float, dtype.is_integer, dtype.is_complex, not dtype.is_number]
        assert sum(kinds) == 1, dtype


@pytest.mark.parametrize(
    ("dtype", "bits"), [("i4", 4), ("bf16", 16), ("f32", 32), ("bool", 8), ("c128", 128)]
)
def test_bits(dtype: str, bits: int) -> None:
    assert DType(dtype).bits == bits


def test_text() -> None:
    assert str(TensorType.of("f32", ["n", 3, "h//2"])) == "f32[n, 3, h // 2]"
    assert str(TensorType.of("i64")) == "i64[*]"
    assert str(SequenceType(OptionalType(TensorType.of("f32", [])))) == "seq<opt<f32[]>>"


def test_unknown_rank_is_an_error_where_it_is_needed() -> None:
    with pytest.raises(ValueError, match="rank of f32"):
        _ = TensorType.of("f32").rank


F32 = TensorType.of("f32", [2, "n"])
PAIRS: list[tuple[Type, Type, bool]] = [
    (F32, TensorType.of("f32", [2, 7]), True),
    (F32, TensorType.of("f32", [3, "n"]), False),
    (F32, TensorType.of("f32"), True),
    (F32, TensorType.of("f16"), False),
    (F32, TensorType.of("f32", [2]), False),
    (SequenceType(F32), SequenceType(TensorType.of("f32")), True),
    (SequenceType(F32), OptionalType(F32), False),
    (OptionalType(F32), OptionalType(F32), True),
]


@pytest.mark.parametrize(("a", "b", "expected"), PAIRS)
def test_may_equal(a: Type, b: Type, expected: bool) -> None:
    assert may_equal(a, b) is expected
    assert may_equal(b, a) is expected


def test_type_of_an_array() -> None:
    assert type_of(np.zeros((2, 0), np.int8)) == TensorType.of("i8", [2, 0])
