"""The head of a page: what was built, and the numbers that sum it up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gie_core.builder.report import BuildReport, PlanRecord
from gie_core.cli.console import count
from gie_core.cli.html.markup import Markup, clip, fragment, tag
from gie_core.cli.html.sketch import LINE, NAME, Box, Sketch
from gie_core.cli.html.tables import table
from gie_core.cli.html.units import MISSING, error_text, quantity, ratio_text
from gie_core.cli.units import bytes_text, time_text

__all__ = ["Subject", "header", "plan_name"]

PORTS, PLANS = 12, 24
"""Inputs or outputs, and plans, that are listed at most."""


@dataclass(frozen=True)
class Subject:
    """What a page is about.

    Args:
        name: of the file.
        target: what it is built for.
        report: of the build.
        before: the graph before the passes; ``None`` if nobody has it.
        after: the graph that runs.
        problem: why no kernels could be chosen; "" if they were.
    """

    name: str
    target: str
    report: BuildReport
    before: Sketch | None
    after: Sketch
    problem: str = ""


def header(subject: Subject) -> Markup:
    """The name, inputs and outputs, a row of numbers, and what went wrong."""
    imported = subject.report.imported
    origin = f", imported from {imported.framework}" if imported else ""
    return tag(
        "header",
        tag("h1", clip(subject.name, NAME)),
        tag("p", clip(f"Built for {subject.target}{origin}", LINE), class_="sub"),
        _ports(subject.after.boxes),
        tag("p", subject.problem, class_="problem") if subject.problem else None,
        tag("dl", *_tiles(subject.report), class_="tiles"),
        _plans(subject.report.plans),
        id="top",
    )


def _ports(boxes: Sequence[Box]) -> Markup:
    rows: list[Markup] = []
    for kind in ("input", "output"):
        found = [box for box in boxes if box.family == kind]
        listed = [
            tag("code", f"{box.label}: ", tag("i", clip(box.type, NAME))) for box in found[:PORTS]
        ]
        if len(found) > PORTS:
            listed.append(tag("span", f"and {len(found) - PORTS} more"))
        title = kind if len(found) == 1 else f"{kind}s"
        rows.append(tag("div", tag("dt", title), tag("dd", *listed)))
    return tag("dl", *rows, class_="ports")


def _tiles(report: BuildReport) -> Iterator[Markup]:
    hits = sum(report.hits().values())
    passes = sum(1 for number in report.hits().values() if number)
    rewrites = f"{count(hits, 'rewrite')} by {passes} pass{'es' * (passes != 1)}"
    nodes = tag("b", report.nodes_before, tag("small", " → "), report.nodes_after)
    yield _tile("Nodes", nodes, rewrites if hits else "no rewrites")
    if not report.plans:
        return
    plan = report.plans[0]
    yield _tile("Time of a run", quantity(time_text(_time(plan))), _time_note(plan))
    above = ratio_text(plan.arena / plan.lower_bound) if plan.lower_bound else ""
    bound = f"{above} the lower bound" if above else ""
    yield _tile("Arena", quantity(bytes_text(plan.arena)), bound)
    yield _tile("Weights", quantity(bytes_text(plan.weights)), "shared by all contexts")
    streams = len({step.stream for step in plan.steps})
    copies = f"{plan.copies} cop{'y' if plan.copies == 1 else 'ies'}"
    steps = f"on {count(streams, 'stream')}, {copies}"
    yield _tile("Steps", tag("b", len(plan.steps)), steps)
    yield _tile("Error", tag("b", error_text(plan.error)), _error_note(plan))


def _tile(title: str, value: Markup, note: str) -> Markup:
    return tag("div", tag("dt", title), tag("dd", value), tag("dd", note, class_="note"))


def _time(plan: PlanRecord) -> int:
    return plan.predicted if plan.measured is None else plan.measured


def _time_note(plan: PlanRecord) -> str:
    if plan.measured is None:
        return "predicted, not measured"
    rivals = f", best of {len(plan.rivals) + 1} plans" if plan.rivals else ""
    return f"measured; {time_text(plan.predicted)} predicted{rivals}"


def _error_note(plan: PlanRecord) -> Markup:
    if plan.budget is None:
        return fragment("not measured" if plan.error is None else "against the reference")
    budget = tag("span", error_text(plan.budget), class_="number")
    if plan.error is None:
        return fragment("not measured; budget ", budget)
    kept = "within" if plan.error <= plan.budget else "beyond"
    return fragment(f"{kept} the budget of ", budget)


def _plans(plans: Sequence[PlanRecord]) -> Markup | None:
    """A table of the plans, where there are several or the shapes have symbols."""
    if not plans or (len(plans) == 1 and not plans[0].sizes and not plans[0].rivals):
        return None
    columns = ["Plan for", ">Predicted", ">Measured", ">Others timed", ">Arena", ">Lower bound"]
    rows = [
        (
            plan_name(plan),
            time_text(plan.predicted),
            MISSING if plan.measured is None else time_text(plan.measured),
            ", ".join(map(time_text, plan.rivals[:6])) or MISSING,
            bytes_text(plan.arena),
            bytes_text(plan.lower_bound),
            error_text(plan.error),
        )
        for plan in plans
    ]
    return table([*columns, ">Error"], rows, most=PLANS)


def plan_name(plan: PlanRecord) -> str:
    """For which sizes of the inputs a plan is."""
    sizes = list(plan.sizes.items())[:8]
    return clip(", ".join(f"{name} = {size}" for name, size in sizes) or "fixed sizes", NAME)
