"""What a method is: one family of ways to compute some nodes of one op."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from gie_core.ir.conversion import compute_dtype
from gie_core.ir.graph import Node, Value
from gie_core.ir.types import Array, DType, TensorType
from gie_core.kernels.candidate import Candidate, Support
from gie_core.kernels.provider import Launch, Memory
from gie_kernels_cpu.blocks import Region

__all__ = [
    "Constants",
    "Epilogue",
    "Method",
    "Piece",
    "carve",
    "constant_of",
    "float_support",
    "is_native",
    "padded",
    "static_support",
    "storages",
    "stored_as",
    "wide_dtype",
    "workspace_size",
]

Epilogue = Callable[[Array, Region], Launch]
"""What changes a finished part of a result in place: ``epilogue(part, region)``.

Called while binding; the launch it returns is called whenever the part has been computed. ``part``
has the dtype of the node's result and holds it at ``region`` (one slice an axis, with numbers): a
view of the result, or of scratch memory from where the part is stored afterwards.
"""

Constants = Callable[[Value | None], Array | None]
"""The array of an operand that is constant, else ``None``. In the body of a group a constant is an
input like any other; who asks for the body's candidates knows better."""

Piece = tuple[Sequence[int], np.dtype[Any]]
"""Shape and dtype of an array in a workspace."""

ALIGNMENT = 64


class Method(ABC):
    """One family of ways to compute some nodes of one op. Stateless.

    Nodes are static: operands and results have known shapes, the op has no symbols.

    Attributes:
        fuses: whether ``bind`` takes an epilogue.
    """

    fuses: ClassVar[bool] = False

    @abstractmethod
    def supports(self, node: Node) -> Support:
        """Whether this family computes the node; if not, why."""

    @abstractmethod
    def candidates(self, node: Node, constants: Constants) -> Sequence[Candidate]:
        """The ways to compute a supported node, the best guess first; perhaps none.

        The format of an operand that ``prepack`` hands over is ``None``.
        """

    def candidate(self, node: Node, name: str, constants: Constants) -> Candidate | None:
        """The candidate of a name; ``None`` if there is none."""
        found = self.candidates(node, constants)
        return next((each for each in found if each.name == name), None)

    def prepack(self, node: Node, candidate: str, constants: Constants) -> Sequence[Array]:
        """The constants as the candidate wants them."""
        return ()

    @abstractmethod
    def bind(
        self, node: Node, candidate: str, memory: Memory, epilogue: Epilogue | None = None
    ) -> Sequence[Launch]:
        """What computes the node in this memory.

        All views and geometry are made here. A launch allocates nothing: scratch arrays are carved
        out of ``memory.workspace``.

        Args:
            node: constants are not looked at: they are in ``memory``.
            candidate: one of ``candidates``' names.
            memory: where everything lies.
            epilogue: only of methods that fuse; applied to every part of the only result, once.
        """


def static_support(node: Node) -> Support:
    """Yes where the shape of every operand and result is known and the op has no symbols."""
    types = [value.type for value in (*node.operands, *node.results) if value is not None]
    known = all(isinstance(type_, TensorType) and type_.is_static for type_ in types)
    return Support.yes() if known and not node.op.symbols() else Support.later()


def float_support(node: Node) -> Support:
    """Yes where every operand has a type that these kernels compute in or widen."""
    for operand in node.operands:
        if operand is None:
            continue
        dtype = operand.tensor.dtype
        if dtype not in (DType.F16, DType.BF16, DType.F32, DType.F64):
            return Support.no(f"%{operand.name} is {dtype}, not f16, bf16, f32 or f64")
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


def storages(dtype: DType) -> tuple[DType, ...]:
    """How values of a type may be stored, themselves first: f32 as f16 and bf16 too."""
    return (dtype, DType.F16, DType.BF16) if dtype is DType.F32 else (dtype,)


def stored_as(candidate: str, dtype: DType) -> DType:
    """The storage that a candidate's name ends with ("… f16"), else ``dtype``."""
    last = candidate.rpartition(" ")[2]
    return DType.of(last) if last in ("f16", "bf16") else dtype


def workspace_size(*pieces: Piece) -> int:
    """Bytes of a workspace with these arrays, see ``carve``."""
    return sum(_aligned(math.prod(shape) * dtype.itemsize) for shape, dtype in pieces)


def carve(workspace: Array, *pieces: Piece) -> list[Array]:
    """C-contiguous arrays in a workspace, one after the other, each aligned; undefined contents."""
    found: list[Array] = []
    begin = 0
    for shape, dtype in pieces:
        size = math.prod(shape) * dtype.itemsize
        found.append(workspace[begin : begin + size].view(dtype).reshape(tuple(shape)))
        begin += _aligned(size)
    return found


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
