"""Numbers for people: times, bytes, errors."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gie_core.cli.html.markup import Markup, tag

__all__ = ["bytes_text", "error_text", "quantity", "ratio_text", "time_text"]

def time_text(nanoseconds: float, *, short: bool = False) -> str:
    """Three digits and a unit: "10.0 µs", or "10 µs" if short."""
    return _with_unit(nanoseconds, (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1)), short)


def bytes_text(size: float, *, short: bool = False) -> str:
    """Three digits and a decimal unit: "4.00 MB", or "4 MB" if short."""
    return _with_unit(size, (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1)), short)


def error_text(error: float | None) -> str:
    """Two digits: "1.2e-04"; a dash if nobody measured it."""
    if error is None:
        return "–"
    return f"{error:.1e}" if math.isfinite(error) else "not finite"


def ratio_text(ratio: float) -> str:
    """A factor: "1.05×"."""
    return f"{ratio:.2f}×" if ratio < 100 else f"{ratio:,.0f}×"


def quantity(text: str) -> Markup:
    """A number of these functions with its unit in a smaller type."""
    number, _, unit = text.partition(" ")
    return Markup(tag("b", number) + (tag("small", f" {unit}") if unit else ""))


def _with_unit(number: float, units: Sequence[tuple[str, float]], short: bool) -> str:
    unit, size = next((each for each in units if number >= each[1]), units[-1])
    scaled = number / size
    if size == 1 or scaled >= 999.5:
        return f"{scaled:,.0f} {unit}"
    return f"{scaled:{'.3g' if short else '#.3g'}}".rstrip(".") + f" {unit}"
