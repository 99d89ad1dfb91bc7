"""``gie compare``: where a network's values leave those of the reference, or of another engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gie_core.cli.console import clean, count, print_json, print_table, progress
from gie_core.cli.feeds import Given, input_options
from gie_core.cli.model import Source, is_engine, model_argument, source_options
from gie_core.cli.peers import ONNXRUNTIME, check_onnxruntime
from gie_core.cli.threads import usable_threads
from gie_core.errors import GieError

if TYPE_CHECKING:
    from gie_core.cli.comparison import Comparison, Deviation
    from gie_core.cli.traces import Traced, Watch
    from gie_core.engine.engine import Engine
    from gie_core.ir.graph import Graph

__all__ = ["compare"]

REFERENCE = "reference"
Feed = Mapping[str, Any]
Trace = Callable[[Feed, "Watch"], dict[str, Any]]
"""Runs a network, shows its values to a watcher, and returns its outputs by name."""


@click.command("compare", short_help="Find where a model's values leave the reference's.")
@model_argument
@input_options
@click.option(
    "--with",
    "other",
    default=REFERENCE,
    show_default=True,
    metavar="OTHER",
    help="reference, onnxruntime, another engine, or a model, of which the reference counts.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    help="Relative error that is no divergence; by default 1e-4, and more where a value is f16.",
)
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, help="Worst values.")
@source_options
@click.pass_context
def compare(
    ctx: click.Context,
    model: Path,
    given: Given,
    source: Source,
    as_json: bool,
    other: str,
    tolerance: float | None,
    top: int,
) -> None:
    """Compare the values inside MODEL, once built, with those of OTHER, node by node.

    INPUT is as in 'gie run'; what has no file is random. Values are the same if they have one
    name and stem from the same nodes of the imported model; those that fusion did away with
    are left out. Exit status 1 says that an error is beyond the tolerance.

    \b
      gie compare model.onnx
      gie compare model.gie --with model.onnx
      gie compare model.onnx --with onnxruntime --tolerance 1e-3
    """  # noqa: D301 - click reads \\b as: keep the lines that follow
    given.check()
    if other == ONNXRUNTIME:
        check_onnxruntime(model)
    only_other = is_engine(model) and other != REFERENCE and not is_engine(Path(other))
    engine = (source.bare() if only_other else source).open(model)
    feed = given.feed(engine.inputs)
    found = _compared(engine, feed, _other_side(model, other, engine, source))
    limit = found.tolerance() if tolerance is None else tolerance
    first = found.first_beyond(limit)
    if as_json:
        print_json(_document(model, other, found, limit, first))
    else:
        _print(model, other, found, limit, first, top)
    if first is not None:
        ctx.exit(1)


def _compared(engine: Engine, feed: Feed, other: Trace) -> Comparison:
    import numpy as np

    from gie_core.cli.comparison import Comparison
    from gie_core.cli.deviation import is_numeric
    from gie_core.cli.traces import names_in, trace_engine

    names = set(names_in(engine.graph))
    wanted: dict[str, Traced] = {}

    def keep(traced: Traced) -> None:
        if traced.name in names and is_numeric(traced.value):
            copy = replace(traced, value=np.copy(traced.value))
            wanted.setdefault(traced.name, copy)  # a group's result comes after its node's

    with progress() as say:
        say("running what to compare with")
        expected = other(feed, keep)
        say("running the engine")
        found = Comparison(wanted)
        outputs = trace_engine(engine, feed, found.watch)
    found.watch_outputs(outputs, expected)
    if not found.found:
        raise GieError("the two have no value in common: neither inside, nor an output's name")
    return found


def _other_side(model: Path, other: str, engine: Engine, source: Source) -> Trace:
    """What the engine is compared with.

    Raises:
        GieError: it can't be read or built.
    """
    from gie_core.cli.traces import trace_engine, trace_onnxruntime, trace_reference

    if other == ONNXRUNTIME:
        graph = _imported(model, source)
        return partial(trace_onnxruntime, model, graph, threads=usable_threads())
    path = model if other == REFERENCE else Path(other)
    if not is_engine(path):
        return partial(trace_reference, _imported(path, source))
    if other == REFERENCE:  # the graph in the file is all that is left of the model
        return partial(trace_reference, engine.graph)
    return partial(trace_engine, source.bare().open(path))


def _imported(model: Path, source: Source) -> Graph:
    from gie_core.builder.pipeline import import_graph
    from gie_core.plugin.host import default_host

    return import_graph(model, default_host(), **source.importer_options())[0]


# ── What is printed ─────────────────────────────────────────────────────────────────


def _document(
    model: Path, other: str, found: Comparison, tolerance: float, first: Deviation | None
) -> dict[str, Any]:
    return {
        "model": str(model),
        "with": other,
        "tolerance": tolerance,
        "diverges": first is not None,
        "first": first,
        "unmatched": found.unmatched,
        "values": found.found,
    }


def _print(
    model: Path, other: str, found: Comparison, limit: float, first: Deviation | None, top: int
) -> None:
    click.echo(clean(f"{model} beside {other}: {count(len(found.found), 'value')} in both"))
    rows = [
        (f"%{d.value}", d.op, d.kernel, f"{d.error:.1e}", f"{d.largest:.1e}", ", ".join(d.sources))
        for d in found.worst(top)
    ]
    print_table(["value", "op", "kernel", ">error", ">largest", "from"], rows)
    if found.unmatched:
        click.echo(f"{count(found.unmatched, 'value')} of the engine have no counterpart")
    if first is None:
        click.echo(f"no error is beyond {limit:g}")
        return
    where = f" (from {', '.join(first.sources)})" if first.sources else ""
    click.echo(
        clean(
            f"the first beyond {limit:g} in the order of execution is "
            f"%{first.value} = {first.op}{where}: {first.error:.1e}"
        )
    )
