"""A build's report as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import click

from gie_core.builder.report import BuildReport, ImportReport, PassRecord
from gie_core.cli.console import clean, count, note, print_heading, print_table
from gie_core.ir.graph import Graph, Node

__all__ = [
    "explained",
    "print_import",
    "print_passes",
    "print_refusals",
    "print_summary",
]


def print_import(imported: ImportReport | None) -> None:
    """What the importer found: native nodes by op, foreign ones with reasons, notes."""
    if imported is None:
        return
    print_heading(f"imported from {imported.framework}")
    native = sum(imported.native.values())
    click.echo(f"{count(native, 'native node')}, {len(imported.foreign)} foreign")
    print_table(["op", ">nodes"], imported.native.most_common())
    if imported.foreign:
        click.echo()
        rows = [(each.node, each.op, each.reason) for each in imported.foreign]
        print_table(["foreign node", "op", "reason"], rows)
    for each in imported.notes:
        note(each)


def print_summary(report: BuildReport) -> None:
    """Rewrites and time of each pass."""
    print_heading(f"passes: {report.nodes_before} nodes became {report.nodes_after}")
    seconds: dict[str, float] = {}
    for record in report.passes:
        seconds[record.name] = seconds.get(record.name, 0.0) + record.seconds
    if any(seconds.values()):
        rows = [(name, hits, _ms(seconds[name])) for name, hits in report.hits().items()]
        print_table(["pass", ">hits", ">ms"], rows)
    else:  # engine files don't keep times, which differ from build to build
        print_table(["pass", ">hits"], report.hits().items())


def explained(record: PassRecord, graph: Graph) -> PassRecord:
    """The record with op and sources of each replacement that is in the graph.

    Args:
        record: of the pass that has just run.
        graph: as the pass left it.
    """
    if not record.hits:
        return record
    nodes = {f"%{result.name}": node for node in _nodes(graph) for result in node.results}
    hits = [
        replace(
            hit,
            node=_with_sources(hit.node, hit.sources),
            replacement=tuple(
                _with_sources(str(nodes[line]), nodes[line].sources) if line in nodes else line
                for line in hit.replacement
            ),
        )
        for hit in record.hits
    ]
    return replace(record, hits=tuple(hits))


def _nodes(graph: Graph) -> Iterator[Node]:
    """Nodes inside nodes first, so that of equal names the outermost counts."""
    for node in graph.nodes:
        for body in node.op.subgraphs().values():
            yield from _nodes(body)
    yield from graph.nodes


def _with_sources(text: str, sources: Sequence[str]) -> str:
    return f"{text} from {', '.join(sources)}" if sources else text


def print_passes(records: Iterable[PassRecord]) -> None:
    """Each run of each pass that rewrote something, with its rewrites."""
    print_heading("passes")
    idle = 0
    for record in records:
        idle += not record.hits
        if record.hits:
            _print_hits(record)
    if idle:
        click.echo(f"{count(idle, 'run')} without hits {'is' if idle == 1 else 'are'} not shown")


def _print_hits(record: PassRecord) -> None:
    took = f", {_ms(record.seconds)} ms" if record.seconds else ""
    did = f"{count(len(record.hits), 'hit')}{took}"
    click.echo(f"{record.name}, round {record.round}: {did}")
    for hit in record.hits:
        click.echo(clean(f"  {hit.node}"))
        for line in hit.replacement:
            click.echo(clean(f"    → {line}"))


def print_refusals(records: Iterable[PassRecord], name: str | None) -> None:
    """The last word of each pass, or of the one named, on the nodes it left alone."""
    refusals = {
        (record.name, node): reason
        for record in records
        for node, reason in record.refusals
        if name in (None, record.name)
    }
    print_heading("left alone")
    if refusals:
        print_table(["pass", "node", "reason"], [(*key, why) for key, why in refusals.items()])
    else:
        click.echo("nothing: whatever a pattern matched was rewritten")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"
