"""Element types and tensor types."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from gie_core.ir.types import (
    DType,
    OptionalType,
    SequenceType,
    TensorType,
    Type,
    as_array,
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
    (np.dtype("<U5"), "str"),
    (object, "str"),
    (np.dtype(">f4"), "f32"),
    ("float32", "f32"),
    ("bfloat16", "bf16"),
    ("f8e5m2", "f8e5m2"),
    ("i4", "i4"),
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
        DType.of(np.dtype("datetime64[s]"))


@pytest.mark.parametrize("name", ["f4", "<f4", "f33", "float", "int", "U5", "", None])
def test_names_that_count_bytes_or_say_too_little_are_refused(name: object) -> None:
    with pytest.raises(TypeError, match="element type"):
        DType.of(name)


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


DIMS: list[tuple[object, type[Exception] | None]] = [
    (np.int64(3), None),
    (np.array(3), None),
    (True, TypeError),
    (np.True_, TypeError),
    (2.0, TypeError),
    (np.float32(2), TypeError),
    (None, TypeError),
    (-1, ValueError),
    ("-1", ValueError),
    ("n +", ValueError),
]


@pytest.mark.parametrize(("dim", "error"), DIMS)
def test_dimensions_are_integers(dim: Any, error: type[Exception] | None) -> None:
    if error is not None:
        with pytest.raises(error, match="dimension"):
            TensorType.of("f32", [dim])
    else:
        (found,) = TensorType.of("f32", [dim]).dims
        assert (type(found), found) == (int, 3)


ARRAYS: list[tuple[Any, str]] = [
    ([1.0, 2.0], "f64[2]"),
    ("abc", "str[]"),
    (np.array(["a", "bc"]), "str[2]"),
    (np.array(["a", "bc"], object), "str[2]"),
    (np.zeros(2, np.dtype(">f4")), "f32[2]"),
]


@pytest.mark.parametrize(("data", "expected"), ARRAYS)
def test_arrays_are_stored_as_their_type_says(data: Any, expected: str) -> None:
    array = as_array(data)
    assert str(type_of(array)) == expected
    assert array.dtype == type_of(array).dtype.numpy


@pytest.mark.parametrize("data", [None, [None], [b"a"], np.array([1, "a"], object)])
def test_objects_other_than_strings_are_refused(data: Any) -> None:
    with pytest.raises(TypeError, match="strings only"):
        as_array(data)


def test_unknown_rank_is_an_error_where_it_is_needed() -> None:
    with pytest.raises(ValueError, match="rank of f32"):
        _ = TensorType.of("f32").rank


F32 = TensorType.of("f32", [2, "n"])
PAIRS: list[tuple[Type, Type, bool]] = [
    (F32, TensorType.of("f32", [2, 7]), True),
    (F32, TensorType.of("f32", [3, "n"]), False),
    (TensorType.of("f32", ["n"]), TensorType.of("f32", ["n + 1"]), False),
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
