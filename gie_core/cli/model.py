"""What commands that take a model or an engine have in common: argument, options, opening it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gie_core.cli.console import count, progress
from gie_core.errors import GieError

if TYPE_CHECKING:
    from gie_core.builder.report import BuildReport, ImportReport
    from gie_core.engine.engine import Engine, TensorInfo

__all__ = [
    "ENGINE_SUFFIX",
    "Source",
    "foreign_notes",
    "import_notes",
    "in_flags",
    "is_engine",
    "json_option",
    "model_argument",
    "model_options",
    "parse_options",
    "parse_sizes",
    "report_of",
    "source_options",
    "tensor_json",
]

ENGINE_SUFFIX = ".gie"

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


model_argument = click.argument("model", type=click.Path(path_type=Path))


def is_engine(path: Path) -> bool:
    """Whether a path names an engine file, and not a model."""
    return path.suffix.lower() == ENGINE_SUFFIX


@dataclass(frozen=True)
class Source:
    """What the user said about where engines come from: built of models, or read from files.

    Args:
        target: what models are built for.
        options: KEY=VALUE for the importer.
        weights: files for an importer that takes them apart from the model.
        trust: run native code in engine files from elsewhere.
        rebuild: plan engine files again.
    """

    target: str = "auto"
    options: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    trust: bool = False
    rebuild: bool = False

    def importer_options(self) -> dict[str, Any]:
        """What the importer is told.

        Raises:
            GieError: an option reads wrong, or isn't the importer's.
        """
        found = parse_options(self.options)
        if not self.weights:
            return found
        if "weights" in found:
            raise GieError("the weights are given twice, by --weights and by -O")
        return {**found, "weights": self.weights[0] if len(self.weights) == 1 else [*self.weights]}

    def bare(self) -> Source:
        """The same without what is for the importer of one model."""
        return replace(self, options=(), weights=())

    def check_engine(self, path: Path) -> None:
        """Check that nothing is asked of an engine file that only a model can give.

        Raises:
            GieError: something is.
        """
        if self.options or self.weights:
            given = "-O" if self.options else "--weights"
            raise GieError(
                f"{given} is for importers, but {path} is an engine: nothing is imported"
            )

    def open(self, path: Path, *, optimized: bool = True) -> Engine:
        """Load an engine, or build a model, saying how far it is where somebody watches.

        Args:
            path: an engine file, or what some importer accepts.
            optimized: run the passes over a model.

        Raises:
            GieError: that fails, or options make no sense.
        """
        if is_engine(path):
            return self._load(path)
        options = self.importer_options()
        with progress() as say:
            from gie_core.builder.pipeline import build

            return build(path, target=self.target, optimized=optimized, progress=say, **options)

    def _load(self, path: Path) -> Engine:
        from gie_core.engine.file import EngineFileError
        from gie_core.loading import load
        from gie_core.runtime.target import find_target

        self.check_engine(path)
        with progress() as say:
            say("loading")
            try:
                engine = load(path, trust=self.trust, rebuild=self.rebuild)
            except EngineFileError as error:
                raise GieError(in_flags(error)) from error
        if self.target != "auto" and str(find_target(self.target)) != engine.target:
            raise GieError(f"{path} is built for {engine.target}, not for {self.target}")
        return engine


def in_flags(error: GieError) -> str:
    """What an error says, with options of the command line in place of Python's keywords."""
    return str(error).replace("trust=True", "--trust").replace("rebuild=True", "--rebuild")


def _bundled(
    command: Callable[..., Any], decorators: Sequence[Callable[..., Any]]
) -> Callable[..., Any]:
    """The command with options whose values it gets in one parameter, ``source``."""

    @wraps(command)
    def bundled(
        *,
        target: str,
        options: tuple[str, ...],
        weights: tuple[str, ...],
        trust: bool = False,
        rebuild: bool = False,
        **others: Any,
    ) -> Any:
        return command(source=Source(target, options, weights, trust, rebuild), **others)

    for decorate in decorators:
        bundled = decorate(bundled)
    return bundled


_MODEL_OPTIONS = (
    json_option,
    click.option(
        "-O",
        "--option",
        "options",
        multiple=True,
        metavar="KEY=VALUE",
        help="Pass an option to the importer, in JSON if a list or object; may be repeated.",
    ),
    click.option(
        "--weights",
        multiple=True,
        metavar="FILE",
        help="Where weights are apart from the model: pass this to the importer; may be repeated.",
    ),
    click.option("--target", default="auto", show_default=True, help="What to run on."),
)
_ENGINE_OPTIONS = (
    click.option("--rebuild", is_flag=True, help="Plan an engine again, with what is installed."),
    click.option("--trust", is_flag=True, help="Run native code in an engine from elsewhere."),
)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--target``, ``--weights``, ``-O`` and ``--json`` to a command that takes a model.

    The command gets the first three in one parameter, ``source``.
    """
    return _bundled(command, _MODEL_OPTIONS)


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """As ``model_options``, and ``--trust`` and ``--rebuild``, for one that also takes engines."""
    return _bundled(command, (*_MODEL_OPTIONS[:1], *_ENGINE_OPTIONS, *_MODEL_OPTIONS[1:]))


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
        if key in _taken():
            raise GieError(f"{key} is not an importer's option; see 'gie build --help'")
        if key in found:
            raise GieError(f"-O {key} is given twice")
        found[key] = _parsed(key, value.strip())
    return found


def _taken() -> set[str]:
    """Parameters of build() itself, and of an importer's method."""
    import inspect

    from gie_core.builder.pipeline import build

    return {"self", *inspect.signature(build).parameters}


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


def report_of(engine: Engine) -> BuildReport:
    """What the engine's build did, from its file if it was loaded."""
    if engine.report is not None:
        return engine.report
    from gie_core.cli.html.record import read_report

    return read_report(engine.package.report)


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
