"""The page as a whole: one file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from gie_core.builder.report import PlanRecord
from gie_core.cli.html.drawing import Drawing, draw
from gie_core.cli.html.families import FAMILIES
from gie_core.cli.html.header import Subject, header, plan_name
from gie_core.cli.html.kernels import kernels, shares
from gie_core.cli.html.markup import Markup, clip, fragment, tag
from gie_core.cli.html.memory import memory_map
from gie_core.cli.html.sketch import NAME, Sketch
from gie_core.cli.html.story import imported, notes, passes
from gie_core.cli.html.timeline import timeline

__all__ = ["page"]

PLANS = 4
"""Plans whose memory and timeline are drawn at most."""


def page(subject: Subject) -> str:
    """The HTML of the page.

    Whatever comes from a model or a file is escaped, and a policy in the page forbids the
    browser to run any script but the page's own, or to load anything.
    """
    script, style = _file("page.js"), _file("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{digest}'"
    )
    drawings = _drawings(subject)
    data = {name: drawing.data for name, _, _, drawing in drawings}
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{clip(subject.name, NAME)} · gie inspect"),
        tag("style", Markup(style)),
    )
    sections = list(_sections(subject, drawings))
    links = [tag("a", title, href=f"#{key}") for key, title, _ in sections]
    body = tag(
        "body",
        header(subject),
        tag("nav", *links),
        tag("main", *(tag("section", tag("h2", t), part, id=key) for key, t, part in sections)),
        tag("div", id="tip", hidden=True),
        tag("script", _json(data), type="application/json", id="data"),
        tag("script", Markup(script)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


Named = tuple[str, str, Sketch, Drawing]
"""Id, title, graph and drawing."""


def _drawings(subject: Subject) -> list[Named]:
    graphs = [("after", "As it runs", subject.after)]
    if subject.before is not None:
        graphs.insert(0, ("before", "As imported", subject.before))
    choices = subject.report.choices
    return [
        (name, title, graph, draw(graph, name, choices if name == "after" else ()))
        for name, title, graph in graphs
    ]


def _sections(
    subject: Subject, drawings: Sequence[Named]
) -> Iterator[tuple[str, str, Markup | None]]:
    """Id, title and content of each section."""
    report = subject.report
    boxes = {box.name: box for box in subject.after.boxes if box.family in FAMILIES}
    yield "graph", "Graph", _graphs(drawings)
    if report.choices:
        where = drawings[-1][3].places
        above = tag("div", shares(report.choices, boxes), _filter(), class_="above")
        yield "kernels", "Kernels", fragment(above, kernels(report.choices, boxes, where))
    if report.plans:
        yield "memory", "Memory", _each_plan(report.plans, memory_map)
        timelines = _each_plan(report.plans, lambda plan: timeline(plan, boxes))
        yield "timeline", "Timeline", timelines
    yield "passes", "Passes", passes(report.passes)
    if report.imported is not None:
        yield "import", "Import", imported(report.imported)
    yield "notes", "Notes", notes(report)


def _graphs(drawings: Sequence[Named]) -> Markup:
    figures = [
        tag(
            "figure",
            tag("figcaption", tag("b", title), tag("small", f"{graph.nodes} nodes"), _zoom(name)),
            tag("div", drawing.svg, class_="viewport", data_graph=name, tabindex=0),
            tag("p", f"{drawing.note}.", class_="sub") if drawing.note else None,
        )
        for name, title, graph, drawing in drawings
    ]
    keys = [tag("li", tag("i", class_=f"f-{key}"), text) for key, text in FAMILIES.items()]
    return fragment(
        tag("ul", *keys, class_="legend"),
        tag("div", *figures, tag("aside", id="inspector", hidden=True), class_="graphs"),
    )


def _zoom(name: str) -> Markup:
    buttons = [("out", "−"), ("in", "+"), ("fit", "fit")]
    return tag(
        "span",
        *(
            tag("button", sign, type="button", data_zoom=way, data_of=name, title=f"zoom {way}")
            for way, sign in buttons
        ),
        class_="zoom script",
    )


def _filter() -> Markup:
    return tag(
        "input",
        type="search",
        id="filter",
        class_="script",
        placeholder="Filter by node, op, kernel …",
        aria_label="Filter",
    )


def _each_plan(plans: Sequence[PlanRecord], show: Callable[[PlanRecord], Markup]) -> Markup:
    if len(plans) == 1:
        return fragment(show(plans[0]))
    drawn = [
        tag("details", tag("summary", plan_name(plan)), show(plan), class_="more", open=not index)
        for index, plan in enumerate(plans[:PLANS])
    ]
    left = len(plans) - len(drawn)
    return fragment(drawn, tag("p", f"and {left} more plans", class_="sub") if left else None)


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _json(data: Mapping[str, Any]) -> Markup:
    """JSON that can stand in a script element: no tag begins or ends in it."""
    text = json.dumps(data, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)
