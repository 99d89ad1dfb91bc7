"""The formats that kernels of this package offer, and what they are called.

A tensor of rank 4 may lie row-major ("NCHW") or channels-last ("NHWC"), any other only row-major.
An f32 value may be stored as f16 or bf16; it is computed in f32 and rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator

from gie_core.ir.types import DType, TensorType
from gie_core.kernels.format import Format, Strides
from gie_kernels_cpu.kernel import storages

__all__ = ["CHANNELS_LAST", "ROW_MAJOR", "is_channels_last", "narrowed", "ordered", "variants"]

ROW_MAJOR, CHANNELS_LAST = "NCHW", "NHWC"


def variants(rank: int, dtype: DType, prefix: str = "") -> Iterator[tuple[str, DType]]:
    """Names of candidates, one an order of the axes and a storage type, the plainest first.

    Args:
        rank: of the tensors that may lie in several orders.
        dtype: of the values that may be stored in several types.
        prefix: what the names begin with.

    Yields:
        (name, storage): "NCHW", "NHWC", "NCHW f16", …; the storage of ``dtype``.
    """
    orders = (ROW_MAJOR, CHANNELS_LAST) if rank == 4 else ("row-major",)
    for storage in storages(dtype):
        for order in orders:
            words = (prefix, order, "" if storage is dtype else str(storage))
            yield " ".join(filter(None, words)), storage


def is_channels_last(candidate: str) -> bool:
    """Whether a candidate's name says so."""
    return CHANNELS_LAST in candidate.split()


def ordered(
    candidate: str, type_: TensorType, dtype: DType, strides: Strides = Strides.PITCHED
) -> Format:
    """A tensor's format in the order that a candidate's name gives, stored as ``dtype``."""
    axes = tuple(range(type_.rank))
    order = (0, *axes[2:], 1) if is_channels_last(candidate) and type_.rank == 4 else axes
    return Format(dtype, order, strides)


def narrowed(dtype: DType, storage: DType) -> DType:
    """How values of a type are stored where f32 ones are stored as ``storage``."""
    return storage if dtype is DType.F32 else dtype
