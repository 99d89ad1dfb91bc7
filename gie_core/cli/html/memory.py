"""The memory map: which storage lies where in the arena, and when."""

from __future__ import annotations

from gie_core.builder.report import PlanRecord, StorageRecord
from gie_core.cli.html.axes import WIDTH, chart_label, percent, ticks
from gie_core.cli.html.markup import Markup, clip, fragment, tag
from gie_core.cli.html.sketch import LINE, LIST
from gie_core.cli.html.units import short
from gie_core.cli.units import bytes_text

__all__ = ["memory_map"]

STORAGES = 3000
"""Rectangles that are drawn at most: the largest."""
HEIGHT, LETTERS = 340, 18
"""Pixels of the arena, and of a rectangle that has a name in it at least."""
KINDS = {
    "input": "input",
    "output": "output",
    "state": "state",
    "arena": "between nodes",
    "scratch": "scratch memory",
}
STEP, WIDEST = 7, 6000
"""Pixels of a step at least, and of all of them at most."""


def memory_map(plan: PlanRecord) -> Markup:
    """Steps to the right, offsets in the arena upwards, a rectangle a storage."""
    if not plan.arena or not plan.storages:
        return tag("p", "Nothing lies in the arena.", class_="sub")
    drawn = sorted(plan.storages, key=lambda each: -each.size)[:STORAGES]
    moments = max(len(plan.steps), *(each.last for each in drawn)) + 2
    width = min(WIDEST, moments * STEP)
    chart = tag(
        "svg",
        *_grid(plan.arena, moments),
        *(_storage(each, plan.arena, moments, max(WIDTH, width)) for each in drawn),
        _bound(plan),
        class_="chart memory",
        width="100%",
        height=HEIGHT,
        role="img",
        aria_label="memory map",
    )
    kinds = set(map(_kind, drawn))
    keys = [
        tag("li", tag("i", class_=f"m-{kind}"), text)
        for kind, text in KINDS.items()
        if kind in kinds
    ]
    keys.append(
        tag("li", tag("i", class_="dashed"), "lower bound ", tag("b", bytes_text(plan.lower_bound)))
    )
    left = len(plan.storages) - len(drawn)
    return fragment(
        tag("ul", *keys, class_="legend"),
        tag("div", tag("div", chart, style=f"min-width:{width}px"), class_="scroll chart-box"),
        tag("p", f"The {left} smallest storages are not drawn.", class_="sub") if left else None,
    )


def _grid(arena: int, moments: int) -> list[Markup]:
    """Lines and numbers: bytes at the left, steps below."""
    parts: list[Markup] = []
    for size in ticks(arena):
        y = percent(arena - size, arena)
        parts.append(tag("line", class_="grid", x1="0", x2="100%", y1=y, y2=y))
        parts.append(tag("text", short(bytes_text(size)), class_="axis y", x=-8, y=y, dy="0.32em"))
    for step in ticks(moments - 2, 10):
        if step == int(step):
            x = percent(step + 1.5, moments)
            parts.append(tag("text", str(int(step)), class_="axis x", x=x, y=HEIGHT + 18))
    parts.append(tag("text", "step", class_="axis end", x="100%", y=HEIGHT + 18))
    return parts


def _kind(each: StorageRecord) -> str:
    if each.kind in ("input", "output", "state"):
        return each.kind
    return "arena" if each.values else "scratch"


def _storage(each: StorageRecord, arena: int, moments: int, width: int) -> Markup:
    values = ", ".join(each.values[:LIST]) + ", …" * (len(each.values) > LIST)
    kind = _kind(each)
    head = f"{clip(values, LINE)}\n" if values else ""
    when = f"steps {each.first} to {each.last}"
    if each.first < 0:
        when = f"from before the first step to {each.last}"
    title = f"{head}{KINDS[kind]}\n{bytes_text(each.size)} from byte {each.offset:,}\n{when}"
    lasts = max(1, each.last - each.first + 1)
    high = HEIGHT * each.size >= LETTERS * arena
    return tag(
        "svg",
        tag("title", title),
        tag("rect", width="100%", height="100%"),
        chart_label(values, y=14, width=width * lasts / moments) if high and values else None,
        class_=f"m-{kind}",
        x=percent(each.first + 1, moments),
        y=percent(arena - each.offset - each.size, arena),
        width=percent(lasts, moments),
        height=percent(each.size, arena),
    )


def _bound(plan: PlanRecord) -> Markup:
    y = percent(plan.arena - plan.lower_bound, plan.arena)
    return tag("line", class_="bound", x1="0", x2="100%", y1=y, y2=y)
