"""Tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gie_core.cli.html.markup import Child, Markup, fragment, tag

__all__ = ["bar", "table"]


def table(columns: Sequence[str], rows: Iterable[Sequence[Child]], *, most: int = 500) -> Markup:
    """A table that scrolls by itself where the page is narrow.

    Args:
        columns: headings; a ``>`` in front aligns the column to the right.
        rows: one cell per column.
        most: rows that are shown; a line below counts the others.
    """
    kinds = ["number" if column.startswith(">") else None for column in columns]
    head = [
        tag("th", column.lstrip(">"), class_=kind, scope="col")
        for column, kind in zip(columns, kinds, strict=True)
    ]
    listed = list(rows)
    body = [
        tag("tr", *(tag("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True)))
        for row in listed[:most]
    ]
    whole = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body))
    rest = len(listed) - len(body)
    more = tag("p", f"and {rest} more", class_="sub") if rest else None
    return fragment(tag("div", whole, class_="scroll", tabindex=0), more)


def bar(share: float, kind: str = "") -> Markup:
    """A bar as long as a share of its cell, 0 … 1."""
    width = f"width:{100 * min(1.0, share):.3g}%"
    filled = tag("i", style=width) if share > 0 else None
    return tag("span", filled, class_=f"bar {kind}".strip())
