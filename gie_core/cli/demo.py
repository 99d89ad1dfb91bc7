"""``gie demo``: the way from file to answer, on handwritten digits."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import numpy as np

import gie_core
from gie_core.cli.console import (
    has_colour,
    print_heading,
    print_json,
    print_renderable,
    print_table,
    progress,
)
from gie_core.cli.half_blocks import half_blocks
from gie_core.cli.images import read_image
from gie_core.cli.model import json_option, report_of
from gie_core.cli.preprocess import Preprocess
from gie_core.errors import GieError
from gie_core.ir.types import Array, DType
from gie_core.plugin.host import PluginHost, Status, default_host

if TYPE_CHECKING:
    from gie_core.engine.engine import Engine

__all__ = ["data_folder", "demo"]

REQUIRED = 0.97
"""Share of held-out digits that must be right; the network reached 99.2 % when it was trained."""
SIDE = 8
DIGITS_PER_LINE = 10
SECONDS_PER_TIMING = 0.5
MIN_REPEATS, MAX_REPEATS = 10, 300


@dataclass(frozen=True)
class _Digit:
    """One of the single pictures, and the answer.

    Args:
        file: its name, which begins with the label.
        pixels: float32 8×8, 0 … 240.
        label: what it is.
        predicted: what the network says.
        probability: how sure it is.
    """

    file: str
    pixels: Array
    label: int
    predicted: int
    probability: float


@dataclass(frozen=True)
class _Latency:
    """Wall time of one run, in seconds.

    Args:
        batch: images per run.
        median: of all repeats.
        low: 10th percentile.
        high: 90th percentile.
        repeats: how many.
    """

    batch: int
    median: float
    low: float
    high: float
    repeats: int


@click.command("demo", short_help="Read handwritten digits, from file to answer.")
@json_option
@click.pass_context
def demo(ctx: click.Context, as_json: bool) -> None:
    """Optimize a small network for the best device there is and let it read digits.

    It has never seen these digits: they were held out when it was trained. Exit status 1
    if it gets fewer than 97 % of them right.
    """
    folder = data_folder()
    _need_importer(default_host())
    with progress() as say:
        from gie_core.builder.pipeline import build

        engine = build(folder / "digits.onnx", progress=say)
        say("reading digits")
        digits = _read_singles(engine, folder / "held_out")
        sheet, labels = _read_sheet(folder)
        predicted = np.argmax(engine(sheet), axis=1)
        say("timing")
        timings = [_time(lambda x=x: engine(x), len(x)) for x in (sheet[:1], sheet)]
    right = int((predicted == labels).sum())
    if as_json:
        print_json(_document(engine, digits, predicted, labels, timings))
    else:
        _print_digits(digits)
        _print_accuracy(right, len(labels))
        _print_build(engine)
        _print_latency(timings)
    if right < REQUIRED * len(labels):
        ctx.exit(1)


# ── Data ────────────────────────────────────────────────────────────────────────────


def data_folder() -> Path:
    """The example's data: beside this file when installed, in ``examples`` in a checkout."""
    places = [Path(__file__).parent / "_digits", Path(__file__).parents[2] / "examples" / "digits"]
    for place in places:
        if (place / "digits.onnx").is_file():
            return place
    raise GieError("the digits of the demo are missing from this installation; reinstall gie-core")


def _need_importer(host: PluginHost) -> None:
    if any(".onnx" in owned.declaration.suffixes for owned in host.importers()):
        return
    idle = [p for p in host.plugins if p.status is not Status.ACTIVE and "importer" in p.name]
    states = ", ".join(f"{p.name} is {p.status.value}{p.error and f': {p.error}'}" for p in idle)
    raise GieError(
        "the demo needs an importer for ONNX: pip install 'gie-core[onnx]'"
        + (f" ({states})" if states else "")
    )


def _read_singles(engine: Engine, folder: Path) -> list[_Digit]:
    files = sorted(folder.glob("*.png"))
    plan = Preprocess().complete(engine.inputs[0].type)
    pixels = [plan.apply(read_image(file), DType.F32) for file in files]
    rows = cast("Array", engine(np.concatenate(pixels)))
    return [
        _Digit(file.name, x[0, 0], int(file.name[0]), int(row.argmax()), float(row.max()))
        for file, x, row in zip(files, pixels, rows, strict=True)
    ]


