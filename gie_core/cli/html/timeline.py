"""The timeline: which step runs when, on which stream."""

from __future__ import annotations

from collections.abc import Mapping

from gie_core.builder.report import PlanRecord, StepRecord
from gie_core.cli.html.axes import WIDTH, chart_label, percent, ticks
from gie_core.cli.html.markup import Markup, clip, fragment, tag
from gie_core.cli.html.sketch import NAME, Box
from gie_core.cli.html.units import short
from gie_core.cli.units import time_text

__all__ = ["timeline"]

STEPS, STREAMS = 3000, 32
"""Steps and streams that are drawn at most."""
LANE, GAP = 34, 6
WIDEST = 4000


def timeline(plan: PlanRecord, boxes: Mapping[str, Box]) -> Markup:
    """Time to the right, a lane a stream, a rectangle a step.

    Args:
        plan: what runs.
        boxes: of the nodes, by name.
    """
    end = max((step.end for step in plan.steps), default=0)
    if end <= 0:
        return tag("p", "Nobody knows how long the steps take.", class_="sub")
    streams = sorted({step.stream for step in plan.steps})[:STREAMS]
    lanes = {stream: lane for lane, stream in enumerate(streams)}
    drawn = [
        (number, step)
        for number, step in enumerate(plan.steps[:STEPS])
        if step.stream in lanes and step.end > step.start
    ]
    height, width = len(lanes) * (LANE + GAP), min(WIDEST, 8 * len(drawn))
    scale = max(WIDTH, width) / end
    parts: list[Markup] = []
    for time in ticks(end):
        x = percent(time, end)
        parts.append(tag("line", class_="grid", x1=x, x2=x, y1="0", y2=height))
        parts.append(tag("text", short(time_text(time)), class_="axis x", x=x, y=height + 16))
    for stream, lane in lanes.items():
        y = lane * (LANE + GAP) + LANE // 2
        parts.append(tag("text", f"stream {stream}", class_="axis y", x=-8, y=y, dy="0.32em"))
    parts += [
        _step(number, step, lanes[step.stream], end, scale, boxes.get(step.node))
        for number, step in drawn
    ]
    chart = tag(
        "svg",
        *parts,
        class_="chart timeline",
        width="100%",
        height=height,
        role="img",
        aria_label="timeline",
    )
    left = len(plan.steps) - len(plan.steps[:STEPS])
    return fragment(
        tag("div", tag("div", chart, style=f"min-width:{width}px"), class_="scroll chart-box"),
        tag("p", f"The last {left} steps are not drawn.", class_="sub") if left else None,
    )


def _step(
    number: int, step: StepRecord, lane: int, end: int, scale: float, box: Box | None
) -> Markup:
    took = time_text(step.end - step.start)
    title = (
        f"{clip(step.node, NAME)}\n{clip(step.what, NAME)}\n"
        f"step {number}: {took} from {time_text(step.start)}"
    )
    return tag(
        "svg",
        tag("title", title),
        tag("rect", width="100%", height="100%"),
        chart_label(step.node, y=LANE // 2 + 4, width=scale * (step.end - step.start)),
        class_="f-copy" if step.what == "copy" else f"f-{box.family if box else 'other'}",
        x=percent(step.start, end),
        y=lane * (LANE + GAP),
        width=percent(step.end - step.start, end),
        height=LANE,
    )
