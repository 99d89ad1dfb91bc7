"""Pieces of generated kernels: the numbers that they are given, and how they read and write.

A kernel has loops over rows and, inside of each row, one over neighbours, whose index is ``c``.
Arrays are handed over flat, from their first element on. An index is made in i64 and converted to
u64, which is never negative: Numba would otherwise ask for every element whether to count from
the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gie_core.ir.types import Array
from gie_kernels_numba.library import LIBRARY

__all__ = ["Numbers", "Operand", "indented", "kernel_source", "operand"]


class Numbers:
    """Integers that a kernel is given as one array, each under a name."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._values: list[int] = []

    def add(self, **values: int) -> None:
        """Hand over these."""
        self._names += values
        self._values += values.values()

    @property
    def lines(self) -> list[str]:
        """Statements that give them their names."""
        return [f"{name} = g[{place}]" for place, name in enumerate(self._names)]

    @property
    def array(self) -> Array:
        """What to hand over as ``g``: i64."""
        return np.array(self._values, np.int64)


@dataclass(frozen=True)
class Operand:
    """An array as a kernel sees it.

    Args:
        name: in the kernel's text.
        flat: f32 [span].
        strides: in elements, of the loops over rows and of that inside of a row.
    """

    name: str
    flat: Array
    strides: tuple[int, ...]

    def describe(self, numbers: Numbers) -> None:
        """Hand over the strides."""
        named = {f"{self.name}_{place}": stride for place, stride in enumerate(self.strides)}
        numbers.add(**named)

    def enter(self, indices: Sequence[str]) -> list[str]:
        """Statements before the loop inside of a row.

        Args:
            indices: of the loops over rows.
        """
        terms = [f"{index} * {self.name}_{place}" for place, index in enumerate(indices)]
        lines = [f"{self.name}_at = uint64({' + '.join(terms) or '0'})"]
        if self.strides[-1] == 0:
            lines.append(f"{self.name}_all = {self.name}[{self.name}_at]")
        elif self.strides[-1] != 1:
            lines.append(f"{self.name}_step = uint64({self.name}_{len(indices)})")
        return lines

    @property
    def element(self) -> str:
        """The element at ``c``."""
        match self.strides[-1]:
            case 0:
                return f"{self.name}_all"
            case 1:
                return f"{self.name}[{self.name}_at + c]"
            case _:
                return f"{self.name}[{self.name}_at + c * {self.name}_step]"


def operand(name: str, array: Array, *, written: bool = False) -> Operand:
    """An array of f32 with the axes in the order of the loops, as an operand or a result.

    Args:
        name: in the kernel's text.
        array: no stride is negative; 0 stands for extent 1 or repetition.
        written: it is a result, every element of which has a place of its own.
    """
    size = array.itemsize
    extents = zip(array.shape, array.strides, strict=True)
    strides = [0 if n == 1 else stride // size for n, stride in extents]
    if written and array.shape[-1] == 1:
        strides[-1] = 1
    reach = sum((n - 1) * s for n, s in zip(array.shape, strides, strict=True))
    span = reach + 1 if array.size else 0
    options: dict[str, Any] = {} if written else {"writeable": False}
    return Operand(name, as_strided(array, (span,), (size,), **options), tuple(strides))


def kernel_source(
    library: Sequence[str], numbers: Numbers, operands: Sequence[str], body: Iterable[str]
) -> str:
    """The text of a module with the function ``kernel``.

    Args:
        library: the functions of ``LIBRARY`` that it calls, in their order.
        numbers: what it is given.
        operands: names of the arrays that it reads.
        body: lines.
    """
    arguments = ", ".join(("g", "begin", "end", *operands, "y"))
    lines = [f"def kernel({arguments}):", *indented([*numbers.lines, *body])]
    return "".join([*(LIBRARY[name] for name in library), "\n", "\n".join(lines), "\n"])


def indented(lines: Iterable[str], levels: int = 1) -> list[str]:
    """Lines further to the right."""
    return ["    " * levels + line for line in lines]
