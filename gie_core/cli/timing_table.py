"""What a build is timing: a live table on a terminal, a line now and then elsewhere.

Nothing is drawn but from the build's own calls: a thread that draws would disturb what is timed.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from gie_core.cli.console import clean, console, count
from gie_core.cli.units import error_text, time_text
from gie_core.ops.group import Group

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from gie_core.builder.signature import Job
    from gie_core.builder.timing_cache import Timing
    from gie_core.ir.graph import Node

__all__ = ["BuildWatch", "watching"]

EVERY = 5.0
"""Seconds between two lines where nobody watches a terminal."""
FRAME = 0.1
"""Seconds between two pictures on a terminal."""
ROWS = 12
"""Candidates of a node that are shown."""


class BuildWatch(ABC):
    """Looks on while a build runs.

    Attributes:
        measured: number of candidates that were timed.
        cached: number of those that the timing cache knew.
    """

    def __init__(self) -> None:
        self.measured = self.cached = 0

    @abstractmethod
    def stage(self, name: str) -> None:
        """A stage of the build begins."""

    @abstractmethod
    def progress(self, done: int, jobs: int, spent: float, left: float) -> None:
        """So many of all candidates are done, in so many seconds; so many are likely left."""

    def begins(self, node: Node, candidates: int) -> None:  # noqa: B027 - lines say too much
        """So many candidates of a node are timed next."""

    def timed(self, job: Job, timing: Timing, cached: bool) -> None:
        """A candidate's time is known."""
        self.cached += cached
        self.measured += not cached


@contextmanager
def watching() -> Generator[BuildWatch, None, None]:
    """What shows on stderr how far a build is."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.live import Live

    out = console(stderr=True)
    with Live(console=out, auto_refresh=False, transient=True) as live:
        yield _Table(live)


class _Lines(BuildWatch):
    """A line for each stage, and one now and then while candidates are timed."""

    def __init__(self) -> None:
        super().__init__()
        self._last = -EVERY

    def stage(self, name: str) -> None:
        click.echo(f"gie: {clean(name)}", err=True)

    def progress(self, done: int, jobs: int, spent: float, left: float) -> None:
        now = time.monotonic()
        if now - self._last >= EVERY or done == jobs:
            self._last = now
            click.echo(f"gie: {_progress_text(done, jobs, spent, left)}", err=True)


class _Table(BuildWatch):
    """The node that was timed last, with all its candidates, and a bar; older ones scroll away."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live
        self._stage = ""
        self._now = ""
        self._bar: tuple[int, int] | None = None
        self._node = ""
        self._rows: list[tuple[Job, Timing]] = []
        self._shown: tuple[str, list[tuple[Job, Timing]]] = "", []
        self._lines: list[str] = []
        self._drawn = 0.0

    def stage(self, name: str) -> None:
        self._finish()
        self._finish()  # also what is shown
        self._bar, self._stage = None, f"{name} …"
        self._draw(now=True)

    def timed(self, job: Job, timing: Timing, cached: bool) -> None:
        super().timed(job, timing, cached)
        if cached:
            return
        if (node := _node_text(job)) != self._node:
            self._finish()
            self._node = node
        self._rows.append((job, timing))

    def begins(self, node: Node, candidates: int) -> None:
        names = ", ".join(f"%{clean(result.name)}" for result in node.results)
        self._now = f" · {names}: {count(candidates, 'candidate')}"
        self._draw(now=False)

    def progress(self, done: int, jobs: int, spent: float, left: float) -> None:
        text = _progress_text(done, jobs, spent, left)
        self._bar, self._stage = (done, jobs), text + self._now
        if done == jobs:
            self._finish()
            self._stage = "comparing whole plans …"
        self._draw(now=done == jobs)

    def _finish(self) -> None:
        """Show the node that is complete now; the one before becomes a line above."""
        node, rows = self._shown
        right = [(timing.nanoseconds, job) for job, timing in rows if timing.ok]
        if right:
            best, job = min(right, key=lambda pair: pair[0])
            of = count(len(rows), "candidate")
            self._lines.append(
                clean(f"{time_text(best):>8}  {_candidate_text(job)}, of {of}  {node}")
            )
        self._shown = self._node, self._rows
        self._node, self._rows = "", []

    def _draw(self, now: bool) -> None:
        if not now and time.monotonic() - self._drawn < FRAME:
            return
        if self._lines:
            text = "\n".join(self._lines)
            self._live.console.print(text, overflow="ellipsis", no_wrap=True)
            self._lines = []
        self._live.update(self._picture(), refresh=True)
        self._drawn = time.monotonic()

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        parts: list[Any] = []
        node, rows = self._shown
        if rows:
            title = Text(clean(node), style="bold", overflow="ellipsis", no_wrap=True)
            parts += [title, _candidates(rows)]
        stage = Text(clean(self._stage))
        if self._bar is not None:
            done, jobs = self._bar
            line = Table.grid(padding=(0, 1))
            line.add_row(ProgressBar(total=jobs, completed=done, width=30), stage)
            return Group(*parts, line)
        return Group(*parts, stage)


def _candidates(rows: Sequence[tuple[Job, Timing]]) -> RenderableType:
    """A node's candidates, the fastest first."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("candidate", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("error", justify="right", no_wrap=True)
    table.add_column("verdict", overflow="ellipsis", no_wrap=True)
    ranked = sorted(rows, key=lambda row: (not row[1].ok, row[1].nanoseconds))
    for job, timing in ranked[:ROWS]:
        table.add_row(
            Text(clean(_candidate_text(job))),
            time_text(timing.nanoseconds or None),
            error_text(timing.error),
            Text(clean(_verdict(timing, ranked[0][1]))),
        )
    return table


def _progress_text(done: int, jobs: int, spent: float, left: float) -> str:
    text = f"timed {done} of {count(jobs, 'candidate')} in {spent:.0f} s"
    return text if done == jobs else f"{text}, about {left:.0f} s left"


def _node_text(job: Job) -> str:
    node = job.node
    name = ", ".join(node.sources) or f"%{node.results[0].name}"
    op = node.op.kind if isinstance(node.op, Group) else node.op.name
    return f"{name}: {op} → {', '.join(str(value.type) for value in node.results)}"


def _candidate_text(job: Job) -> str:
    layouts = [layout for layout in (*job.operands, *job.results) if layout is not None]
    apart = "" if all(layout.is_dense for layout in layouts) else " in a slice"
    return f"{job.provider.name} {job.candidate.name}{apart}"


def _verdict(timing: Timing, best: Timing) -> str:
    if not timing.ok:
        return f"{timing.verdict.value}: {timing.reason}" if timing.reason else timing.verdict.value
    if timing is best:
        return "fastest"
    return f"{timing.nanoseconds / max(1, best.nanoseconds):.2f}×"
