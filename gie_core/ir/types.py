"""What a value is: an element type and a shape.

``DType`` names every element type that GIE can represent, whether or not NumPy
knows it by itself (bfloat16, the 8-bit floats and the 4- and 2-bit integers come
from ``ml_dtypes``). A ``TensorType`` pairs one with a shape whose dimensions are
ints or integer expressions (see ``dims``).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from gie_core.ir.dims import Dim, as_dim, certainly_differ, format_dim

__all__ = [
    "Array",
    "DType",
    "OptionalType",
    "SequenceType",
    "Shape",
    "TensorType",
    "Type",
    "UnknownRankError",
    "as_array",
    "may_equal",
    "type_of",
]

Shape = tuple[Dim, ...]
Array = NDArray[Any]


class DType(enum.Enum):
    """An element type. The value is its name in the text form."""

    BOOL = "bool"
    I2 = "i2"
    I4 = "i4"
    I8 = "i8"
    I16 = "i16"
    I32 = "i32"
    I64 = "i64"
    U2 = "u2"
    U4 = "u4"
    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    U64 = "u64"
    F16 = "f16"
    BF16 = "bf16"
    F32 = "f32"
    F64 = "f64"
    F4E2M1 = "f4e2m1"
    F8E4M3 = "f8e4m3"
    F8E4M3UZ = "f8e4m3uz"
    F8E5M2 = "f8e5m2"
    F8E5M2UZ = "f8e5m2uz"
    F8E8M0 = "f8e8m0"
    C64 = "c64"
    C128 = "c128"
    STR = "str"

    def __repr__(self) -> str:
        return f"DType.{self.name}"

    def __str__(self) -> str:
        return self.value

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype that stores it; strings are stored as objects."""
        return _NUMPY[self]

    @property
    def is_float(self) -> bool:
        """A real floating-point type of any width."""
        return self.value[0] == "f" or self is DType.BF16

    @property
    def is_integer(self) -> bool:
        """A signed or unsigned integer; bool is not one."""
        return self.value[0] in "iu"

    @property
    def is_signed(self) -> bool:
        """A signed integer."""
        return self.value[0] == "i"

    @property
    def is_complex(self) -> bool:
        return self.value[0] == "c"

    @property
    def is_number(self) -> bool:
        """Arithmetic is defined on it: not bool, not a string."""
        return self not in (DType.BOOL, DType.STR)

    @property
    def bits(self) -> int:
        """Bits an element holds (its storage in NumPy may be wider); 0 for strings."""
        return _BITS[self]

    @classmethod
    def of(cls, dtype: Any) -> DType:
        """The ``DType`` of a NumPy dtype or type, or of a name: GIE's or NumPy's full one.

        NumPy's short names are refused: they count bytes where GIE's count bits.

        Raises:
            TypeError: GIE has no such element type.
        """
        if isinstance(dtype, DType):
            return dtype
        if isinstance(dtype, str):
            return _of_name(dtype)
        if dtype is None:
            raise TypeError("an element type is needed, not None")
        numpy_dtype = np.dtype(dtype)
        if numpy_dtype.kind in "UST":
            return DType.STR
        found = _FROM_NUMPY.get(numpy_dtype.newbyteorder("="))
        if found is None:
            raise TypeError(f"GIE has no element type for NumPy's {numpy_dtype}")
        return found


_NUMPY: dict[DType, np.dtype[Any]] = {
    member: np.dtype(stored)
    for member, stored in {
        DType.BOOL: np.bool_,
        DType.I2: ml_dtypes.int2,
        DType.I4: ml_dtypes.int4,
        DType.I8: np.int8,
        DType.I16: np.int16,
        DType.I32: np.int32,
        DType.I64: np.int64,
        DType.U2: ml_dtypes.uint2,
        DType.U4: ml_dtypes.uint4,
        DType.U8: np.uint8,
        DType.U16: np.uint16,
        DType.U32: np.uint32,
        DType.U64: np.uint64,
        DType.F16: np.float16,
        DType.BF16: ml_dtypes.bfloat16,
        DType.F32: np.float32,
        DType.F64: np.float64,
        DType.F4E2M1: ml_dtypes.float4_e2m1fn,
        DType.F8E4M3: ml_dtypes.float8_e4m3fn,
        DType.F8E4M3UZ: ml_dtypes.float8_e4m3fnuz,
        DType.F8E5M2: ml_dtypes.float8_e5m2,
        DType.F8E5M2UZ: ml_dtypes.float8_e5m2fnuz,
        DType.F8E8M0: ml_dtypes.float8_e8m0fnu,
        DType.C64: np.complex64,
        DType.C128: np.complex128,
        DType.STR: np.object_,
    }.items()
}
_FROM_NUMPY = {stored: member for member, stored in _NUMPY.items()}
_BITS = {
    member: {"i2": 2, "u2": 2, "i4": 4, "u4": 4, "f4e2m1": 4, "str": 0}.get(
        member.value, 8 * stored.itemsize
    )
    for member, stored in _NUMPY.items()
}
_NAMES = {stored.name: member for member, stored in _NUMPY.items()} | {
    member.value: member for member in DType
}


