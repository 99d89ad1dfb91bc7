"""What all commands print with: results on stdout, everything else on stderr.

Colour is Rich's business: it shows on terminals only, and not where NO_COLOR is
set. Rich is imported where a table or a spinner is printed, not before.
"""

from __future__ import annotations

import enum
import json
import math
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = [
    "clean",
    "console",
    "count",
    "has_colour",
    "note",
    "plain",
    "print_heading",
    "print_json",
    "print_renderable",
    "print_table",
    "progress",
    "reason",
]

PIPED_WIDTH = 10_000  # whoever reads a pipe wants whole lines


def clean(text: str, *, lines: bool = False) -> str:
    """The text with control characters spelled out: names in a model may hold escape sequences.

    Args:
        text: from anywhere.
        lines: it has several lines, and keeps them.
    """
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)


def count(number: int, thing: str) -> str:
    """``count(2, "node")`` is "2 nodes"."""
    return f"{number} {thing}{'s' * (number != 1)}"


def reason(error: Exception) -> str:
    """Why a file can't be used, for behind a sentence that names it: no number, no file name."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def note(text: str) -> None:
    """Tell the user something beside the result, on stderr."""
    click.echo(f"gie: note: {clean(text)}", err=True)


def print_json(document: object) -> None:
    """Print one JSON document; dataclasses become objects, complex numbers pairs, NaN
    and infinities ``null``. Arrays of numbers and strings, also nested ones, take one line.
    """
    click.echo(_json(plain(document), ""))


def _json(value: Any, indent: str) -> str:
    inner = f"{indent}  "
    match value:
        case {**members} if members:
            lines = [f"{_compact(key)}: {_json(each, inner)}" for key, each in members.items()]
            opening, closing = "{}"
        case [*items] if _has_objects(items):
            lines = [_json(each, inner) for each in items]
            opening, closing = "[]"
        case _:
            return _compact(value)
    body = ",\n".join(f"{inner}{line}" for line in lines)
    return f"{opening}\n{body}\n{indent}{closing}"


def _has_objects(value: Any) -> bool:
    match value:
        case [*items]:
            return any(map(_has_objects, items))
        case _:
            return isinstance(value, dict)


def _compact(value: object) -> str:
    # ASCII: a model's names may hold characters that a terminal obeys.
    return json.dumps(value, allow_nan=False)


def plain(value: Any) -> Any:
    """A value made of what JSON has."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case complex():
            return [plain(value.real), plain(value.imag)]
        case enum.Enum():
            return value.value
        case Mapping():
            return {str(k): plain(v) for k, v in cast("Mapping[Any, Any]", value).items()}
        case list() | tuple():
            return [plain(item) for item in cast("Sequence[Any]", value)]
        case _ if is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        case _:
            return str(value)


def console(*, stderr: bool = False) -> Console:
    """Rich's console on a stream as it now is."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def has_colour() -> bool:
    """Whether colours show on stdout."""
    out = console()
    return out.color_system is not None and not out.no_color


def print_renderable(renderable: Any) -> None:
    """Print something of Rich's, without the spaces it puts at the ends of lines."""
    out = console()
    with out.capture() as captured:
        out.print(renderable)
    lines = captured.get().splitlines()
    click.echo("\n".join(line.rstrip() for line in lines), color=True)


def print_heading(text: str) -> None:
    """Print a line that stands out."""
    from rich.text import Text

    print_renderable(Text(clean(text), style="bold"))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | int | Text]]) -> None:
    """Print a table.

    Args:
        columns: headings, a ``>`` in front aligns the column to the right; no heading is
            shown if all are empty.
        rows: one cell per column; strings are cleaned, Rich's ``Text`` is taken as it is.
    """
    from rich import box
    from rich.table import Table

    lines = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    table = Table(box=lines, pad_edge=False, show_edge=False, show_header=any(columns))
    for column in columns:
        justify = "right" if column.startswith(">") else "left"
        table.add_column(column.lstrip(">"), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(cell) for cell in row))
    print_renderable(table)


def _cell(cell: str | int | Text) -> Text:
    from rich.text import Text

    return cell if isinstance(cell, Text) else Text(clean(str(cell)))


@contextmanager
def progress() -> Generator[Callable[[str], None], None, None]:
    """Shows what is going on, on a terminal: call the result with a few words."""
    if not sys.stderr.isatty():
        yield lambda stage: None
        return
    with console(stderr=True).status("starting …") as status:
        yield lambda stage: status.update(f"{clean(stage)} …")
