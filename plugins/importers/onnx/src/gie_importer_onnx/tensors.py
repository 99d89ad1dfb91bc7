"""Tensors and types of ONNX as those of GIE.

A ``TensorProto`` is checked against the data it really holds before anything is
allocated: a tensor may claim any shape, and a claim costs nothing.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import SparseTensorProto, TensorProto, TypeProto

from gie_core.builder.importing import ModelError
from gie_core.ir.dims import Dim
from gie_core.ir.types import Array, DType, OptionalType, SequenceType, TensorType, Type
from gie_importer_onnx.external import read_external

__all__ = ["DTYPES", "ELEMENT_TYPES", "array_of", "dense_array_of", "dtype_of", "type_proto_of"]

_NAMES = {
    "FLOAT": DType.F32,
    "DOUBLE": DType.F64,
    "FLOAT16": DType.F16,
    "BFLOAT16": DType.BF16,
    "FLOAT8E4M3FN": DType.F8E4M3,
    "FLOAT8E4M3FNUZ": DType.F8E4M3UZ,
    "FLOAT8E5M2": DType.F8E5M2,
    "FLOAT8E5M2FNUZ": DType.F8E5M2UZ,
    "FLOAT8E8M0": DType.F8E8M0,
    "FLOAT4E2M1": DType.F4E2M1,
    "BOOL": DType.BOOL,
    "INT2": DType.I2,
    "INT4": DType.I4,
    "INT8": DType.I8,
    "INT16": DType.I16,
    "INT32": DType.I32,
    "INT64": DType.I64,
    "UINT2": DType.U2,
    "UINT4": DType.U4,
    "UINT8": DType.U8,
    "UINT16": DType.U16,
    "UINT32": DType.U32,
    "UINT64": DType.U64,
    "COMPLEX64": DType.C64,
    "COMPLEX128": DType.C128,
    "STRING": DType.STR,
}
# An older onnx lacks the newest types; what it lacks it can't have read either.
DTYPES: dict[int, DType] = {
    number: _NAMES[name] for name, number in TensorProto.DataType.items() if name in _NAMES
}
"""GIE's element type for ONNX's number of it."""
ELEMENT_TYPES: dict[DType, int] = {dtype: number for number, dtype in DTYPES.items()}
"""ONNX's number of an element type."""

LARGEST_DENSE = 1 << 31
"""Bytes that a sparse initializer may take once it is dense."""


def dtype_of(element_type: int, where: str) -> DType:
    """The element type of a number.

    Raises:
        ModelError: GIE has no such type.
    """
    if element_type not in DTYPES:
        known = {number: name for name, number in TensorProto.DataType.items()}
        name = known.get(element_type, str(element_type))
        raise ModelError(f"{where} has the element type {name}, which GIE does not have")
    return DTYPES[element_type]


def array_of(tensor: TensorProto, where: str, folder: Path | None = None) -> Array:
    """The content of a tensor, read-only where it is a view of the model's bytes.

    Args:
        tensor: any dense tensor.
        where: what it is, for messages ("the initializer 'w'").
        folder: where external data lies; ``None`` where there is no such place.

    Returns:
        An array of the tensor's own shape; 4- and 2-bit integers one an element.

    Raises:
        ModelError: its data is missing, too short, too long, or out of reach.
    """
    dtype = dtype_of(tensor.data_type, where)
    shape = tuple(tensor.dims)
    if any(extent < 0 for extent in shape):
        raise ModelError(f"{where} has the negative extent {min(shape)}")
    if tensor.HasField("segment"):
        raise ModelError(
            f"{where} is stored in segments, which GIE does not read; save the model again"
        )
    try:
        return _content(tensor, dtype, shape, where, folder)
    except (ValueError, OverflowError) as error:  # an extent beyond what NumPy can address
        raise ModelError(f"{where} cannot be read: {error}") from error


def _content(
    tensor: TensorProto, dtype: DType, shape: tuple[int, ...], where: str, folder: Path | None
) -> Array:
    count = math.prod(shape)
    if tensor.data_location == TensorProto.EXTERNAL:
        if dtype is DType.STR:
            raise ModelError(
                f"{where} has strings in another file, where ONNX only allows numbers; "
                "save the model with the strings in it"
            )
        return _decode(
            read_external(tensor, _byte_count(dtype, count), where, folder), dtype, shape
        )
    if dtype is DType.STR:
        _check_size(len(tensor.string_data), count, "strings", where, shape)
        texts = [text.decode("utf-8", "surrogateescape") for text in tensor.string_data]
        return np.array([*texts, None], object)[:-1].reshape(shape)
    if tensor.HasField("raw_data"):
        raw = tensor.raw_data
        _check_size(len(raw), _byte_count(dtype, count), "bytes", where, shape)
        return _decode(np.frombuffer(raw, np.uint8), dtype, shape)
    return _typed_content(tensor, dtype, shape, count, where)


