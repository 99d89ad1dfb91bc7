"""What a build did, for people and machines: every record here prints and turns into JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from gie_core.ir.rewrite import Hit

__all__ = [
    "Alternative",
    "BuildReport",
    "ForeignNode",
    "ImportReport",
    "KernelChoice",
    "PassRecord",
    "PlanRecord",
    "Rejection",
    "StepRecord",
    "StorageRecord",
]


@dataclass(frozen=True)
class ForeignNode:
    """A node of the model that the IR has no op for.

    Args:
        node: its name in the model.
        op: its type there, with the domain ("ai.onnx::Det").
        reason: why it isn't one of GIE's ops.
    """

    node: str
    op: str
    reason: str


@dataclass
class ImportReport:
    """What an importer found.

    Attributes:
        framework: where the model comes from, with its version ("ONNX opset 17").
        native: number of nodes that became GIE's own ops, by type in the model.
        foreign: those that did not.
        notes: what else the user should know, a sentence each.
    """

    framework: str
    native: Counter[str] = field(default_factory=Counter[str])
    foreign: list[ForeignNode] = field(default_factory=list[ForeignNode])
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class PassRecord:
    """One run of one pass.

    Args:
        name: the pass.
        round: the round of the fixpoint iteration, from 0.
        seconds: wall time, verification included.
        hits: what it rewrote.
        refusals: (node, reason) for each node that it looked at and left alone.
    """

    name: str
    round: int
    seconds: float
    hits: tuple[Hit, ...]
    refusals: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Rejection:
    """Why a provider does not run a node."""

    provider: str
    reason: str


@dataclass(frozen=True)
class Alternative:
    """A candidate that was considered for some nodes.

    Args:
        provider: whose it is.
        candidate: its name.
        formats: how it reads its operands and writes its results.
        covers: the first result of each node that it runs.
        predicted: nanoseconds by the cost model.
        measured: nanoseconds, the median; ``None`` if it was not timed.
        error: relative error against the reference; ``None`` if it was not checked.
        verdict: "chosen", "slower", "wrong", "failed" …
        reason: what the verdict rests on, for those that had to go.
    """

    provider: str
    candidate: str
    formats: str
    covers: tuple[str, ...]
    predicted: int
    measured: int | None = None
    error: float | None = None
    verdict: str = ""
    reason: str = ""


@dataclass(frozen=True)
class KernelChoice:
    """What runs a node, what else could have, and why others can't.

    Args:
        node: the node's first result.
        op: its op; "group:epilogue" for a group.
        provider: who runs it; "view" or "join" if nothing has to run, "node by node" if the
            nodes of the graphs inside run one by one.
        sources: nodes of the imported model that it covers.
        rejections: the providers that do not run it.
        candidate: the provider's candidate.
        formats: how it reads its operands and writes its results.
        nanoseconds: what it is expected to take.
        alternatives: the candidates that were not chosen, the fastest first.
    """

    node: str
    op: str
    provider: str
    sources: tuple[str, ...]
    rejections: tuple[Rejection, ...]
    candidate: str = ""
    formats: str = ""
    nanoseconds: int = 0
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True)
class StepRecord:
    """One step of a plan, for the timeline.

    Args:
        node: the first result of its node.
        what: "cpu im2col", or "copy".
        stream: on which it runs.
        start, end: nanoseconds from the begin, as expected.
    """

    node: str
    what: str
    stream: int
    start: int
    end: int


@dataclass(frozen=True)
class StorageRecord:
    """A piece of the arena, for the memory map.

    Args:
        kind: "arena", "input", "output", "state".
        offset, size: bytes.
        first, last: steps between which it is in use.
        values: what lies there.
    """

    kind: str
    offset: int
    size: int
    first: int
    last: int
    values: tuple[str, ...]


@dataclass(frozen=True)
class PlanRecord:
    """What became of one plan.

    Args:
        sizes: what the symbols stand for.
        predicted: nanoseconds of one run, by the sum of its steps or the schedule.
        measured: nanoseconds of one run, the median; ``None`` if it was not timed.
        rivals: nanoseconds of the other plans that were timed whole.
        arena: bytes.
        lower_bound: bytes below which no arena can be.
        weights: bytes of all constants.
        copies: number of copies from one format into another, or into a slice.
        error: relative error of the outputs against the reference; ``None`` if not measured.
        budget: what it may be.
        steps: in order.
        storages: those of the arena.
    """

    sizes: dict[str, int]
    predicted: int
    measured: int | None
    rivals: tuple[int, ...]
    arena: int
    lower_bound: int
    weights: int
    copies: int
    error: float | None = None
    budget: float | None = None
    steps: tuple[StepRecord, ...] = ()
    storages: tuple[StorageRecord, ...] = ()


@dataclass
class BuildReport:
    """Everything a build can tell about itself.

    Attributes:
        imported: the importer's report; ``None`` if the build began with a graph.
        passes: one record per run of a pass, in order.
        choices: one per node of the optimized graph.
        nodes_before: number of nodes as imported.
        nodes_after: number of nodes that run.
        plans: one for each profile.
        notes: what else the user should know, a sentence each.
        failed_plugins: what is wrong with each plugin that was left out, by name.
    """

    imported: ImportReport | None = None
    passes: list[PassRecord] = field(default_factory=list[PassRecord])
    choices: list[KernelChoice] = field(default_factory=list[KernelChoice])
    nodes_before: int = 0
    nodes_after: int = 0
    plans: list[PlanRecord] = field(default_factory=list[PlanRecord])
    notes: list[str] = field(default_factory=list[str])
    failed_plugins: dict[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        """What happened, in a few lines; ``gie inspect`` shows all of it."""
        hits = ", ".join(f"{name} {count}" for name, count in self.hits().items() if count)
        providers = Counter(choice.provider or "node by node" for choice in self.choices)
        lines = [f"{self.nodes_before} nodes became {self.nodes_after}; rewrites: {hits or 'none'}"]
        lines.append("kernels: " + ", ".join(f"{n} {name}" for name, n in providers.most_common()))
        if self.imported is not None and self.imported.foreign:
            foreign = sorted({node.op for node in self.imported.foreign})
            lines.append(f"foreign: {', '.join(foreign)}")
        lines += [f"left out: {name}: {error}" for name, error in self.failed_plugins.items()]
        return "\n".join(lines)

    def hits(self) -> dict[str, int]:
        """Number of rewrites by pass, in order of first run, zeros included."""
        totals: dict[str, int] = {}
        for record in self.passes:
            totals[record.name] = totals.get(record.name, 0) + len(record.hits)
        return totals

    def reproducible(self) -> dict[str, Any]:
        """``to_json`` without what no two builds have in common: the time that passes took."""
        document = self.to_json()
        for record in document["passes"]:
            del record["seconds"]
        return document

    def to_json(self) -> dict[str, Any]:
        """The report as plain dicts, lists, strings and numbers."""
        document = asdict(self)
        if self.imported is not None:  # asdict makes pairs of a Counter's items
            document["imported"]["native"] = dict(self.imported.native)
        return document
