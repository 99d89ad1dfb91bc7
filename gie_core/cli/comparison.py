"""Two networks on the same inputs, value by value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gie_core.cli.deviation import comparable, is_numeric, largest_difference, relative_error
from gie_core.cli.traces import Traced
from gie_core.ir.types import DType

__all__ = ["Comparison", "Deviation"]

EXACT = 1e-4
"""Tolerance where all is computed in float32 or better."""
COARSE = {DType.F16: 1e-2, DType.BF16: 1e-1}
"""Tolerance where a value is stored in less."""


@dataclass(frozen=True)
class Deviation:
    """How far a value is from the one expected.

    Args:
        value: its name.
        op: that computed it.
        kernel: who ran that.
        sources: nodes of the imported model that it covers.
        error: relative; see ``relative_error``.
        largest: difference of two elements.
        dtype: of the value as it was computed.
    """

    value: str
    op: str
    kernel: str
    sources: tuple[str, ...]
    error: float
    largest: float
    dtype: DType


@dataclass
class Comparison:
    """Collects what a network computes, beside what is expected.

    Attributes:
        expected: values by name.
        found: what both have, in the order in which it was computed.
        unmatched: number of values that have no counterpart.
    """

    expected: Mapping[str, Traced]
    found: list[Deviation] = field(default_factory=list[Deviation])
    unmatched: int = 0

    def watch(self, traced: Traced) -> None:
        """Look at a value."""
        other = self.expected.get(traced.name)
        if other is None or not _is_same(traced, other):
            self.unmatched += 1
        else:
            self._add(traced, other.value)

    def watch_outputs(self, outputs: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        """Look at the outputs that no node was seen to compute; a wrong shape is an error."""
        seen = {each.value for each in self.found}
        for name, value in outputs.items():
            both = is_numeric(value) and is_numeric(expected.get(name))
            if both and name not in seen:
                self._add(Traced(name, "output", (), "", value), expected[name])

    def _add(self, traced: Traced, expected: Any) -> None:
        self.found.append(
            Deviation(
                traced.name,
                traced.op,
                traced.kernel,
                traced.sources,
                relative_error(traced.value, expected),
                largest_difference(traced.value, expected),
                DType.of(np.asarray(traced.value).dtype),
            )
        )

    def tolerance(self) -> float:
        """What rounding explains, by the coarsest element type among the values."""
        return max((COARSE.get(each.dtype, EXACT) for each in self.found), default=EXACT)

    def first_beyond(self, tolerance: float) -> Deviation | None:
        """The first value that is further off than that; whatever follows may be its fault."""
        return next((each for each in self.found if each.error > tolerance), None)

    def worst(self, number: int) -> list[Deviation]:
        """Those furthest off, the furthest first."""
        return sorted(self.found, key=lambda each: -each.error)[:number]


def _is_same(traced: Traced, other: Traced) -> bool:
    """Whether two values of one name are the same thing: passes may give a name a second time."""
    known = traced.sources and other.sources
    related = not known or not set(traced.sources).isdisjoint(other.sources)
    return related and comparable(traced.value, other.value)
