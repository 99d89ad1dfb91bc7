"""What a build made, in a few lines or as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gie_core.builder.report import BuildReport, KernelChoice
from gie_core.cli.console import clean, count, note, print_heading, print_table
from gie_core.cli.kernel_tables import full_columns
from gie_core.cli.model import import_notes, report_of
from gie_core.cli.plan_tables import plan_columns, plan_row
from gie_core.cli.timing_table import BuildWatch
from gie_core.cli.units import bytes_text
from gie_core.engine.engine import Engine

__all__ = ["build_document", "print_build"]

KINDS = 4
"""Candidates of a provider that are named; the rest are counted together."""


def build_document(
    model: Path, output: Path, engine: Engine, watch: BuildWatch, seconds: float
) -> dict[str, Any]:
    """All that matters about a build, for ``--json``.

    Args:
        model: what was built.
        output: the engine file.
        engine: as it was saved.
        watch: what looked on.
        seconds: the build took.
    """
    report = report_of(engine)
    return {
        "model": str(model),
        "output": str(output),
        "bytes": output.stat().st_size,
        "target": engine.target,
        "seconds": seconds,
        "nodes_before": report.nodes_before,
        "nodes_after": report.nodes_after,
        "candidates": {"timed": watch.measured, "cached": watch.cached},
        "kernels": _kernels(report),
        "plans": [
            {name: value for name, value in vars(plan).items() if name not in _LONG}
            for plan in report.plans
        ],
        "notes": [*import_notes(report.imported), *report.notes],
        "failed_plugins": report.failed_plugins,
    }


_LONG = ("steps", "storages")
"""What of a plan's record only ``gie inspect`` shows."""


def _kernels(report: BuildReport) -> dict[str, dict[str, int]]:
    """How many nodes each candidate of each provider runs."""
    found: dict[str, Counter[str]] = {}
    for choice in report.choices:
        found.setdefault(choice.provider or "node by node", Counter())[_kind(choice)] += 1
    return {provider: dict(kinds.most_common()) for provider, kinds in found.items()}


def _kind(choice: KernelChoice) -> str:
    return choice.candidate or choice.op


def print_build(engine: Engine, found: Mapping[str, Any]) -> None:
    """Print a summary.

    Args:
        engine: what was built.
        found: its ``build_document``.
    """
    for each in found["notes"]:
        note(each)
    size, seconds = bytes_text(found["bytes"]), found["seconds"]
    print_heading(f"{found['output']}: {size} for {found['target']}, built in {seconds:.1f} s")
    lines = [("nodes", f"{found['nodes_before']} became {found['nodes_after']}")]
    lines += [("kernels", _named(*each)) for each in found["kernels"].items()]
    if any(found["candidates"].values()):
        timed, cached = found["candidates"].values()
        lines.append(("timings", f"{count(timed, 'candidate')} timed, {cached} from the cache"))
    print_table(["", ""], lines)
    plans = zip(engine.package.plans, report_of(engine).plans, strict=True)
    rows = [plan_row(plan, record) for plan, record in plans]
    if rows:
        click.echo()
        print_table(*full_columns(plan_columns, rows))
    for name, error in found["failed_plugins"].items():
        note(clean(f"plugin {name} is left out: {error}"))


def _named(provider: str, kinds: Mapping[str, int]) -> str:
    """``cpu 30 (im2col NHWC ×12, …)``."""
    total, named = sum(kinds.values()), list(kinds.items())[:KINDS]
    rest = total - sum(n for _, n in named)
    parts = [f"{kind} ×{n}" for kind, n in named] + [f"{rest} others"] * bool(rest)
    return f"{provider} {total} ({', '.join(parts)})"
