"""Scales and labels of charts."""

from __future__ import annotations

import math

from gie_core.cli.html.markup import Markup, clip, tag

__all__ = ["WIDTH", "chart_label", "percent", "ticks"]

WIDTH = 1100
"""Pixels of a chart on a page that has its full width."""
LETTER, FEWEST = 6, 6
"""Pixels of a letter; letters below which a label says nothing."""


def ticks(end: float, most: int = 6) -> list[float]:
    """Round numbers from 0 up to ``end``: multiples of 1, 2 or 5 times a power of ten."""
    if end <= 0:
        return [0.0]
    rough = end / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough * (1 - 1e-9))
    return [step * n for n in range(math.floor(end / step * (1 + 1e-9)) + 1)]


def percent(part: float, whole: float) -> str:
    """A part of the whole as a length in SVG."""
    return f"{100 * part / whole:.4g}%" if whole else "0%"


def chart_label(text: str, *, y: int, width: float) -> Markup | None:
    """A label in a rectangle, if there is room for so much of it that it says something.

    Args:
        text: the rectangle cuts off what is too long.
        y: of the base line, in pixels.
        width: of the rectangle, in pixels.
    """
    if width < LETTER * min(len(text), FEWEST) + 8:
        return None
    return tag("text", clip(text, 60), x=6, y=y)
