"""What commands that take a model have in common: its argument, its options, opening it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gie_core.cli.console import count, progress
from gie_core.errors import GieError

if TYPE_CHECKING:
    from gie_core.builder.report import ImportReport
    from gie_core.engine.engine import Engine, TensorInfo

__all__ = [
    "build_options",
    "foreign_notes",
    "import_notes",
    "json_option",
    "model_argument",
    "open_engine",
    "parse_options",
    "parse_sizes",
    "tensor_json",
]

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


model_argument = click.argument("model", type=click.Path(path_type=Path))


def build_options(command: F) -> F:
    """Adds ``--target``, ``-O`` and ``--json`` to a command."""
    for decorate in (
        json_option,
        click.option(
            "-O",
            "--option",
            "options",
            multiple=True,
            metavar="KEY=VALUE",
            help="Pass an option to the importer, in JSON if a list or object; may be repeated.",
        ),
        click.option("--target", default="auto", show_default=True, help="What to run on."),
    ):
        command = decorate(command)
    return command


def open_engine(model: Path, *, target: str, optimized: bool, options: Sequence[str]) -> Engine:
    """Build a model, saying how far it is where somebody watches."""
    given = parse_options(options)
    with progress() as say:
        from gie_core.builder.pipeline import build

        return build(model, target=target, optimized=optimized, progress=say, **given)


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Importer options: ``batch-size=8`` is ``batch_size=8``.

    What reads as a number or as true or false is one; lists and objects are JSON.

    Raises:
        GieError: a pair is not KEY=VALUE, is given twice, has wrong JSON, or is an option of
            GIE's own.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key.isidentifier():
            raise GieError(f"-O {pair} must read KEY=VALUE")
        if key in _TAKEN:
            raise GieError(f"{key} is not an importer's option; see 'gie run --help'")
        if key in found:
            raise GieError(f"-O {key} is given twice")
        found[key] = _parsed(key, value.strip())
    return found


MAX_DIGITS = 18
"""Digits of a dimension's size: below 2**63, so that it is an extent at all."""


def parse_sizes(pairs: Sequence[str]) -> dict[str, int]:
    """Sizes of symbolic dimensions from ``NAME=N``.

    Raises:
        GieError: a pair does not read so.
    """
    found: dict[str, int] = {}
    for pair in pairs:
        name, _, size = pair.partition("=")
        if not name or not size.isdecimal():
            raise GieError(f"--dim {pair} must read NAME=N, such as --dim n=8")
        if len(size) > MAX_DIGITS:
            raise GieError(f"--dim {name} has {len(size)} digits, more than any array's extent")
        found[name] = int(size)
    return found


# Parameters of build() itself, and of an importer's method.
_TAKEN = {"self", "source", "target", "optimized", "host", "observe", "progress"}


def _parsed(key: str, text: str) -> Any:
    if text.startswith(("{", "[")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise GieError(f"-O {key} is not JSON: {error}") from error
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def import_notes(report: ImportReport | None) -> list[str]:
    """What the importer has to say, a sentence each: what ``gie inspect`` prints."""
    return [*report.notes, *foreign_notes(report)] if report else []


def foreign_notes(report: ImportReport | None) -> list[str]:
    """What matters each time the model runs: which nodes GIE does not optimize."""
    if report is None or not report.foreign:
        return []
    ops = ", ".join(sorted({node.op for node in report.foreign}))
    nodes = count(len(report.foreign), "node")
    return [f"{nodes} of ops that GIE does not define ({ops}): see gie inspect --foreign"]


def tensor_json(info: TensorInfo) -> dict[str, Any]:
    """An input or output for ``--json``."""
    return {
        "name": info.name,
        "type": str(info.type),
        "dtype": info.dtype,
        "shape": info.shape,
    }