def _of_name(name: str) -> DType:
    if name not in _NAMES:
        known = ", ".join(member.value for member in DType)
        raise TypeError(
            f"{name!r} is not an element type; write one of {known}, or NumPy's full name, such "
            "as 'float32'"
        )
    return _NAMES[name]


class UnknownRankError(ValueError):
    """The dimensions of a tensor were asked for, but not even their number is known."""


@dataclass(frozen=True)
class TensorType:
    """An element type and a shape.

    Args:
        dtype: the element type.
        shape: dimensions from the outermost in; ``None`` where not even the rank is
            known (the result of a foreign op).

    Raises:
        ValueError: a dimension is negative.
    """

    dtype: DType
    shape: Shape | None

    def __post_init__(self) -> None:
        for dim in self.shape or ():
            if isinstance(dim, int) and dim < 0:
                raise ValueError(f"a dimension cannot be negative, as in {self}")

    @classmethod
    def of(cls, dtype: Any, shape: Iterable[Dim | str] | None = None) -> TensorType:
        """Build one from anything: ``TensorType.of("f32", ["n", 3, "h//2"])``.

        Raises:
            TypeError: GIE has no such element type, or a dimension is not an integer.
            ValueError: a dimension is negative, or not an expression.
        """
        dims = None if shape is None else tuple(as_dim(d) for d in shape)
        return cls(DType.of(dtype), dims)

    @property
    def rank(self) -> int:
        """Number of dimensions.

        Raises:
            UnknownRankError: the rank is unknown.
        """
        return len(self.dims)

    @property
    def dims(self) -> Shape:
        """The shape of a ranked tensor.

        Raises:
            UnknownRankError: the rank is unknown.
        """
        if self.shape is None:
            raise UnknownRankError(f"the rank of {self} is unknown")
        return self.shape

    @property
    def is_static(self) -> bool:
        """Every dimension is an int."""
        return self.shape is not None and all(isinstance(d, int) for d in self.shape)

    def __str__(self) -> str:
        dims = "*" if self.shape is None else ", ".join(map(format_dim, self.shape))
        return f"{self.dtype}[{dims}]"


@dataclass(frozen=True)
class SequenceType:
    """A Python list whose items all have one type. Only control flow and foreign ops use it."""

    item: Type

    def __str__(self) -> str:
        return f"seq<{self.item}>"


@dataclass(frozen=True)
class OptionalType:
    """A value or ``None``. Only control flow and foreign ops use it."""

    item: Type

    def __str__(self) -> str:
        return f"opt<{self.item}>"


Type = TensorType | SequenceType | OptionalType


def may_equal(a: Type, b: Type) -> bool:
    """Whether two types can describe the same value: nothing is provably different.

    An unknown rank fits every shape, and a symbolic dimension fits every extent.
    """
    if isinstance(a, TensorType) and isinstance(b, TensorType):
        if a.dtype is not b.dtype or a.shape is None or b.shape is None:
            return a.dtype is b.dtype
        if len(a.shape) != len(b.shape):
            return False
        return not any(certainly_differ(p, q) for p, q in zip(a.shape, b.shape, strict=True))
    if isinstance(a, SequenceType) and isinstance(b, SequenceType):
        return may_equal(a.item, b.item)
    if isinstance(a, OptionalType) and isinstance(b, OptionalType):
        return may_equal(a.item, b.item)
    return False


def as_array(data: Any) -> Array:
    """Anything NumPy takes, as an array in the storage of a ``DType``: strings as objects.

    Raises:
        TypeError: GIE has no such element type, or objects other than strings.
    """
    array: Array = np.asarray(data)
    array = array.astype(DType.of(array.dtype).numpy, copy=False)
    if array.dtype == object:
        kinds: set[str] = {type(item).__name__ for item in array.flat}
        if not kinds <= {"str", "str_"}:
            raise TypeError(f"an array of objects holds strings only, not {min(kinds - {'str'})}")
    return array


def type_of(array: Array) -> TensorType:
    """The static type of an array."""
    return TensorType(DType.of(array.dtype), tuple(array.shape))
