"""The entry point: turns whatever happens into output and an exit status.

| Status | Meaning |
|---|---|
| 0 | done |
| 1 | an unexpected error, the command's own negative result, or nobody reads the output |
| 2 | a mistake of the user, in one sentence on stderr |
| 130 | interrupted |
"""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import click

from gie_core.cli.commands import Settings, gie
from gie_core.cli.console import clean
from gie_core.errors import GieError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``gie``.

    Args:
        arguments: those after the program's name; by default the process's.

    Returns:
        The exit status. Nothing is raised but ``SystemExit``.
    """
    settings = Settings()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # where it can't show a character, "?" will do
            stream.reconfigure(errors="replace")
    try:
        with _short_warnings():
            given = None if arguments is None else list(arguments)
            status: int = gie.main(given, prog_name="gie", standalone_mode=False, obj=settings)
            sys.stdout.flush()
            return status
    except BrokenPipeError:
        _drop_stdout()
        return 1
    except click.Abort as abort:
        if not isinstance(abort.__context__, EOFError):  # click takes both for an interruption
            return 130
        return _report(abort.__context__, settings)
    except Exception as error:  # noqa: BLE001 (the last line of defence: no command may end in a traceback)
        return _report(error, settings)


def _report(error: BaseException, settings: Settings) -> int:
    if settings.traceback and not isinstance(error, click.UsageError):
        traceback.print_exception(error)
    message, status = _explain(error)
    click.echo(f"gie: error: {clean(message, lines=True)}", err=True)
    return status


MAX_MESSAGE = 1000


def shortened(text: str) -> str:
    """A message without the middle of what a hostile model's names make of it."""
    if len(text) <= MAX_MESSAGE:
        return text
    return f"{text[: MAX_MESSAGE // 2]} … {text[-MAX_MESSAGE // 2 :]}"


def _explain(error: BaseException) -> tuple[str, int]:
    """The sentence and the exit status of an error."""
    if isinstance(error, GieError):
        # A verifier's message goes on with the lines of the graph; others are one sentence.
        has_lines = any(hasattr(each, "graph_text") for each in (error, error.__cause__))
        return (str(error) if has_lines else shortened(" ".join(str(error).split()))), 2
    if isinstance(error, click.UsageError):
        text = error.format_message().rstrip(".")
        path = error.ctx.command_path if error.ctx else "gie"
        see = "" if text.endswith("?") else f"; see '{path} --help'"
        return f"{text[:1].lower()}{text[1:]}{see}", 2
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    if isinstance(error, MemoryError):
        return "there is not enough memory", 2
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"unexpected {name}: {text}; `gie --traceback …` shows where it comes from", 1


@contextmanager
def _short_warnings() -> Generator[None, None, None]:
    """Warnings as one line each, without the source line of whoever raised them."""

    def show(message: Warning | str, *rest: object, **named: object) -> None:
        click.echo(f"gie: warning: {clean(str(message))}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _drop_stdout() -> None:
    """Let Python's flush at exit go nowhere instead of complaining."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # not a real file: nothing will be flushed
        return
