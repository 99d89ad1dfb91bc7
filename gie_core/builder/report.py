"""What a build did, for people and machines: every record here prints and turns into JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from gie_core.ir.rewrite import Hit

__all__ = ["BuildReport", "ForeignNode", "ImportReport", "KernelChoice", "PassRecord", "Rejection"]


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
class KernelChoice:
    """Which provider runs a node, and why those asked before it do not.

    Args:
        node: the node's first result.
        op: its op; "group:epilogue" for a group.
        provider: who runs it; "" if the nodes of the graphs inside run one by one.
        sources: nodes of the imported model that it covers.
        rejections: the providers asked before.
    """

    node: str
    op: str
    provider: str
    sources: tuple[str, ...]
    rejections: tuple[Rejection, ...]


@dataclass
class BuildReport:
    """Everything a build can tell about itself.

    Attributes:
        imported: the importer's report; ``None`` if the build began with a graph.
        passes: one record per run of a pass, in order.
        choices: one per node of the optimized graph.
        nodes_before: number of nodes as imported.
        nodes_after: number of nodes that run.
        failed_plugins: what is wrong with each plugin that was left out, by name.
    """

    imported: ImportReport | None = None
    passes: list[PassRecord] = field(default_factory=list[PassRecord])
    choices: list[KernelChoice] = field(default_factory=list[KernelChoice])
    nodes_before: int = 0
    nodes_after: int = 0
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

    def to_json(self) -> dict[str, Any]:
        """The report as plain dicts, lists, strings and numbers."""
        document = asdict(self)
        if self.imported is not None:  # asdict makes pairs of a Counter's items
            document["imported"]["native"] = dict(self.imported.native)
        return document
