"""Numbers as a page shows them; ``gie_core.cli.units`` makes texts of times and bytes."""

from __future__ import annotations

import math
import re

from gie_core.cli.html.markup import Markup, fragment, tag

__all__ = ["MISSING", "error_text", "quantity", "ratio_text", "short"]

MISSING = "–"
"""Stands where nobody knows a number."""


def error_text(error: float | None) -> str:
    """Two digits: "1.2e-04"; a dash if nobody measured it."""
    if error is None:
        return MISSING
    return f"{error:.1e}" if math.isfinite(error) else "not finite"


def ratio_text(ratio: float) -> str:
    """A factor: "1.05×"."""
    return f"{ratio:.2f}×" if ratio < 100 else f"{ratio:,.0f}×"


def quantity(text: str) -> Markup:
    """A number with its unit in a smaller type."""
    number, _, unit = text.partition(" ")
    return fragment(tag("b", number), tag("small", f" {unit}"))


def short(text: str) -> str:
    """A round number without its zeros: "10 ms" of "10.0 ms"."""
    return re.sub(r"\.?0+ ", " ", text, count=1) if "." in text else text
