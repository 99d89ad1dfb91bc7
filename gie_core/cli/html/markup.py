"""HTML and SVG by functions: whatever is not ``Markup`` is escaped on its way in."""

from __future__ import annotations

import html
from collections.abc import Iterable

from gie_core.cli.console import clean

__all__ = ["Attribute", "Child", "Markup", "clip", "fragment", "tag"]


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | int | None | Iterable["Child"]
"""Text, a number, nothing, or several of them."""
Attribute = str | int | float | bool | None

_EMPTY = frozenset({"br", "input", "line", "meta", "path", "rect"})


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """One element.

    Args:
        name: of the element.
        children: what is in it; strings are escaped unless they are ``Markup``.
        **attributes: ``class_`` is "class" and ``data_time`` "data-time"; ``True`` has no value,
            ``False`` and ``None`` are left out.
    """
    written = "".join(
        f" {_attribute_name(key)}" + ("" if value is True else f'="{_value(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _EMPTY and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{fragment(*children)}</{name}>")


def fragment(*children: Child) -> Markup:
    """Several things, one behind the other."""
    return Markup("".join(map(_child, children)))


def clip(text: str, length: int) -> str:
    """The text, or its begin and end with "…" between them."""
    if len(text) <= length:
        return text
    return f"{text[: length // 2]}…{text[-((length - 1) // 2) :]}"


def _child(child: Child) -> str:
    match child:
        case None:
            return ""
        case Markup():
            return child
        case str():
            return html.escape(clean(child, lines=True))
        case int():
            return str(child)
        case _:
            return "".join(map(_child, child))


def _value(value: Attribute) -> str:
    if isinstance(value, float):
        return f"{value:.5g}" if abs(value) < 1e4 else f"{value:.1f}"
    return html.escape(clean(str(value), lines=True))


def _attribute_name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
