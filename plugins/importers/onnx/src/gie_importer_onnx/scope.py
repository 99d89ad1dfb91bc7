"""Where nodes are imported into: the graph under construction and the names around a node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnx import FunctionProto, TensorProto, ValueInfoProto

from gie_core.builder.importing import ModelError
from gie_core.builder.report import ImportReport
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.op import Op
from gie_core.ir.types import Array, Type
from gie_importer_onnx.known import LARGEST, evaluate
from gie_importer_onnx.symbols import Symbols
from gie_importer_onnx.tensors import array_of

__all__ = ["Builder", "Mark", "Scope", "Session"]


@dataclass
class Session:
    """What all graphs of one model share while it is imported."""

    report: ImportReport
    folder: Path | None = None
    symbols: Symbols = field(default_factory=Symbols)
    functions: Mapping[tuple[str, str, str], FunctionProto] = field(
        default_factory=dict[tuple[str, str, str], FunctionProto]
    )
    """The model's own functions by domain, name and overload."""
    repeating: int = 0
    """How many of the bodies around the present node are imported over again."""
    repeated: int = 0
    """Nodes in bodies that were imported over again."""

    def array(self, tensor: TensorProto, where: str) -> Array:
        """The content of a tensor of the model."""
        return array_of(tensor, where, self.folder)


@dataclass(frozen=True)
class Mark:
    """A point in a builder's work that it can return to."""

    nodes: int
    constants: int
    native: Counter[str]
    foreign: int


class Builder:
    """Adds to one graph, follows known values, and can take back what it added."""

    def __init__(self, graph: Graph, session: Session) -> None:
        self.graph = graph
        self.session = session
        self.known: dict[Value, Array] = {}
        self._nodes: list[Node] = []
        self._constants: list[Value] = []

    def add(
        self,
        op: Op,
        *operands: Value | None,
        sources: Iterable[str],
        name: str,
        types: Sequence[Type] | None = None,
    ) -> Node:
        """Append a node.

        Raises:
            OpError: the op does not take these operands.
        """
        names = [name] * (len(types) if types is not None else 1)
        node = self.graph.add(op, *operands, names=names, types=types, sources=sources)
        self._nodes.append(node)
        results = evaluate(node, self.known)
        if results is not None:
            self.known.update(zip(node.results, results, strict=True))
        return node

    def constant(self, data: Any, name: str) -> Value:
        """Add a constant."""
        value = self.graph.add_constant(data, name)
        self._constants.append(value)
        return value

    def known_array(self, value: Value) -> Array | None:
        """What is known of a value: numbers, or ``Dim`` objects; ``None`` if nothing is."""
        if value.data is not None:
            return value.data if value.data.size <= LARGEST else None
        return self.known.get(value)

    def mark(self) -> Mark:
        """The present state, for ``rollback``."""
        report = self.session.report
        return Mark(
            len(self._nodes), len(self._constants), report.native.copy(), len(report.foreign)
        )

    def rollback(self, mark: Mark) -> None:
        """Remove all nodes and constants that were added since the mark, and what was reported."""
        for node in reversed(self._nodes[mark.nodes :]):
            for result in node.results:
                self.known.pop(result, None)
            self.graph.remove(node)
        for constant in reversed(self._constants[mark.constants :]):
            self.graph.remove_constant(constant)
        del self._nodes[mark.nodes :], self._constants[mark.constants :]
        self.session.report.native = mark.native.copy()
        del self.session.report.foreign[mark.foreign :]

    def is_new(self, value: Value, mark: Mark) -> bool:
        """Whether a value was added since the mark."""
        if value.node is not None:
            return any(value.node is node for node in self._nodes[mark.nodes :])
        return any(value is constant for constant in self._constants[mark.constants :])


@dataclass
class Scope:
    """The names a node sees: those of a graph, or of a function's body.

    Args:
        builder: the graph that nodes are added to; a function's body shares its caller's.
        opsets: the version of each domain.
        names: values by their names in the model.
        declared: what the model says of types, by name.
        prefix: put before names of values, for the body of a function.
        source: what all nodes are said to come from, for the body of a function.
        depth: how many function bodies are around.
        is_open: nodes may become foreign; in the body of an op that ONNX defines by others
            they may not, because one foreign node is better than some.
    """

    builder: Builder
    opsets: Mapping[str, int]
    names: dict[str, Value | None] = field(default_factory=dict[str, "Value | None"])
    declared: Mapping[str, ValueInfoProto] = field(default_factory=dict[str, ValueInfoProto])
    prefix: str = ""
    source: str = ""
    depth: int = 0
    is_open: bool = True

    @property
    def session(self) -> Session:
        """What all graphs share."""
        return self.builder.session

    def value(self, name: str, where: str) -> Value | None:
        """The value of a name; ``None`` for the empty name or an absent optional.

        Raises:
            ModelError: nothing defines it.
        """
        if not name:
            return None
        if name not in self.names:
            raise ModelError(f"{where} reads {name!r}, which nothing in the model defines")
        return self.names[name]

    def define(self, name: str, value: Value, where: str) -> None:
        """Bind a name.

        Raises:
            ModelError: it is bound already.
        """
        if name in self.names:
            raise ModelError(f"{where} writes {name!r}, which is already defined")
        self.names[name] = value
