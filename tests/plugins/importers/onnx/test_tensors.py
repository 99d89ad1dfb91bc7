"""Tensors of every element type, in raw and typed fields, as ``onnx.numpy_helper`` reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, TypeProto, helper, numpy_helper

from gie_core.builder.importing import ModelError
from gie_core.ir.types import DType, OptionalType, SequenceType, TensorType, Type
from gie_importer_onnx.symbols import Symbols
from gie_importer_onnx.tensors import (
    DTYPES,
    ELEMENT_TYPES,
    array_of,
    dense_array_of,
    type_proto_of,
)

RNG = np.random.default_rng(6)
NUMBERS = [dtype for dtype in DTYPES.values() if dtype is not DType.STR]


def random_tensor(dtype: DType, shape: tuple[int, ...]) -> Any:
    """Any bit patterns of a type that are finite numbers."""
    values = RNG.integers(0, 2, shape) if dtype is DType.BOOL else RNG.integers(-2, 2, shape)
    if not (dtype.is_signed or dtype.is_float or dtype.is_complex):
        values = np.abs(values)
    values = np.abs(values) + 1 if dtype is DType.F8E8M0 else values
    return values.astype(np.complex64 if dtype.is_complex else np.int8).astype(dtype.numpy)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0, 4)])
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_raw_data(dtype: DType, shape: tuple[int, ...]) -> None:
    array = random_tensor(dtype, shape)
    tensor = numpy_helper.from_array(array)
    assert tensor.HasField("raw_data")
    result = array_of(tensor, "t")
    assert (result.dtype, result.shape) == (array.dtype, shape)
    assert result.tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_typed_fields(dtype: DType) -> None:
    array = random_tensor(dtype, (3, 3))
    number = ELEMENT_TYPES[dtype]
    tensor = helper.make_tensor("t", number, [3, 3], array.ravel().tolist())
    if tensor.HasField("raw_data"):
        pytest.skip(f"onnx writes {dtype} as raw data only")
    expected = numpy_helper.to_array(tensor)
    result = array_of(tensor, "t")
    assert result.dtype == array.dtype
    assert result.tobytes() == expected.tobytes()


def test_texts() -> None:
    texts = [b"caf\xc3\xa9", b"\xff"]
    tensor = TensorProto(data_type=TensorProto.STRING, dims=[2], string_data=texts)
    result = array_of(tensor, "t")
    assert result.dtype == object
    assert result[0] == "café"


def test_segments_are_not_read() -> None:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1])
    tensor.segment.begin = 0
    with pytest.raises(ModelError, match="stored in segments"):
        array_of(tensor, "the initializer 't'")


@pytest.mark.parametrize("indices", [[1, 5], [[0, 1], [1, 2]]])
def test_sparse_tensors_become_dense(indices: Any) -> None:
    values = numpy_helper.from_array(np.array([7, 8], np.float32), "v")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array(indices)), [2, 3])
    np.testing.assert_array_equal(dense_array_of(sparse, "s"), [[0, 7, 0], [0, 0, 8]])


def test_sparse_indices_outside() -> None:
    values = numpy_helper.from_array(np.array([7], np.float32), "v")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([9])), [2, 3])
    with pytest.raises(ModelError, match="do not fit its shape"):
        dense_array_of(sparse, "s")


TYPES = [
    TensorType.of("f32", [2, 3]),
    TensorType.of("i4", []),
    TensorType.of("str", None),
    SequenceType(TensorType.of("bf16", [1])),
    OptionalType(SequenceType(TensorType.of("u8", None))),
]


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_types_there_and_back(type_: Type) -> None:
    assert Symbols().type_of(type_proto_of(type_), "x", "x") == type_


def test_names_of_dimensions_become_symbols() -> None:
    symbols = Symbols()
    proto = helper.make_tensor_type_proto(
        TensorProto.FLOAT, ["batch size", None, "batch size", 3, "max", "in"]
    )
    assert (
        str(symbols.type_of(proto, "x", "x")) == "f32[batch_size, x_1, batch_size, 3, max_1, in_1]"
    )
    other = helper.make_tensor_type_proto(TensorProto.FLOAT, ["batch-size", "2n"])
    assert str(symbols.type_of(other, "y", "y")) == "f32[batch_size_1, d2n]"


def test_a_map_is_no_type_of_gie() -> None:
    proto = TypeProto()
    proto.map_type.key_type = TensorProto.STRING
    with pytest.raises(ModelError, match="the input 'x' is a map, which GIE does not have"):
        Symbols().type_of(proto, "the input 'x'", "x")
