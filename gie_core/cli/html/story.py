"""How the build went: passes, what the importer found, notes, plugins that are not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from gie_core.builder.report import BuildReport, ImportReport, PassRecord
from gie_core.cli.console import count
from gie_core.cli.html.markup import Child, Markup, clip, fragment, tag
from gie_core.cli.html.sketch import LINE, NAME
from gie_core.cli.html.tables import bar, table
from gie_core.cli.units import time_text

__all__ = ["imported", "notes", "passes"]

PASSES, HITS = 100, 60
"""Passes that are shown at most; rewrites, and nodes left alone, of each."""


def passes(records: Sequence[PassRecord]) -> Markup:
    """Hits and time of each pass, then what each rewrote and what it left alone."""
    if not records:
        return tag("p", "No pass ran.", class_="sub")
    by_name: dict[str, list[PassRecord]] = {}
    for record in records:
        if record.name in by_name or len(by_name) < PASSES:
            by_name.setdefault(record.name, []).append(record)
    times = {name: sum(r.seconds for r in runs) for name, runs in by_name.items()}
    hits = {name: sum(len(r.hits) for r in runs) for name, runs in by_name.items()}
    longest, most = max(times.values()) or 1.0, max(hits.values()) or 1
    timed = any(times.values())  # engine files don't keep times
    columns = ["Pass", ">Runs", ">Hits", "", *([">Time", ""] if timed else [])]
    rows: list[Sequence[Child]] = []
    for name, runs in by_name.items():
        row: list[Child] = [clip(name, NAME), len(runs), hits[name], bar(hits[name] / most)]
        if timed:
            row += [time_text(1e9 * times[name]), bar(times[name] / longest)]
        rows.append(row)
    return fragment(table(columns, rows), *(_rewrites(*each) for each in by_name.items()))


def _rewrites(name: str, runs: Sequence[PassRecord]) -> Markup | None:
    hits = [hit for record in runs for hit in record.hits]
    refusals = dict(each for record in runs for each in record.refusals)
    if not hits and not refusals:
        return None
    parts = [count(len(hits), "rewrite")] * bool(hits) + [f"{len(refusals)} left alone"] * bool(
        refusals
    )
    shown: list[Child] = [
        tag("summary", tag("b", clip(name, NAME)), tag("small", ", ".join(parts)))
    ]
    if hits:
        rows = [
            (clip(hit.node, LINE), clip(", ".join(hit.replacement[:8]), LINE) or "nothing")
            for hit in hits
        ]
        shown.append(table(["What went", "What came instead"], rows, most=HITS))
    if refusals:
        rows = [(clip(node, LINE), clip(reason, LINE)) for node, reason in refusals.items()]
        shown.append(table(["Left alone", "Why"], rows, most=HITS))
    return tag("details", *shown, class_="more")


def imported(found: ImportReport | None) -> Markup | None:
    """Native nodes by op, and foreign ones with their reasons."""
    if found is None:
        return None
    ops = Counter(found.native).most_common()
    most = ops[0][1] if ops else 1
    rows = [(clip(op, NAME), n, bar(n / max(1, most))) for op, n in ops]
    foreign = [(clip(f.node, NAME), clip(f.op, NAME), clip(f.reason, LINE)) for f in found.foreign]
    native = count(sum(found.native.values()), "native node")
    return fragment(
        tag("p", f"{clip(found.framework, LINE)}: {native}, {len(foreign)} foreign.", class_="sub"),
        table(["Op in the model", ">Nodes", ""], rows, most=60) if rows else None,
        table(["Foreign node", "Op", "Why GIE has no op for it"], foreign) if foreign else None,
    )


def notes(report: BuildReport) -> Markup:
    """Notes of importer and build, and the plugins that were left out."""
    lines = list(_notes(report))
    if not lines:
        return tag("p", "Nothing to note.", class_="sub")
    return tag("ul", *(tag("li", line) for line in lines), class_="notes")


def _notes(report: BuildReport) -> Iterator[Markup]:
    found = [*(report.imported.notes if report.imported else ()), *report.notes]
    for note in found[:200]:
        yield fragment(clip(note, 4 * LINE))
    for plugin, error in list(report.failed_plugins.items())[:50]:
        left_out = tag("b", f"{clip(plugin, NAME)} is left out: ")
        yield fragment(left_out, clip(error, 4 * LINE))
