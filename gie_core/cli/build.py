"""``gie build``: an engine file of a model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gie_core.cli.build_request import (
    check_cache,
    check_engine_path,
    parse_bytes,
    parse_pins,
    parse_precision,
    parse_shapes,
)
from gie_core.cli.console import clean, print_json
from gie_core.cli.model import Source, is_engine, model_argument, model_options
from gie_core.errors import GieError

if TYPE_CHECKING:
    from gie_core.builder.tuner import TunerOptions
    from gie_core.cli.timing_table import BuildWatch
    from gie_core.engine.engine import Engine

__all__ = ["build"]


@click.command("build", short_help="Build an engine file of a model.")
@model_argument
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="The file: NAME.gie."
)
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="NAME=1x3x224x224[,…]",
    help="Shapes of the inputs to plan for; again for another profile.",
)
@click.option("--no-timing", is_flag=True, help="Let a cost model decide instead of timing.")
@click.option(
    "--timing-cache",
    "cache",
    type=click.Path(path_type=Path),
    help="File of timings: what it has is not timed again, what is timed is added.",
)
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), help="Time for timing; 40 by default."
)
@click.option("--workspace", metavar="SIZE", help="Scratch memory a kernel may need, such as 64M.")
@click.option(
    "--precision", metavar="NAMES", help="How to store values: fp32, fp16, bf16, with commas."
)
@click.option(
    "--max-error",
    type=click.FloatRange(0, min_open=True),
    help="Relative error that reduced precision may bring into an output; 1e-2 by default.",
)
@click.option(
    "--calibration",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A .npz with an array for each input, to measure errors with.",
)
@click.option("--prefer", type=click.Choice(["time", "memory"]), help="What to save; time.")
@click.option(
    "--pin",
    "pins",
    multiple=True,
    metavar="NODE=KERNEL",
    help="What must run a node: a provider, or 'PROVIDER CANDIDATE'; may be repeated.",
)
@click.option("--refit", is_flag=True, help="Keep what is needed to exchange weights later.")
@model_options
def build(
    model: Path,
    output: Path,
    source: Source,
    as_json: bool,
    shapes: tuple[str, ...],
    no_timing: bool,
    cache: Path | None,
    seconds: float | None,
    workspace: str | None,
    precision: str | None,
    max_error: float | None,
    calibration: Path | None,
    prefer: str | None,
    pins: tuple[str, ...],
    refit: bool,
) -> None:
    """Build an engine file of MODEL: optimized, its kernels chosen by timing them here.

    The file appears when it is complete. Ctrl-C ends a build without damage.

    \b
      gie build resnet50.onnx -o resnet50.gie --timing-cache timings.json
      gie build net.onnx -o net.gie --shape x=1x3x224x224 --shape x=8x3x224x224
      gie build net.onnx -o net.gie --precision fp32,fp16 --max-error 1e-3
    """  # noqa: D301 - click reads \\b as: keep the lines that follow
    check_engine_path(output)
    if is_engine(model):
        raise GieError(f"{model} is an engine already; give its model, or load it with --rebuild")
    if no_timing and (cache or seconds or precision):
        needs = "--timing-cache" if cache else "--seconds" if seconds else "--precision"
        raise GieError(f"{needs} needs timing: leave out --no-timing")
    if precision is None and (max_error or calibration):
        raise GieError("--max-error and --calibration are for reduced precision: add --precision")
    if cache is not None:
        check_cache(cache)
    wishes = {
        "target": source.target,
        "shapes": parse_shapes(shapes) or None,
        "timing": not no_timing if seconds is None else _limited(seconds),
        "timing_cache": cache,
        "workspace": workspace and parse_bytes(workspace),
        "precision": precision and parse_precision(precision),
        "max_error": max_error,
        "calibration": calibration and _arrays(calibration),
        "prefer": prefer,
        "pins": parse_pins(pins),
        "refit": refit,
    }
    given = {name: wish for name, wish in wishes.items() if wish is not None}
    engine, watch, took = _built(model, output, {**given, **source.importer_options()})
    from gie_core.cli.build_summary import build_document, print_build

    found = build_document(model, output, engine, watch, took)
    if as_json:
        print_json(found)
    else:
        print_build(engine, found)


def _limited(seconds: float) -> TunerOptions:
    from gie_core.builder.tuner import TunerOptions

    return TunerOptions(seconds=seconds)


def _arrays(path: Path) -> Mapping[str, Any]:
    from gie_core.cli.inputs import read_arrays

    if not path.is_file():
        raise GieError(f"there is no calibration file {path}")
    arrays = read_arrays(path)
    if not isinstance(arrays, dict):
        raise GieError(f"--calibration {path} must be a .npz with an array for each input")
    return arrays


def _built(
    model: Path, output: Path, wishes: Mapping[str, Any]
) -> tuple[Engine, BuildWatch, float]:
    """The engine, saved; what looked on; and the seconds it took."""
    from gie_core.builder import pipeline
    from gie_core.cli.timing_table import watching

    start = time.perf_counter()
    try:
        with watching() as watch:
            engine = pipeline.build(model, progress=watch.stage, watch=watch, **wishes)
            watch.stage(f"writing {output}")
            engine.save(output)
    except KeyboardInterrupt:
        click.echo(clean(f"gie: {_interrupted(output, wishes.get('timing_cache'))}"), err=True)
        raise click.Abort from None
    return engine, watch, time.perf_counter() - start


def _interrupted(output: Path, cache: Path | None) -> str:
    if cache is None:
        return f"interrupted; {output} is as it was, and --timing-cache would keep the timings"
    return f"interrupted; {output} is as it was, and the timings so far are kept in {cache}"
