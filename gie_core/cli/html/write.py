"""Writing the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gie_core.cli.console import reason
from gie_core.cli.html.header import Subject
from gie_core.cli.html.page import page
from gie_core.cli.html.sketch import sketch
from gie_core.errors import GieError

if TYPE_CHECKING:
    from gie_core.cli.inspected import Inspected

__all__ = ["write_page"]


def write_page(path: Path, name: str, found: Inspected) -> None:
    """Write the page about a model or an engine.

    Args:
        path: the file; an existing one is replaced.
        name: of the model or engine.
        found: what is known of it.

    Raises:
        GieError: the file can't be written.
    """
    graph = found.plans[0].graph if found.plans else found.graph
    subject = Subject(
        name=name,
        target=found.target,
        report=replace(found.report, passes=found.passes),
        before=found.before,
        after=sketch(graph),
        problem=found.problem,
    )
    try:
        path.write_text(page(subject), encoding="utf-8")
    except OSError as error:
        raise GieError(f"{path} cannot be written: {reason(error)}") from error
