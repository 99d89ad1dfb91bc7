"""``gie inspect``: a model's graph, what the passes did, and who runs each node."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from gie_core.builder.pipeline import import_graph, installed_passes, optimize
from gie_core.builder.planner import plan_graph
from gie_core.builder.profiles import check_runnable, profile_sizes
from gie_core.builder.report import BuildReport, PassRecord
from gie_core.cli.console import (
    clean,
    count,
    print_heading,
    print_json,
    print_table,
    progress,
)
from gie_core.cli.model import (
    build_options,
    import_notes,
    model_argument,
    parse_options,
    tensor_json,
)
from gie_core.cli.report_tables import (
    explained,
    print_import,
    print_kernels,
    print_passes,
    print_providers,
    print_refusals,
    print_summary,
)
from gie_core.engine.engine import TensorInfo
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.text import format_graph
from gie_core.kernels.provider import KernelError
from gie_core.plugin.host import PluginHost, default_host
from gie_core.runtime.providers import kernel_providers
from gie_core.runtime.target import find_target

__all__ = ["inspect"]

ALL = "all"


@dataclass
class _Inspected:
    """A model after everything that a build does to it.

    Attributes:
        graph: optimized.
        imported: the text of the graph as it was imported, if somebody wants it.
        report: of the build.
        problem: why no kernels could be chosen; "" if they were.
        passes: the report's records of passes, explained while the graph was at hand.
    """

    graph: Graph
    imported: str
    report: BuildReport = field(default_factory=BuildReport)
    problem: str = ""
    passes: list[PassRecord] = field(default_factory=list[PassRecord])


@click.command("inspect", short_help="Show a model's graph and what becomes of it.")
@model_argument
@click.option("--graph", "stage", type=click.Choice(["imported", "optimized"]), help="Print it.")
@click.option("--passes", is_flag=True, help="Print what each pass rewrote.")
@click.option(
    "--why-not",
    is_flag=False,
    flag_value=ALL,
    metavar="[PASS]",
    help="Print what passes left alone, and why. Stands behind MODEL if no PASS follows.",
)
@click.option("--print-after", metavar="PASS|all", help="Print the graph after a pass changed it.")
@click.option("--kernels", is_flag=True, help="Print who runs each node, and why others do not.")
@click.option("--foreign", is_flag=True, help="Print what the importer found.")
@build_options
def inspect(
    model: Path,
    target: str,
    options: tuple[str, ...],
    as_json: bool,
    stage: str | None,
    passes: bool,
    why_not: str | None,
    print_after: str | None,
    kernels: bool,
    foreign: bool,
) -> None:
    """Show what MODEL is and what becomes of it; without options, an overview."""
    host = default_host()
    known = [each.name for each in installed_passes(host)]
    for name in filter(None, (why_not, print_after)):
        _check_pass(name, known)
    watch = _printer(print_after) if print_after and not as_json else None
    found = _inspect(model, host, target, parse_options(options), watch, stage == "imported")
    if as_json:
        print_json(_document(model, target, found, stage))
        return
    sections: list[tuple[object, Callable[[], None]]] = [
        (foreign, lambda: print_import(found.report.imported)),
        (stage, lambda: click.echo(clean(_text(found, stage), lines=True))),
        (passes, lambda: print_passes(found.passes)),
        (why_not, lambda: print_refusals(found.report.passes, None if why_not == ALL else why_not)),
        (kernels, lambda: print_kernels(found.report, found.problem)),
    ]
    wanted = [show for asked, show in sections if asked]
    if not wanted and not print_after:
        _print_overview(found)
    for position, show in enumerate(wanted):
        if position:
            click.echo()
        show()


def _inspect(
    model: Path,
    host: PluginHost,
    target: str,
    options: dict[str, Any],
    watch: Callable[[PassRecord, Graph], None] | None,
    keep_imported: bool,
) -> _Inspected:
    """As ``build`` does, but what it would stumble over is kept."""
    goal = find_target(target)
    # A spinner would stand between the lines that ``watch`` prints.
    with progress() if watch is None else nullcontext(_ignore) as say:
        say("importing")
        graph, imported = import_graph(model, host, **options)
        found = _Inspected(graph, format_graph(graph) if keep_imported else "")
        found.report.imported, found.report.nodes_before = imported, len(graph)
        say("optimizing")

        def observe(record: PassRecord, graph: Graph) -> None:
            found.passes.append(explained(record, graph))
            if watch is not None:
                watch(record, graph)

        found.report.passes = optimize(graph, host, observe)
        found.report.nodes_after = len(graph)
        say("choosing kernels")
        try:
            providers = kernel_providers(host, goal)
            check_runnable(graph, goal, providers)
            for sizes in profile_sizes(graph, None):
                planned = plan_graph(graph, sizes, goal, providers)
                found.report.plans.append(planned.record)
                found.report.choices = list(planned.choices)
        except KernelError as error:
            found.problem = str(error)
        found.report.failed_plugins = host.failures()
    return found


def _ignore(stage: str) -> None:
    """Progress that nobody sees."""


def _check_pass(name: str, known: Sequence[str]) -> None:
    if name != ALL and name not in known:
        close = difflib.get_close_matches(name, known, 1)
        have = f"the passes are {', '.join(known)}" if known else "no pass is installed"
        raise GieError(
            f"there is no pass {name!r}; {f'did you mean {close[0]}?' if close else have}"
        )


def _printer(name: str) -> Callable[[PassRecord, Graph], None]:
    """Prints the graph whenever the pass, or any, changed it."""

    def watch(record: PassRecord, graph: Graph) -> None:
        if record.hits and name in (ALL, record.name):
            click.echo(
                f"// after {record.name}, round {record.round}, {count(len(record.hits), 'hit')}"
            )
            click.echo(clean(format_graph(graph), lines=True) + "\n")

    return watch


def _text(found: _Inspected, stage: str | None) -> str:
    return found.imported if stage == "imported" else format_graph(found.graph)


# ── What is printed ─────────────────────────────────────────────────────────────────


def _print_overview(found: _Inspected) -> None:
    graph, report = found.graph, found.report
    print_heading(f"graph {graph.name}")
    values = [("input", str(info)) for info in _inputs(graph)]
    values += [("output", str(info)) for info in _outputs(graph)]
    elements, size = _parameters(graph)
    values.append(("constants", f"{elements:,} elements, {size / 1e6:,.2f} MB"))
    print_table(["", ""], values)
    click.echo()
    print_import(report.imported)
    click.echo()
    print_summary(report)
    click.echo()
    print_providers(report, found.problem)


def _document(model: Path, target: str, found: _Inspected, stage: str | None) -> dict[str, Any]:
    elements, size = _parameters(found.graph)
    report = found.report
    return {
        "model": str(model),
        "target": str(find_target(target)),
        "name": found.graph.name,
        "inputs": [tensor_json(info) for info in _inputs(found.graph)],
        "outputs": [tensor_json(info) for info in _outputs(found.graph)],
        "constants": {"elements": elements, "bytes": size},
        "imported": report.imported,
        "nodes_before": report.nodes_before,
        "nodes_after": report.nodes_after,
        "hits": report.hits(),
        "passes": report.passes,
        "kernels": report.choices,
        "kernel_problem": found.problem or None,
        "failed_plugins": report.failed_plugins,
        "notes": import_notes(report.imported),
        "graph": _text(found, stage),
    }


def _inputs(graph: Graph) -> list[TensorInfo]:
    return [TensorInfo(value.name, value.type) for value in graph.inputs]


def _outputs(graph: Graph) -> list[TensorInfo]:
    pairs = zip(graph.output_names, graph.outputs, strict=True)
    return [TensorInfo(name, value.type) for name, value in pairs]


def _parameters(graph: Graph) -> tuple[int, int]:
    """Elements and bytes of all constants, those of graphs inside nodes included."""
    arrays = [value.data for value in graph.constants if value.data is not None]
    inner = [_parameters(body) for node in graph.nodes for body in node.op.subgraphs().values()]
    elements = sum(array.size for array in arrays) + sum(count for count, _ in inner)
    return elements, sum(array.nbytes for array in arrays) + sum(size for _, size in inner)
