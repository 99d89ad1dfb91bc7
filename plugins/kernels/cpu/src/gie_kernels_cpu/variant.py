"""What a convolution's candidates differ in besides the method: memory orders and storage types.

A variant is called after these: "NHWC", "NCHW to NHWC", "NHWC f16", "NHWC bf16 weights". NCHW
stands for channels before the spatial axes, however many these are, NHWC for channels behind them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gie_core.ir.types import DType
from gie_core.kernels.format import Format, Strides

__all__ = ["VARIANTS", "Variant"]


@dataclass(frozen=True)
class Variant:
    """How the arrays of a convolution lie in memory.

    Args:
        source: x has its channels last.
        target: the result has.
        storage: how the elements of x and the result are stored; ``None`` for their own type.
        weights: how those of a constant weight are; ``None`` for the type that is computed in.
    """

    source: bool
    target: bool
    storage: DType | None = None
    weights: DType | None = None

    @property
    def crosses(self) -> bool:
        """Whether the result lies in another order than x."""
        return self.source != self.target

    def stored(self, dtype: DType) -> DType:
        """How elements of x and the result of type ``dtype`` are stored."""
        return self.storage or dtype

    @property
    def is_exact(self) -> bool:
        """Whether nothing is stored in fewer bits than it has."""
        return self.storage is None and self.weights is None

    def formats(self, dtype: DType, rank: int) -> tuple[Format, Format]:
        """Of x and of the result."""
        x, y = (
            Format(self.stored(dtype), _order(rank, last), Strides.PITCHED) for last in self._orders
        )
        return x, y

    @property
    def _orders(self) -> tuple[bool, bool]:
        return self.source, self.target

    def __str__(self) -> str:
        source, target = ("NHWC" if last else "NCHW" for last in self._orders)
        words = [source, f"to {target}" if self.crosses else ""]
        if self.storage is not None:
            words.append(str(self.storage))
        elif self.weights is not None:
            words.append(f"{self.weights} weights")
        return " ".join(word for word in words if word)


def _order(rank: int, last: bool) -> tuple[int, ...]:
    return (0, *range(2, rank), 1) if last else tuple(range(rank))


def _variants() -> Iterator[Variant]:
    for source in (False, True):
        for target in (False, True):
            yield Variant(source, target)
            for narrow in (DType.F16, DType.BF16):
                yield Variant(source, target, narrow, narrow)
                yield Variant(source, target, None, narrow)


VARIANTS = {str(variant): variant for variant in _variants()}
"""All there are, by name. Those that store anything in 16 bits are for f32 nodes."""
