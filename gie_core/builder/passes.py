"""Passes: what they are, how they are ordered, and the contract that is enforced.

A pass is one file: a frozen dataclass whose fields are its options, one pattern
and one rewrite. Passes that always pay rewrite (``Phase.SIMPLIFY``) and are
repeated until none changes the graph; passes whose profit depends on the target
only group (``Phase.GROUP``) and run once, after them.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import ClassVar

from gie_core.builder.report import PassRecord
from gie_core.errors import GieError
from gie_core.ir.graph import Graph, Node
from gie_core.ir.op import Op
from gie_core.ir.rewrite import Replacement, Rewriter
from gie_core.ir.text import blobs, format_graph, identity_key
from gie_core.ir.types import TensorType
from gie_core.ir.verify import Stage, VerifyError, verify
from gie_core.plugin.blame import blame

__all__ = ["Pass", "PassError", "PatternPass", "Phase", "run_passes", "sort_passes"]

MAX_ROUNDS = 20
MAX_SWEEPS = 100


class PassError(GieError):
    """A pass broke its contract, or passes can't be ordered."""


class Phase(enum.Enum):
    """When a pass runs."""

    SIMPLIFY = "simplify"
    GROUP = "group"


@dataclass(frozen=True)
class Pass:
    """A transformation of a graph.

    Class attributes:
        name: as users see it ("fold-batch-norm").
        phase: when it runs.
        after, before: names of passes that must run earlier, or later, in a round;
            names that are not installed are ignored.
    """

    name: ClassVar[str]
    phase: ClassVar[Phase] = Phase.SIMPLIFY
    after: ClassVar[tuple[str, ...]] = ()
    before: ClassVar[tuple[str, ...]] = ()

    def run(self, graph: Graph, rewriter: Rewriter) -> None:
        """Change the graph through the rewriter, which records what was done."""
        raise NotImplementedError(f"{type(self).__name__} must define run()")


@dataclass(frozen=True)
class PatternPass(Pass):
    """A pass that looks at one node at a time.

    Class attributes:
        roots: the ops it looks at; empty for all.
    """

    roots: ClassVar[tuple[type[Op], ...]] = ()

    def rewrite(self, node: Node, rewriter: Rewriter) -> Replacement:
        """The values that replace the node's results.

        Returns ``None`` where the pattern does not match, and a ``Refusal`` where it
        does but must not be applied, with the reason. New nodes are made with
        ``rewriter.add``, which puts them in front of ``node``.
        """
        raise NotImplementedError(f"{type(self).__name__} must define rewrite()")

    def run(self, graph: Graph, rewriter: Rewriter) -> None:
        for _ in range(MAX_SWEEPS):
            rewriter.refusals.clear()
            replaced = [rewriter.apply(self.rewrite, node) for node in self._matching(graph)]
            if not any(replaced):
                return
        raise PassError(
            f"the pass {self.name!r} still finds something to rewrite after {MAX_SWEEPS} sweeps; "
            "its result must not match its own pattern"
        )

    def _matching(self, graph: Graph) -> Iterator[Node]:
        return (node for node in graph.nodes if not self.roots or isinstance(node.op, self.roots))


def sort_passes(passes: Iterable[Pass], owners: Mapping[str, str] | None = None) -> list[Pass]:
    """Order passes by phase, then by ``before``/``after``, then by name.

    Args:
        passes: any passes.
        owners: the plugin that brings each pass, by name, for the message.

    Raises:
        PassError: two have one name, or the constraints contradict each other; names both owners.
    """
    owners = owners or {}
    by_name: dict[str, Pass] = {}
    for each in passes:
        if each.name in by_name:
            raise PassError(f"two passes are called {each.name!r}")
        by_name[each.name] = each
    sorter = TopologicalSorter[str](dict.fromkeys(sorted(by_name), ()))
    for each in by_name.values():
        for other in by_name.values():
            if other.name in each.after or each.name in other.before:
                sorter.add(each.name, other.name)
    order = _topological(sorter, owners)
    return [by_name[n] for phase in Phase for n in order if by_name[n].phase is phase]


