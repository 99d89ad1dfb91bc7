"""``gie bench``: how fast a network runs, beside a peer in the same minute.

NumPy's libraries read the number of threads when they are loaded, so nothing up here loads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import gie_core
from gie_core.cli.console import clean, count, print_json, print_table, progress
from gie_core.cli.contestants import WARM_UPS, Contestant, Loaded, load, result, warm
from gie_core.cli.feeds import Given, input_options
from gie_core.cli.machine import peak_bytes, processor_name
from gie_core.cli.measure import PAUSE, ROUNDS, Timing, race
from gie_core.cli.model import Source, model_argument, source_options, tensor_json
from gie_core.cli.peers import ONNXRUNTIME, OnnxRuntime, check_onnxruntime
from gie_core.cli.threads import limit_threads

if TYPE_CHECKING:
    from gie_core.engine.engine import Engine, TensorInfo

__all__ = ["bench"]


@click.command("bench", short_help="Time a model, beside a peer if you like.")
@model_argument
@input_options
@click.option(
    "--against", metavar="PEER", help="Time this too, in turns: onnxruntime, a model or an engine."
)
@click.option("--runs", type=click.IntRange(1), help="Number of timed runs of each.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=3.0,
    show_default=True,
    help="Time for the timed runs of each, where --runs is not given.",
)
@click.option(
    "--threads", type=click.IntRange(1), help="That work on one node; by default one a processor."
)
@source_options
def bench(
    model: Path,
    given: Given,
    source: Source,
    as_json: bool,
    against: str | None,
    runs: int | None,
    seconds: float,
    threads: int | None,
) -> None:
    """Time single answers of MODEL: median, 99th percentile, rate, memory.

    INPUT is as in 'gie run'; what has no file is random. With --against, both get the same
    inputs and run in turns; a turn begins with a pause and a run that does not count.

    \b
      gie bench resnet50.onnx --against onnxruntime --threads 2
      gie bench after.gie --against before.gie --runs 200
    """  # noqa: D301 - click reads \\b as: keep the lines that follow
    if against == ONNXRUNTIME:
        check_onnxruntime(model)
    with limit_threads(threads) as used:
        given.check()
        loaded = _load(model, source)
        engine = loaded.value
        feed = given.feed(engine.inputs)
        contestants = [_enter(loaded, model, feed)]
        if against is not None:
            contestants.append(_opponent(against, model, source, feed, used))
        rounds = min(runs or ROUNDS, ROUNDS)
        with progress() as say:
            say("timing")
            calls = [each.run for each in contestants]
            timings = race(calls, rounds=rounds, count=runs, seconds=seconds)
    document = {
        "model": str(model),
        "target": engine.target,
        "machine": processor_name(),
        "threads": used,
        "inputs": [_fed(info, feed) for info in engine.inputs],
        "rounds": rounds,
        "pause_seconds": PAUSE,
        "warm_ups": WARM_UPS,
        "contestants": [result(*pair) for pair in zip(contestants, timings, strict=True)],
        **(_comparison(contestants, timings) if against else {}),
        "peak_bytes": peak_bytes(),
    }
    if as_json:
        print_json(document)
    else:
        _print(document)


# ── Making ready ────────────────────────────────────────────────────────────────────


def _enter(loaded: Loaded[Engine], model: Path, feed: Mapping[str, Any]) -> Contestant:
    context = loaded.value.context()
    run = partial(context.run, feed)
    made = warm(f"gie {model.name}", gie_core.__version__, loaded, run)
    return replace(made, arena=context.memory_bytes)


def _opponent(
    against: str, model: Path, source: Source, feed: Mapping[str, Any], threads: int
) -> Contestant:
    if against != ONNXRUNTIME:
        path = Path(against)
        return _enter(_load(path, source.bare()), path, feed)
    peer = load(lambda: OnnxRuntime(model, threads=threads))
    return warm(ONNXRUNTIME, peer.value.version, peer, partial(peer.value.run, feed))


def _load(model: Path, source: Source) -> Loaded[Engine]:
    return load(lambda: source.open(model))


# ── Results ─────────────────────────────────────────────────────────────────────────


def _fed(info: TensorInfo, feed: Mapping[str, Any]) -> dict[str, Any]:
    """An input with the shape that it is timed with."""
    return {**tensor_json(info), "shape": getattr(feed[info.name], "shape", None)}


def _comparison(contestants: Sequence[Contestant], timings: Sequence[Timing]) -> dict[str, Any]:
    """How many times as long the first takes, and whether both compute the same."""
    from gie_core.cli.deviation import outputs_error

    one, two = contestants
    ratio = timings[0].median / timings[1].median
    return {"ratio": ratio, "output_error": outputs_error(one.outputs, two.outputs)}


def _print(document: Mapping[str, Any]) -> None:
    fed = ", ".join(f"{each['name']} {list(each['shape'] or ())}" for each in document["inputs"])
    click.echo(
        clean(
            f"{document['model']} on {document['target']}: {document['machine']}, "
            f"{count(document['threads'], 'thread')}; {fed}"
        )
    )
    rows = [
        (
            each["name"],
            f"{each['load_seconds']:.2f} s",
            *(_ms(each[f"{name}_seconds"]) for name in ("first", "median")),
            " – ".join(map(_ms, each["quartiles_seconds"])),
            _ms(each["p99_seconds"]),
            f"{each['runs_per_second']:.1f}",
            each["runs"],
            _mb(each["memory_bytes"]),
            _mb(each["arena_bytes"]),
        )
        for each in document["contestants"]
    ]
    columns = ["", ">load", ">first", ">median", ">quartiles", ">p99", ">a second", ">runs"]
    print_table([*columns, ">memory", ">arena"], rows)
    if "ratio" in document:
        error = document["output_error"]
        said = "no output in common" if error is None else f"outputs differ by {error:.1e}"
        one, two = (each["name"] for each in document["contestants"])
        click.echo(clean(f"{one} takes {document['ratio']:.2f} times as long as {two}; {said}"))
    peak = _mb(document["peak_bytes"])
    click.echo(
        f"{document['rounds']} turns of each after {document['warm_ups']} runs to warm up"
        + (f"; the process had {peak} at most" if peak else "")
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def _mb(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.1f} MB"
