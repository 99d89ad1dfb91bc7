"""Plans as tables: one line each, or every step."""

from __future__ import annotations

from collections.abc import Sequence

import click

from gie_core.builder.report import PlanRecord
from gie_core.cli.console import count, print_heading, print_table
from gie_core.cli.kernel_tables import full_columns
from gie_core.cli.units import bytes_text, error_text, time_text
from gie_core.engine.plan import Kind, Place, Plan, Region, Step
from gie_core.kernels.format import Format, Layout, Strides

__all__ = ["layout_text", "plan_columns", "plan_row", "print_plans", "print_steps", "sizes_text"]

Planned = Sequence[tuple[Plan, PlanRecord | None]]

plan_columns = [
    *("inputs", ">steps", ">copies", ">measured", ">predicted", ">arena", ">at least", ">weights"),
    *(">error", ">allowed"),
]


def print_plans(planned: Planned) -> None:
    """A line for each plan: time, memory, error."""
    print_heading("plans")
    rows = [plan_row(plan, record) for plan, record in planned]
    print_table(*full_columns(plan_columns, rows))


def plan_row(plan: Plan, record: PlanRecord | None) -> list[str | int]:
    """The cells of ``plan_columns``; what is not known is ""."""
    steps = [step for step in plan.steps if step.provider]
    head: list[str | int] = [sizes_text(plan.sizes), len(steps), len(plan.steps) - len(steps)]
    arena, held = bytes_text(plan.arena), bytes_text(plan.weight_bytes)
    if record is None:
        return [*head, "", "", arena, "", held, "", ""]
    times = time_text(record.measured), time_text(record.predicted)
    least = bytes_text(record.lower_bound)
    return [*head, *times, arena, least, held, error_text(record.error), _allowed(record)]


def _allowed(record: PlanRecord) -> str:
    return "" if record.error is None else error_text(record.budget)


def sizes_text(sizes: dict[str, int]) -> str:
    """What symbols stand for: "n = 1, h = 224"; "" if there are none."""
    return ", ".join(f"{name} = {n}" for name, n in sizes.items())


def print_steps(planned: Planned) -> None:
    """All steps of every plan: when, where, what, in which formats and memory."""
    if not planned:
        click.echo("there are no plans: they are made when inputs come")
    for position, (plan, record) in enumerate(planned):
        if position:
            click.echo()
        title = f"plan for {sizes_text(plan.sizes)}" if plan.sizes else "plan"
        steps, arena = count(len(plan.steps), "step"), bytes_text(plan.arena)
        print_heading(f"{title}: {steps}, an arena of {arena}")
        rows = [_step_row(plan, record, number) for number in range(len(plan.steps))]
        print_table(*full_columns(_STEP_COLUMNS, rows))


_STEP_COLUMNS = [
    *(
        ">",
        ">begin",
        ">time",
        ">stream",
        "node",
        "kernel",
        "operands",
        "results",
        "at",
        ">workspace",
    )
]


def _step_row(plan: Plan, record: PlanRecord | None, number: int) -> list[str | int]:
    step = plan.steps[number]
    timed = None if record is None else record.steps[number]
    return [
        number,
        "" if timed is None else time_text(timed.start),
        "" if timed is None else time_text(timed.end - timed.start),
        step.stream if plan.streams > 1 else "",
        step.node.results[0].name if step.node.results else step.node.op.name,
        f"{step.provider} {step.candidate}".strip() or "copy",
        ", ".join(_place_text(place) for place in step.operands if place is not None),
        ", ".join(map(_place_text, step.results)),
        ", ".join(_address(plan, place) for place in step.results),
        _workspace(step),
    ]


def _place_text(place: Place) -> str:
    return layout_text(place.layout) if isinstance(place, Region) else "an object"


def layout_text(layout: Layout) -> str:
    """Element type, shape, order and gaps: "f32[1, 8, 4, 4] NHWC pitched"."""
    axes = range(len(layout.shape))
    by_stride = tuple(sorted(axes, key=lambda axis: (-abs(layout.strides[axis]), axis)))
    in_order = Format(layout.dtype, tuple(axes), Strides.PITCHED).accepts(layout)
    order = tuple(axes) if in_order else by_stride  # strides of extent 1 mean nothing
    strides = Strides.DENSE if layout.is_dense else Strides.PITCHED
    dtype, _, rest = str(Format(layout.dtype, order, strides)).partition(" ")
    return f"{dtype}{list(layout.shape)} {rest}".rstrip()


def _address(plan: Plan, place: Place) -> str:
    """Where a result begins: bytes from the arena's begin."""
    if not isinstance(place, Region):
        return ""
    storage = plan.storages[place.storage]
    return "" if storage.kind is Kind.CONSTANT else f"{storage.offset + place.offset:,}"


def _workspace(step: Step) -> str:
    region = step.workspace
    return "" if region is None else bytes_text(region.span[1] - region.span[0])
