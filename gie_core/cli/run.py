"""``gie run``: a model on inputs, once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from gie_core.cli.console import note, print_json, print_table, progress
from gie_core.cli.inputs import Feed, Loader, assign_files, check_files, check_sizes, random_array
from gie_core.cli.model import (
    Source,
    foreign_notes,
    is_engine,
    model_argument,
    parse_sizes,
    report_of,
    source_options,
    tensor_json,
)
from gie_core.cli.outputs import check_output, outputs_json, print_outputs, save_outputs
from gie_core.cli.preprocess import parse_preprocess
from gie_core.cli.scores import Ranked, choose_scores, read_labels, softmax, top
from gie_core.errors import GieError

if TYPE_CHECKING:
    from gie_core.engine.engine import Engine

__all__ = ["run"]

TOP = 5


@dataclass(frozen=True)
class _Run:
    """What came out of one run.

    Args:
        name: of the file that fed it.
        outputs: by name.
        seconds: wall time; the first run's includes what is loaded on first use.
    """

    name: str
    outputs: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class _Classes:
    """How to print scores of classes."""

    labels: list[str] | None
    count: int
    softmax: bool

    def rank(self, outputs: Mapping[str, Any]) -> list[list[Ranked]]:
        """The best classes of each sample."""
        _, rows = choose_scores(outputs, self.labels)
        return top(softmax(rows) if self.softmax else rows, self.count, self.labels)


@click.command("run", short_help="Run a model or an engine and print its outputs.")
@model_argument
@click.argument("files", nargs=-1, metavar="[INPUT]...")
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="The same as INPUT; may be repeated.",
)
@click.option(
    "--preprocess", default="", metavar="STEPS", help="From pictures to arrays, in steps."
)
@click.option("--labels", type=click.Path(path_type=Path), help="Names of the classes, one a line.")
@click.option("--top", "count", type=click.IntRange(1), help="Print the K best classes.")
@click.option("--softmax", "as_probabilities", is_flag=True, help="Turn scores to probabilities.")
@click.option("--random-input", is_flag=True, help="Fill inputs that have no file at random.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random inputs."
)
@click.option(
    "--dim", "dims", multiple=True, metavar="NAME=N", help="Size of a random input's dimension."
)
@click.option("--output", type=click.Path(path_type=Path), help="Store outputs: .npz or .npy.")
@click.option("--no-optimize", is_flag=True, help="Run the model as it was imported.")
@source_options
def run(
    model: Path,
    source: Source,
    as_json: bool,
    files: tuple[str, ...],
    inputs: tuple[str, ...],
    preprocess: str,
    labels: Path | None,
    count: int | None,
    as_probabilities: bool,
    random_input: bool,
    seed: int,
    dims: tuple[str, ...],
    output: Path | None,
    no_optimize: bool,
) -> None:
    """Run MODEL, a model or an engine, and print its outputs.

    INPUT is a .npy, .npz, .png or .jpg file, or NAME=FILE where the model has several
    inputs. Several files for one input are run one after the other.

    \b
      gie run mobilenet.onnx cat.jpg --preprocess imagenet --labels labels.txt
      gie run model.onnx --input x=x.npy --input y=y.npy --output out.npz

    \b
    Pictures go through --preprocess, such as
    rgb,resize=256,crop=224,scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225
    """  # noqa: D301 - click reads \\b as: keep the lines that follow
    given = (*inputs, *files)
    check_files(given)
    if output is not None:
        check_output(output)
    steps = parse_preprocess(preprocess)
    names = None if labels is None else read_labels(labels)
    sizes = parse_sizes(dims)
    if sizes and not random_input:
        raise GieError("--dim gives sizes to random inputs; add --random-input")
    wants_classes = names is not None or count is not None or as_probabilities
    classes = _Classes(names, count or TOP, as_probabilities) if wants_classes else None

    if no_optimize and is_engine(model):
        raise GieError(
            f"--no-optimize is for models, but {model} is an engine: it is built already"
        )

    engine = source.open(model, optimized=not no_optimize)
    for each in foreign_notes(report_of(engine).imported):
        note(each)
    check_sizes(sizes, engine.inputs)
    filler = _random(engine, given, seed, sizes) if random_input else {}
    open_inputs = [info for info in engine.inputs if info.name not in filler]
    if open_inputs and not given:
        wanted = ", ".join(map(str, open_inputs))
        raise GieError(f"{model} needs inputs ({wanted}); give INPUT files, or --random-input")
    loader = Loader(engine.inputs, steps)
    runs = _run_all(engine, assign_files(given, open_inputs), loader, filler)

    if output is not None:
        save_outputs(output, [each.outputs for each in runs])
    if as_json:
        print_json(_document(model, engine, runs, classes))
    elif classes:
        _print_classes(runs, classes)
    else:
        for each in runs:
            name = each.name if len(runs) > 1 else ""
            print_outputs(name, each.outputs, each.seconds, first=each is runs[0])


def _random(
    engine: Engine, given: Sequence[str], seed: int, sizes: Mapping[str, int]
) -> dict[str, Any]:
    """Random arrays for the inputs that no file is named for; unnamed files come first."""
    named = {text.partition("=")[0] for text in given}
    left = [info for info in engine.inputs if info.name not in named]
    unnamed = len(given) - (len(engine.inputs) - len(left))
    rng = np.random.default_rng(seed)
    return {info.name: random_array(info, rng, sizes) for info in left[unnamed:]}


def _run_all(
    engine: Engine, feeds: Sequence[Feed], loader: Loader, filler: Mapping[str, Any]
) -> list[_Run]:
    runs: list[_Run] = []
    with progress() as say:
        for feed in feeds:
            say(f"running {feed.name}".rstrip())
            runs.append(_run(engine, feed.name, {**filler, **loader.load(feed)}))
    return runs


def _run(engine: Engine, name: str, feed: Mapping[str, Any]) -> _Run:
    start = time.perf_counter()
    outputs = engine.run(feed)
    return _Run(name, outputs, time.perf_counter() - start)


def _document(
    model: Path, engine: Engine, runs: Sequence[_Run], classes: _Classes | None
) -> dict[str, Any]:
    return {
        "model": str(model),
        "target": str(engine.target),
        "inputs": [tensor_json(info) for info in engine.inputs],
        "notes": foreign_notes(report_of(engine).imported),
        "runs": [
            {
                "input": each.name,
                "seconds": each.seconds,
                "outputs": outputs_json(each.outputs, values=classes is None),
                **({"top": classes.rank(each.outputs)} if classes else {}),
            }
            for each in runs
        ],
    }


def _print_classes(runs: Sequence[_Run], classes: _Classes) -> None:
    """One table for all runs."""
    rows: list[list[str | int]] = []
    several = len(runs) > 1
    for each in runs:
        ranked = classes.rank(each.outputs)
        for sample, best in enumerate(ranked):
            where = each.name if len(ranked) == 1 else f"{each.name}[{sample}]"
            for place, one in enumerate(best):
                row = [one.index, one.label, f"{one.score:.4f}"]
                rows.append([where if place == 0 else "", *row])
            several |= len(ranked) > 1
    score = ">probability" if classes.softmax else ">score"
    columns = ["input", ">class", "label", score]
    keep = [several, True, classes.labels is not None, True]
    print_table(
        [c for c, k in zip(columns, keep, strict=True) if k],
        [[cell for cell, k in zip(row, keep, strict=True) if k] for row in rows],
    )