def _read_sheet(folder: Path) -> tuple[Array, Array]:
    """All held-out digits, float32 N×1×8×8, and their labels."""
    sheet = np.asarray(read_image(folder / "held_out.png").convert("L"), np.float32)
    rows, columns = (extent // SIDE for extent in sheet.shape)
    digits = sheet.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2).reshape(-1, 1, SIDE, SIDE)
    text = (folder / "held_out_labels.txt").read_text(encoding="ascii")
    return np.ascontiguousarray(digits), np.array(text.split(), np.int64)


# ── Timing ──────────────────────────────────────────────────────────────────────────


def _time(run: Callable[[], object], batch: int) -> _Latency:
    """Run again and again for about half a second, after some runs that don't count."""
    for _ in range(3):
        run()
    seconds: list[float] = []
    end = time.perf_counter() + SECONDS_PER_TIMING
    while len(seconds) < MIN_REPEATS or (len(seconds) < MAX_REPEATS and time.perf_counter() < end):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    deciles = statistics.quantiles(seconds, n=10)
    return _Latency(batch, statistics.median(seconds), deciles[0], deciles[-1], len(seconds))


# ── What is printed ─────────────────────────────────────────────────────────────────


def _print_digits(digits: Sequence[_Digit]) -> None:
    from rich.text import Text

    colour = has_colour()
    print_heading("Held-out digits: label → prediction")
    for start in range(0, len(digits), DIGITS_PER_LINE):
        line = digits[start : start + DIGITS_PER_LINE]
        pictures = [half_blocks(each.pixels, colour=colour) for each in line]
        click.echo()
        for parts in zip(*pictures, strict=True):
            print_renderable(Text.assemble(*parts))
        print_renderable(Text.assemble(*map(_verdict, line)))


def _verdict(digit: _Digit) -> tuple[str, str]:
    right = digit.label == digit.predicted
    text = f"{digit.label} → {digit.predicted} {'✓' if right else '✗'}"
    return text.ljust(SIDE), "green" if right else "bold red"


def _print_accuracy(right: int, total: int) -> None:
    from rich.text import Text

    enough = right >= REQUIRED * total
    text = f"{right} of {total} held-out digits are right: {right / total:.1%}"
    click.echo()
    print_renderable(Text(text, style="bold green" if enough else "bold red"))


def _print_build(engine: Engine) -> None:
    report = report_of(engine)
    click.echo()
    print_heading(f"Optimized: {report.nodes_before} nodes became {report.nodes_after}")
    hits = [(name, count) for name, count in report.hits().items() if count]
    if hits:
        print_table(["pass", ">rewrites"], hits)
    else:
        click.echo("no pass is installed; try: pip install 'gie-core[all]'")
    click.echo()
    print_heading(f"Kernels on the {engine.target}")
    print_table(["provider", ">nodes"], list(_providers(engine).items()))


def _print_latency(timings: Sequence[_Latency]) -> None:
    click.echo()
    print_heading("Latency")
    rows = [
        (
            each.batch,
            f"{each.median * 1e3:.3f} ms",
            f"{each.low * 1e3:.3f} … {each.high * 1e3:.3f} ms",
            f"{each.batch / each.median:,.0f}",
            each.repeats,
        )
        for each in timings
    ]
    print_table([">batch", ">median", ">10 % … 90 %", ">digits/s", ">repeats"], rows)


def _providers(engine: Engine) -> dict[str, int]:
    """Number of nodes by provider, the busiest first; views and joins need none."""
    return dict(Counter(c.provider for c in report_of(engine).choices).most_common())


def _document(
    engine: Engine,
    digits: Sequence[_Digit],
    predicted: Array,
    labels: Array,
    timings: Sequence[_Latency],
) -> dict[str, Any]:
    right = int((predicted == labels).sum())
    report = report_of(engine)
    return {
        "version": gie_core.__version__,
        "target": str(engine.target),
        "correct": right,
        "total": len(labels),
        "accuracy": right / len(labels),
        "required": REQUIRED,
        "digits": [
            {
                "file": each.file,
                "label": each.label,
                "predicted": each.predicted,
                "probability": each.probability,
            }
            for each in digits
        ],
        "labels": labels.tolist(),
        "predicted": predicted.tolist(),
        "nodes_before": report.nodes_before,
        "nodes_after": report.nodes_after,
        "hits": report.hits(),
        "kernels": _providers(engine),
        "latency": timings,
    }