def _topological(sorter: TopologicalSorter[str], owners: Mapping[str, str]) -> list[str]:
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = " → ".join(f"{n} ({owners.get(n, 'core')})" for n in error.args[1])
        raise PassError(
            f"the passes {cycle} each want to run before the next; change 'before' or 'after' of "
            "one, or block its plugin"
        ) from None
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return order


def run_passes(
    graph: Graph,
    passes: Sequence[Pass],
    finished: Callable[[PassRecord, Graph], None] = lambda record, graph: None,
    owners: Mapping[str, str] | None = None,
) -> list[PassRecord]:
    """Run sorted passes: those that simplify until nothing changes, then those that group.

    Args:
        graph: changed in place.
        passes: as ``sort_passes`` orders them.
        finished: told about each run of a pass, with the graph as it then is.
        owners: the plugin that brings each pass, by name; what another pass raises is not caught.

    Raises:
        PassError: a pass broke its contract, or the passes never settle.
        GieError: a plugin's pass raised something; names both.
    """
    owners = owners or {}
    verify(graph, Stage.IMPORTED)
    records: list[PassRecord] = []

    def run_all(phase: Phase, round_number: int) -> bool:
        changed = False
        for each in passes:
            if each.phase is phase:
                record = _run_one(each, graph, round_number, owners.get(each.name, ""))
                records.append(record)
                finished(record, graph)
                changed |= bool(record.hits)
        return changed

    for round_number in range(MAX_ROUNDS):
        if not run_all(Phase.SIMPLIFY, round_number):
            break
    else:
        last = sorted({r.name for r in records if r.hits and r.round == MAX_ROUNDS - 1})
        raise PassError(
            f"the passes {', '.join(last)} undo each other: still changing after {MAX_ROUNDS} "
            "rounds"
        )
    run_all(Phase.GROUP, 0)
    return records


def _run_one(each: Pass, graph: Graph, round_number: int, owner: str) -> PassRecord:
    start = time.perf_counter()
    stage = Stage.GROUPED if each.phase is Phase.GROUP else Stage.IMPORTED
    rewriters: list[Rewriter] = []
    for part in _parts(graph):
        before = _State(part)
        rewriter = Rewriter(part)
        with blame(owner, f"the pass {each.name!r}"):
            each.run(part, rewriter)
        rewriters.append(rewriter)
        _check(each, _State(part), rewriter, before)
    hits = tuple(hit for rewriter in rewriters for hit in rewriter.hits)
    if hits:  # without any, the graph is the one that was verified before
        try:
            verify(graph, stage)
        except VerifyError as error:
            raise PassError(f"the pass {each.name!r} left an invalid graph: {error}") from error
    refusals = tuple(refusal for rewriter in rewriters for refusal in rewriter.refusals)
    return PassRecord(each.name, round_number, time.perf_counter() - start, hits, refusals)


class _State:
    """A graph at one moment, for comparison with a later one."""

    def __init__(self, graph: Graph) -> None:
        self.text = format_graph(graph, identity_key)
        self.arrays = blobs(graph, identity_key)  # alive, so that no other gets one's identity
        self.inputs = [(value.name, value.type) for value in graph.inputs]
        self.outputs = [
            (name, value.type.dtype if isinstance(value.type, TensorType) else value.type)
            for name, value in zip(graph.output_names, graph.outputs, strict=True)
        ]  # a pass may find out more about an output's shape


def _check(each: Pass, after: _State, rewriter: Rewriter, before: _State) -> None:
    if (after.inputs, after.outputs) != (before.inputs, before.outputs):
        raise PassError(
            f"the pass {each.name!r} changed the inputs or outputs; their number, names and types "
            "must stay as they are"
        )
    changed = after.text != before.text
    if changed and not rewriter.hits:
        raise PassError(
            f"the pass {each.name!r} changed the graph but recorded no hit; make changes through "
            "the rewriter"
        )
    if rewriter.hits and not changed:
        raise PassError(
            f"the pass {each.name!r} recorded a hit ({rewriter.hits[0].node}) but the graph is as "
            "before; return None where nothing changes"
        )


def _parts(graph: Graph) -> Iterator[Graph]:
    """The graphs inside nodes, innermost first, then the graph itself; groups' bodies are done."""
    for node in graph.nodes:
        if node.op.name != "group":
            for body in node.op.subgraphs().values():
                yield from _parts(body)
    yield graph
