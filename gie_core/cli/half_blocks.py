"""Small grey pictures as text: each character shows two pixels, one above the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gie_core.ir.types import Array

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["half_blocks"]

_WITHOUT_COLOUR = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def half_blocks(pixels: Array, *, colour: bool) -> list[Text]:
    """The lines of a picture, H/2 of W characters.

    Args:
        pixels: H×W, H even, 0 (dark) … 255 (light).
        colour: as shades of grey; otherwise what is light is drawn.
    """
    return [
        _line(upper, lower, colour) for upper, lower in zip(pixels[::2], pixels[1::2], strict=True)
    ]


def _line(upper: Array, lower: Array, colour: bool) -> Text:
    from rich.text import Text

    text = Text()
    for high, low in zip(upper.tolist(), lower.tolist(), strict=True):
        if colour:
            text.append("▀", f"{_grey(high)} on {_grey(low)}")
        else:
            text.append(_WITHOUT_COLOUR[high > 127, low > 127])
    return text


def _grey(level: float) -> str:
    return f"rgb({level:.0f},{level:.0f},{level:.0f})"
