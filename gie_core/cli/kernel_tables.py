"""What runs the nodes of a network, and what else could, as tables."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence

import click

from gie_core.builder.report import Alternative, BuildReport, KernelChoice, Rejection
from gie_core.cli.console import clean, print_heading, print_table
from gie_core.cli.units import error_text, time_text
from gie_core.errors import GieError

__all__ = ["full_columns", "print_kernels", "print_node", "print_providers"]

NODE_BY_NODE = "node by node"


def print_providers(report: BuildReport, problem: str) -> None:
    """How many nodes each provider runs; or why none can."""
    print_heading("kernels")
    if problem:
        click.echo(clean(problem))
    ops: dict[str, Counter[str]] = {}
    for choice in report.choices:
        ops.setdefault(choice.provider or NODE_BY_NODE, Counter())[choice.op] += 1
    rows = [
        (provider, count.total(), ", ".join(f"{op} ×{n}" for op, n in sorted(count.items())))
        for provider, count in ops.items()
    ]
    if rows or not problem:
        print_table(["provider", ">nodes", "ops"], rows)


def print_kernels(report: BuildReport, problem: str) -> None:
    """What runs each node, in which formats and time; or why nothing can."""
    print_heading("kernels")
    if problem:
        click.echo(clean(problem))
    if not report.choices:
        return
    rows = [
        (
            each.node,
            each.op,
            _kernel(each),
            each.formats,
            time_text(each.nanoseconds or None),
            ", ".join(each.sources),
        )
        for each in report.choices
    ]
    columns = ["node", "op", "kernel", "formats", ">time", "covers"]
    print_table(*full_columns(columns, rows))


def print_node(report: BuildReport, name: str) -> None:
    """What runs a node, the alternatives, and the providers that don't run it.

    Args:
        report: of the build.
        name: of the node's result, or of a node of the model.

    Raises:
        GieError: there is no such node.
    """
    for position, choice in enumerate(_named(report, name)):
        if position:
            click.echo()
        _print_choice(choice)


def _named(report: BuildReport, name: str) -> list[KernelChoice]:
    name = name.removeprefix("%")
    found = [each for each in report.choices if name == each.node or name in each.sources]
    if found:
        return found
    known = [*(c.node for c in report.choices), *(s for c in report.choices for s in c.sources)]
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else "--kernels lists them"
    raise GieError(f"no kernel is chosen for a node {name!r}; {hint}")


def _print_choice(choice: KernelChoice) -> None:
    origin = f" from {', '.join(choice.sources)}" if choice.sources else ""
    print_heading(f"%{choice.node} = {choice.op}{origin}")
    facts = [
        ("kernel", _kernel(choice)),
        ("formats", choice.formats),
        ("time", time_text(choice.nanoseconds or None)),
    ]
    print_table(["", ""], [(name, fact) for name, fact in facts if fact])
    if choice.alternatives:
        click.echo()
        _print_alternatives(choice.alternatives)
    if choice.rejections:
        click.echo()
        print_table(["why not", "who"], _by_reason(choice.rejections))


def _by_reason(rejections: Sequence[Rejection]) -> list[tuple[str, str]]:
    """Who was rejected for each reason: often many for one."""
    found: dict[str, list[str]] = {}
    for each in rejections:
        found.setdefault(each.reason, []).append(each.provider)
    return [(reason, ", ".join(providers)) for reason, providers in found.items()]


def _print_alternatives(alternatives: Sequence[Alternative]) -> None:
    rows = [
        (
            f"{each.provider} {each.candidate}".rstrip(),
            each.formats,
            ", ".join(each.covers),
            time_text(each.measured),
            time_text(each.predicted),
            error_text(each.error),
            each.verdict,
            each.reason,
        )
        for each in alternatives
    ]
    columns = ["alternative", "formats", "computes", ">measured", ">predicted", ">error"]
    print_table(*full_columns([*columns, "verdict", "reason"], rows))


def _kernel(choice: KernelChoice) -> str:
    return f"{choice.provider or NODE_BY_NODE} {choice.candidate}".rstrip()


def full_columns(
    columns: Sequence[str], rows: Sequence[Sequence[str | int]]
) -> tuple[list[str], list[list[str | int]]]:
    """A table without the columns that are empty in all rows."""
    keep = [any(row[n] != "" for row in rows) for n in range(len(columns))]
    cut = [[cell for cell, full in zip(row, keep, strict=True) if full] for row in rows]
    return [column for column, full in zip(columns, keep, strict=True) if full], cut