def _typed_content(
    tensor: TensorProto, dtype: DType, shape: tuple[int, ...], count: int, where: str
) -> Array:
    """Data in one of the typed fields: small types sit in ``int32_data``, one an entry."""
    match dtype:
        case DType.F32 | DType.C64:
            field: Any = tensor.float_data
            stored: Any = np.float32
        case DType.F64 | DType.C128:
            field, stored = tensor.double_data, np.float64
        case DType.I64:
            field, stored = tensor.int64_data, np.int64
        case DType.U64 | DType.U32:
            field, stored = tensor.uint64_data, np.uint64
        case _:
            field, stored = tensor.int32_data, np.int32
    expected = (
        count * 2 if dtype.is_complex else _byte_count(dtype, count) if dtype.bits < 8 else count
    )
    _check_size(len(field), expected, "values", where, shape)
    values = np.array(field, stored)
    if dtype.is_complex:
        return values.view(dtype.numpy).reshape(shape)
    if dtype.is_integer and dtype.bits >= 8:
        return values.astype(dtype.numpy).reshape(shape)
    if dtype is DType.BOOL:
        return (values != 0).reshape(shape)
    if dtype.bits < 8:
        return _decode(values.astype(np.uint8), dtype, shape)
    if dtype.bits < 32:  # the bit patterns of small floats
        return (
            values.astype(np.uint16 if dtype.bits == 16 else np.uint8)
            .view(dtype.numpy)
            .reshape(shape)
        )
    return values.reshape(shape)


def _decode(raw: NDArray[np.uint8], dtype: DType, shape: tuple[int, ...]) -> Array:
    """Little-endian bytes as elements; sub-byte elements are packed, the first in the low bits."""
    if dtype is DType.BOOL:
        return (raw != 0).reshape(shape)
    if dtype.bits >= 8:
        return raw.view(dtype.numpy).reshape(shape)
    per_byte, mask = 8 // dtype.bits, (1 << dtype.bits) - 1
    shifts = np.arange(per_byte, dtype=np.uint8) * np.uint8(dtype.bits)
    codes = ((raw[:, None] >> shifts) & np.uint8(mask)).reshape(-1)[: math.prod(shape)]
    if dtype.is_signed:
        codes = np.where(codes > mask >> 1, codes | np.uint8(255 & ~mask), codes).view(np.int8)
        return codes.astype(dtype.numpy).reshape(shape)
    if dtype.is_integer:
        return codes.astype(dtype.numpy).reshape(shape)
    return codes.view(dtype.numpy).reshape(shape)


def _byte_count(dtype: DType, count: int) -> int:
    return -(-count * dtype.bits // 8)


def _check_size(held: int, needed: int, unit: str, where: str, shape: tuple[int, ...]) -> None:
    if held != needed:
        raise ModelError(
            f"{where} claims the shape {list(shape)}, which takes {needed} {unit}, "
            f"but holds {held}; the file is damaged"
        )


def dense_array_of(sparse: SparseTensorProto, where: str) -> Array:
    """A sparse tensor as a dense array.

    Raises:
        ModelError: its parts do not belong together, or the dense form exceeds ``LARGEST_DENSE``.
    """
    shape = tuple(sparse.dims)
    values = array_of(sparse.values, f"the values of {where}")
    indices = array_of(sparse.indices, f"the indices of {where}")
    if any(extent < 0 for extent in shape) or math.prod(shape) * values.itemsize > LARGEST_DENSE:
        raise ModelError(f"{where} is sparse and too large to be stored densely: {list(shape)}")
    linear = indices
    try:
        if indices.ndim == 2:
            linear = np.ravel_multi_index(tuple(indices.T), shape)
        dense = np.zeros(math.prod(shape), values.dtype)
        dense[linear] = values
    except (ValueError, IndexError) as error:
        raise ModelError(
            f"the indices of {where} do not fit its shape {list(shape)}: {error}"
        ) from error
    return dense.reshape(shape)


def type_proto_of(type_: Type) -> TypeProto:
    """ONNX's form of a type; symbolic dimensions by their text."""
    proto = TypeProto()
    match type_:
        case TensorType(dtype, shape):
            proto.tensor_type.elem_type = ELEMENT_TYPES[dtype]
            if shape is not None:
                proto.tensor_type.shape.SetInParent()
                for extent in shape:
                    _add_dim(proto, extent)
        case SequenceType(item):
            proto.sequence_type.elem_type.CopyFrom(type_proto_of(item))
        case OptionalType(item):
            proto.optional_type.elem_type.CopyFrom(type_proto_of(item))
    return proto


def _add_dim(proto: TypeProto, extent: Dim) -> None:
    dim = proto.tensor_type.shape.dim.add()
    if isinstance(extent, int):
        dim.dim_value = extent
    else:
        dim.dim_param = str(extent)
