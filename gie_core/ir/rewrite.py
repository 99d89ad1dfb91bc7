"""Rewriting: what a pass may do to a graph, and what is recorded about it.

A rule looks at one node and returns the values that replace its results. The
rewriter inserts the new nodes in front of the matched one, moves uses and names
over, removes what became dead, and hands the sources of all nodes that went to
the nodes that came, so that every kernel can later say which nodes of the model
it covers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gie_core.ir.dims import free_symbols
from gie_core.ir.graph import Graph, GraphError, Node, Value
from gie_core.ir.op import Op, Trait
from gie_core.ir.types import TensorType, Type

__all__ = ["Hit", "Refusal", "Replacement", "Rewriter", "Rule", "is_dead", "remove_dead"]


@dataclass(frozen=True)
class Refusal:
    """Why a rule that looked at a node left it alone: shown by ``--why-not``."""

    reason: str


@dataclass(frozen=True)
class Hit:
    """One application of a rule: the node it matched, as text, and what came instead."""

    node: str
    sources: tuple[str, ...]
    replacement: tuple[str, ...]


Replacement = Value | Sequence[Value] | Refusal | None
Rule = Callable[[Node, "Rewriter"], Replacement]


class Rewriter:
    """Gives a rule the means to build its replacement, in front of the matched node.

    Attributes:
        graph: the graph being rewritten.
        node: the node the rule looks at.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.hits: list[Hit] = []
        self.refusals: list[tuple[str, str]] = []
        self._node: Node | None = None
        self._added: list[Node] = []
        self._constants: list[Value] = []

    @property
    def node(self) -> Node:
        if self._node is None:
            raise GraphError("a rewriter builds nodes only while a rule is running")
        return self._node

    def add(
        self, op: Op, *operands: Value | None, name: str | None = None, type: Type | None = None
    ) -> Value:
        """Insert a node with one result in front of the matched node."""
        return self.add_node(
            op, *operands, names=[name] if name else (), types=[type] if type else None
        ).result

    def add_node(
        self,
        op: Op,
        *operands: Value | None,
        names: Sequence[str] = (),
        types: Sequence[Type] | None = None,
    ) -> Node:
        """Insert a node in front of the matched node."""
        node = self.graph.add(op, *operands, names=names, types=types, before=self.node)
        self._added.append(node)
        return node

    def constant(self, data: Any, name: str = "c") -> Value:
        """A new constant, of an array that becomes read-only.

        It goes again if nothing reads it in the end.
        """
        value = self.graph.add_constant(data, name, own=True)
        self._constants.append(value)
        return value

    def record(
        self, matched: str, sources: Sequence[str] = (), replacement: Sequence[str] = ()
    ) -> None:
        """Record a change that a whole-graph pass made by itself: what went, what came instead."""
        self.hits.append(Hit(matched, tuple(sources), tuple(replacement)))

    def apply(self, rule: Rule, node: Node) -> bool:
        """Let a rule look at a node; carry out what it returns. True if it replaced the node."""
        self._node, self._added, self._constants = node, [], []
        try:
            outcome = rule(node, self)
        finally:
            self._node = None
        values = [outcome] if isinstance(outcome, Value) else outcome
        if values is not None and not isinstance(values, Refusal):
            values = self._checked(node, values)
        if values is None or isinstance(values, Refusal):
            if isinstance(values, Refusal):
                self.refusals.append((str(node), values.reason))
            self._discard_unused()
            return False
        self._replace(node, values)
        self._discard_unused()
        return True

    def _checked(self, node: Node, values: Sequence[Value]) -> Sequence[Value] | Refusal:
        if len(values) != len(node.results):
            raise GraphError(
                f"{len(values)} values were given to replace the {len(node.results)} results of "
                f"{node}"
            )
        for old, new in zip(node.results, values, strict=True):
            bound = old.quantization is not None and old.quantization.binding
            if bound and not self._is_new(new) and new.quantization != old.quantization:
                return Refusal(
                    f"the model binds %{old.name} to a quantization, which %{new.name} lacks"
                )
        return values

    def _replace(self, node: Node, values: Sequence[Value]) -> None:
        text, names = str(node), [result.name for result in node.results]
        quantizations = [result.quantization for result in node.results]
        for old, new in zip(node.results, values, strict=True):
            self.graph.replace_uses(old, new)
        removed = remove_dead(self.graph, [node, *self._added])
        self._pass_on_sources(removed, values)
        for name, quantization, new in zip(names, quantizations, values, strict=True):
            if self._is_new(new):
                self.graph.rename(new, name)
                new.quantization = new.quantization or quantization
        self.hits.append(Hit(text, node.sources, tuple(f"%{v.name}" for v in values)))

    def _pass_on_sources(self, removed: Sequence[Node], values: Sequence[Value]) -> None:
        """New nodes cover what the removed ones covered, in the order of the old graph.

        Where no node is new, the nodes whose results took over cover it.
        """
        gone = [
            source
            for node in reversed(removed)
            if node not in self._added
            for source in node.sources
        ]
        heirs = [node for node in self._added if node.is_attached]
        for node in heirs or dict.fromkeys(value.node for value in values if value.node):
            node.sources = tuple(dict.fromkeys([*node.sources, *gone]))

    def _is_new(self, value: Value) -> bool:
        if value.node is not None:
            return value.node in self._added and value.node.is_attached
        return any(value is constant for constant in self._constants)

    def _discard_unused(self) -> None:
        remove_dead(self.graph, self._added)
        for constant in self._constants:
            if (
                constant in self.graph.constants
                and not constant.uses
                and not self.graph.is_output(constant)
            ):
                self.graph.remove_constant(constant)


def is_dead(node: Node) -> bool:
    """Whether nothing needs the node: neither a result, nor a dimension that only it can tell."""
    read = any(result.uses or node.graph.is_output(result) for result in node.results)
    return not read and not _tells_a_dimension(node)


def _tells_a_dimension(node: Node) -> bool:
    """Whether attributes of other nodes use a symbol that only running this node binds."""
    if Trait.OPAQUE not in node.op.traits:
        return False
    shapes = (r.type.shape or () for r in node.results if isinstance(r.type, TensorType))
    told = {name for shape in shapes for name in free_symbols(*shape)}
    return bool(told) and any(told & other.op.symbols() for other in node.graph.nodes)


def remove_dead(graph: Graph, candidates: Sequence[Node]) -> list[Node]:
    """Remove the candidates that nobody reads, then what only they read; returns what went."""
    removed: list[Node] = []
    pending = [node for node in candidates if node.is_attached]
    while pending:
        node = pending.pop()
        if not node.is_attached or not is_dead(node):
            continue
        operands = node.operands
        graph.remove(node)
        removed.append(node)
        for operand in dict.fromkeys(operands):
            if operand is None or operand.uses or graph.is_output(operand):
                continue
            if operand.node is not None:
                pending.append(operand.node)
            elif operand.data is not None:
                graph.remove_constant(operand)
    return removed
