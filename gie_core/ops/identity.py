"""Ops that return their operand: what removal passes are for."""

from __future__ import annotations

from gie_core.ir.op import Op
from gie_core.ir.types import Array, Type

__all__ = ["Dropout", "Identity"]


class Identity(Op, name="identity"):
    """x, whatever its type."""

    def infer(self, x: Type) -> Type:
        return x

    def compute(self, x: Array) -> Array:
        return x


class Dropout(Op, name="dropout"):
    """x: at inference, dropout does nothing.

    Args:
        ratio: the share of elements dropped in training; kept for the record.
    """

    ratio: float = 0.5

    def infer(self, x: Type) -> Type:
        return x

    def compute(self, x: Array) -> Array:
        return x
