"""What a kernel of this package is, and what it may offer beyond being called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gie_core.builder.kernels import Kernel, Support
from gie_core.ir.conversion import compute_dtype
from gie_core.ir.graph import Node, Value
from gie_core.ir.op import Op
from gie_core.ir.types import Array, DType, TensorType
from gie_kernels_cpu.blocks import Region

__all__ = [
    "Constants",
    "Epilogue",
    "FusingKernel",
    "Method",
    "constant_of",
    "float_support",
    "is_native",
    "padded",
    "rounded",
    "wide_dtype",
]

Epilogue = Callable[[Array, Region], None]
"""Changes a finished part of a result in place: ``epilogue(part, region)``.

``part`` is a view of the result at ``region``, one slice an axis.
"""

Constants = Callable[[Value | None], Array | None]
"""The array of an operand that is constant, else ``None``. In the body of a group a constant is an
input like any other; who makes the group's kernel knows better."""


class Method(ABC):
    """One way to compute some nodes of one op. Stateless."""

    @abstractmethod
    def supports(self, node: Node) -> Support:
        """Whether this way can compute the node; if not, why."""

    @abstractmethod
    def kernel(self, node: Node, constants: Constants) -> Kernel:
        """The kernel of a node it supports; constants are packed here, once."""


@runtime_checkable
class FusingKernel(Protocol):
    """A kernel that hands on its result part by part while that is in the cache."""

    def __call__(self, op: Op, operands: Sequence[Any]) -> tuple[Any, ...]: ...

    def run(self, op: Op, operands: Sequence[Any], epilogue: Epilogue | None) -> Array:
        """The only result, a new array, with ``epilogue`` applied to all of it."""
        ...


def float_support(node: Node) -> Support:
    """Yes where every operand is a tensor of a type that these kernels compute in or widen."""
    for operand in node.operands:
        if operand is None:
            continue
        if not isinstance(operand.type, TensorType) or operand.type.shape is None:
            return Support.no(f"the rank of %{operand.name} is not known")
        if operand.type.dtype not in (DType.F16, DType.BF16, DType.F32, DType.F64):
            return Support.no(f"%{operand.name} is {operand.type.dtype}, not f16, bf16, f32 or f64")
    return Support.yes()


def padded(operands: Sequence[Any], count: int) -> tuple[Any, ...]:
    """The operands with a ``None`` for each absent one at the end."""
    return (*operands, *[None] * (count - len(operands)))


def constant_of(value: Value | None) -> Array | None:
    """The ``Constants`` of a node that stands in no group."""
    return None if value is None else value.data


def wide_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which values of a dtype are computed: f32 for the 16-bit floats."""
    return compute_dtype(DType.of(dtype))


def is_native(dtype: np.dtype[Any]) -> bool:
    """Whether NumPy computes in the dtype itself."""
    return wide_dtype(dtype) == dtype


def rounded(y: Array, dtype: np.dtype[Any]) -> Array:
    """``y`` in the dtype of the result, rounded once; what is too large becomes infinite."""
    return y.astype(dtype, copy=False)
