"""``gie inspect``: a model's graph, what the passes did, and what runs each node; or an engine."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from gie_core.builder.pipeline import installed_passes
from gie_core.builder.report import PassRecord
from gie_core.cli.console import (
    clean,
    count,
    note,
    print_heading,
    print_json,
    print_table,
)
from gie_core.cli.html.write import write_page
from gie_core.cli.inspected import Inspected, inspect_engine, inspect_model
from gie_core.cli.kernel_tables import print_kernels, print_node, print_providers
from gie_core.cli.model import (
    Source,
    import_notes,
    is_engine,
    model_argument,
    source_options,
    tensor_json,
)
from gie_core.cli.plan_tables import print_plans, print_steps
from gie_core.cli.report_tables import print_import, print_passes, print_refusals, print_summary
from gie_core.cli.units import bytes_text
from gie_core.engine.engine import TensorInfo
from gie_core.errors import GieError
from gie_core.ir.graph import Graph
from gie_core.ir.text import format_graph
from gie_core.plugin.host import default_host

__all__ = ["inspect"]

ALL = "all"


@click.command("inspect", short_help="Show what becomes of a model, or what is in an engine.")
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
@click.option("--kernels", is_flag=True, help="Print what runs each node.")
@click.option("--node", metavar="NAME", help="Print what else could run a node, and why it won't.")
@click.option("--plans", is_flag=True, help="Print every step: kernel, formats, time, memory.")
@click.option("--foreign", is_flag=True, help="Print what the importer found.")
@click.option("--html", metavar="FILE", type=click.Path(path_type=Path), help="Write a page.")
@source_options
def inspect(
    model: Path,
    source: Source,
    as_json: bool,
    stage: str | None,
    passes: bool,
    why_not: str | None,
    print_after: str | None,
    kernels: bool,
    node: str | None,
    plans: bool,
    foreign: bool,
    html: Path | None,
) -> None:
    """Show what MODEL is and what becomes of it; without options, an overview.

    Of an engine file, show what is in it; nothing in it is executed.
    """
    found = _inspect(model, source, why_not, None if as_json else print_after, stage)
    if stage == "imported" and not found.imported:
        raise GieError(f"{model} does not have the imported graph: it was built without --refit")
    if html is not None:
        write_page(html, model.name, found)
        note(f"the page is in {html}")
    if as_json:
        print_json(_document(model, found, stage))
        return
    sections: list[tuple[object, Callable[[], None]]] = [
        (foreign, lambda: print_import(found.report.imported)),
        (stage, lambda: click.echo(clean(_text(found, stage), lines=True))),
        (passes, lambda: print_passes(found.passes)),
        (why_not, lambda: print_refusals(found.report.passes, None if why_not == ALL else why_not)),
        (kernels, lambda: print_kernels(found.report, found.problem)),
        (node, lambda: print_node(found.report, node or "")),
        (plans, lambda: print_steps(found.planned())),
    ]
    wanted = [show for asked, show in sections if asked]
    if not wanted and not print_after and html is None:
        _print_overview(model, found)
    for position, show in enumerate(wanted):
        if position:
            click.echo()
        show()


def _inspect(
    model: Path, source: Source, why_not: str | None, print_after: str | None, stage: str | None
) -> Inspected:
    host = default_host()
    if is_engine(model):
        if print_after:
            raise GieError(f"--print-after is for models, but {model} is an engine: no pass runs")
        found = inspect_engine(model, host, source)
        known = list(found.report.hits())
        _check_pass(why_not, known)
        return found
    known = [each.name for each in installed_passes(host)]
    for name in (why_not, print_after):
        _check_pass(name, known)
    watch = _printer(print_after) if print_after else None
    return inspect_model(model, host, source, watch, imported_text=stage == "imported")


def _check_pass(name: str | None, known: Sequence[str]) -> None:
    if name not in (None, ALL) and name not in known:
        close = difflib.get_close_matches(str(name), known, 1)
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


def _text(found: Inspected, stage: str | None) -> str:
    return found.imported if stage == "imported" else format_graph(found.graph)


# ── What is printed ─────────────────────────────────────────────────────────────────


def _print_overview(model: Path, found: Inspected) -> None:
    graph, report = found.graph, found.report
    print_heading(f"graph {graph.name}")
    values = [("input", str(info)) for info in _inputs(graph)]
    values += [("output", str(info)) for info in _outputs(graph)]
    elements, size = _parameters(graph)
    values.append(("constants", f"{elements:,} elements, {size / 1e6:,.2f} MB"))
    print_table(["", ""], [*values, *_engine_rows(model, found)])
    click.echo()
    if report.imported is not None:
        print_import(report.imported)
        click.echo()
    print_summary(report)
    click.echo()
    print_providers(report, found.problem)
    if found.plans:
        click.echo()
        print_plans(found.planned())
    for each in report.notes:
        note(each)


def _engine_rows(model: Path, found: Inspected) -> list[tuple[str, str]]:
    """What only an engine file has."""
    package = found.package
    if package is None:
        return []
    size = bytes_text(model.stat().st_size)
    refit = "" if package.source is None else ", weights can be exchanged"
    rows = [("engine", f"{size}, for {package.target}, made by GIE {package.gie}{refit}")]
    return rows + [("kernels", f"{each.name} of {each}") for each in package.providers]


def _document(model: Path, found: Inspected, stage: str | None) -> dict[str, Any]:
    elements, size = _parameters(found.graph)
    report, package = found.report, found.package
    engine = package and {
        "bytes": model.stat().st_size,
        "gie": package.gie,
        "providers": [each._asdict() for each in package.providers],
        "refit": package.source is not None,
        "digest": package.digest,
    }
    return {
        "model": str(model),
        "target": found.target,
        "engine": engine,
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
        "plans": report.plans,
        "failed_plugins": report.failed_plugins,
        "notes": [*import_notes(report.imported), *report.notes],
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
