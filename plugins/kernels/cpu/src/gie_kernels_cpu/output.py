"""Results that are computed part by part, each finished while it is in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gie_core.ir.types import Array
from gie_kernels_cpu.blocks import Region
from gie_kernels_cpu.geometry import arranged, merged
from gie_kernels_cpu.kernel import Epilogue, Piece
from gie_kernels_cpu.launches import Call

__all__ = ["Output", "output_scratch"]


@dataclass(frozen=True)
class Output:
    """A result [N, C, *P], and what has to be done with its finished parts.

    Args:
        array: the result as it is stored.
        own: dtype of the node's result, which an epilogue works on.
        epilogue: of the node, if any.
        bias: [C], or repeated for the positions of a row, [P[-1]·C]: where the channels come last,
            a sum of two long rows takes half the time of many short ones. Or ``None``.
        scratch: see ``output_scratch``; ``None`` if parts are always computed in place.
        channels_last: the order of the axes in memory.
    """

    array: Array
    own: np.dtype[Any]
    epilogue: Epilogue | None
    bias: Array | None
    scratch: Array | None
    channels_last: bool

    def part(self, region: Region) -> Array:
        """Where the part at ``region`` is to be computed, in the dtype that is computed in.

        It is in scratch memory, the same for all parts, if the result is stored in another dtype,
        or channels last in a slice of something larger: there the rows between the gaps are short,
        and a sum or a maximum of them takes three times as long as of neighbours, a copy does not.
        """
        stored = self.array[region]
        if self.scratch is None or (stored.dtype == self.scratch.dtype and self._is_near(stored)):
            return stored
        shape = [part.stop - part.start for part in region]
        return arranged(self.scratch, shape, self.channels_last)

    def finish(self, part: Array, region: Region, *, biased: bool = False) -> Iterator[Call]:
        """What adds the bias, unless it is in already, rounds, runs the epilogue and stores."""
        if self.bias is not None and not biased:
            yield _add(part, self.bias)
        stored = self.array[region]
        staged = not np.may_share_memory(part, stored)
        if staged and self.own != part.dtype:  # of a 16-bit node
            yield partial(np.copyto, stored, part)
            part, staged = stored, False
        if self.epilogue is not None:
            yield self.epilogue(part, region)
        if staged:
            yield partial(np.copyto, stored, part)

    def _is_near(self, part: Array) -> bool:
        """Whether a part is finished as fast in place as in scratch memory."""
        untouched = self.bias is None and self.epilogue is None
        return untouched or merged(np.moveaxis(part, 1, -1), part.ndim - 2) is not None


def _add(part: Array, bias: Array) -> Call:
    """Add a bias to a part [N, C, *P]."""
    channels = part.shape[1]
    rows = merged(np.moveaxis(part, 1, -1), part.ndim - 2)
    if rows is not None and rows.shape[-1] == bias.size > channels:
        return partial(np.add, rows, bias, rows)
    return partial(np.add, part, bias[:channels].reshape(-1, *[1] * (part.ndim - 2)), part)


def output_scratch(
    stored: np.dtype[Any], wide: np.dtype[Any], channels_last: bool, size: int
) -> tuple[Piece, ...]:
    """The scratch memory of an output whose parts have at most so many elements."""
    return (((size,), wide),) if channels_last or stored != wide else ()
