"""Values, and the nodes that read and produce them.

They compare by identity. What a node reads is an immutable tuple; every change goes
through a method of ``Graph``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gie_core.errors import GieError
from gie_core.ir.op import Op
from gie_core.ir.quantization import Quantization
from gie_core.ir.types import Array, TensorType, Type

if TYPE_CHECKING:
    from gie_core.ir.graph import Graph

__all__ = ["GraphError", "Node", "State", "Use", "Value"]


class GraphError(GieError):
    """A change would leave the graph inconsistent."""


@dataclass(frozen=True)
class Use:
    """One place where a value is read: operand ``index`` of ``node``."""

    node: Node
    index: int


class Value:
    """A tensor (or sequence, or optional) that exists while the graph runs.

    It is an input, a constant (``data`` is not ``None``), or the result of a node.

    Attributes:
        type: what it is; a pass may set a more precise one.
        quantization: how it is stored in integers, if it is.
    """

    __slots__ = ("_data", "_name", "_node", "_uses", "quantization", "type")

    def __init__(
        self, name: str, type: Type, *, node: Node | None = None, data: Array | None = None
    ) -> None:
        self._name = name
        self._node = node
        self._data = data
        self._uses: dict[Use, None] = {}
        self.type = type
        self.quantization: Quantization | None = None

    @property
    def name(self) -> str:
        """Unique in its graph; ``Graph.rename`` changes it."""
        return self._name

    @property
    def node(self) -> Node | None:
        """The node whose result this is; ``None`` for inputs and constants."""
        return self._node

    @property
    def data(self) -> Array | None:
        """The array of a constant (read-only), else ``None``."""
        return self._data

    @property
    def uses(self) -> tuple[Use, ...]:
        """Where it is read, in the order the uses came to be; graph outputs don't count."""
        return tuple(self._uses)

    @property
    def users(self) -> tuple[Node, ...]:
        """The nodes that read it, each once."""
        return tuple(dict.fromkeys(use.node for use in self._uses))

    @property
    def tensor(self) -> TensorType:
        """Its type as a ``TensorType``.

        Raises:
            GraphError: it is a sequence or an optional.
        """
        if not isinstance(self.type, TensorType):
            raise GraphError(f"%{self.name} is a {self.type}, not a tensor")
        return self.type

    def __repr__(self) -> str:
        return f"<%{self._name}: {self.type}>"


class Node:
    """An op applied to operands.

    Attributes:
        sources: names of the nodes of the imported model that this one covers.
        metadata: text that travels with the node and is printed with it.
    """

    __slots__ = (
        "_graph",
        "_next",
        "_op",
        "_operands",
        "_previous",
        "_results",
        "metadata",
        "sources",
    )

    def __init__(
        self, op: Op, operands: tuple[Value | None, ...], sources: tuple[str, ...]
    ) -> None:
        self._op = op
        self._operands = operands
        self._results: tuple[Value, ...] = ()
        self._graph: Graph | None = None
        self._previous: Node | None = None
        self._next: Node | None = None
        self.sources = sources
        self.metadata: dict[str, str] = {}

    @property
    def op(self) -> Op:
        """What it does; immutable. Replace the node to change it."""
        return self._op

    @property
    def operands(self) -> tuple[Value | None, ...]:
        """What it reads; ``None`` where an optional operand is absent."""
        return self._operands

    @property
    def results(self) -> tuple[Value, ...]:
        """What it produces."""
        return self._results

    @property
    def result(self) -> Value:
        """The result of a node that has exactly one.

        Raises:
            GraphError: it has several.
        """
        if len(self._results) != 1:
            raise GraphError(f"{self} has {len(self._results)} results; take one from .results")
        return self._results[0]

    @property
    def graph(self) -> Graph:
        """The graph it stands in.

        Raises:
            GraphError: it was removed.
        """
        if self._graph is None:
            raise GraphError(f"this {self._op.name} node was removed from its graph")
        return self._graph

    @property
    def is_attached(self) -> bool:
        """Whether it still stands in a graph."""
        return self._graph is not None

    def operand(self, name: str) -> Value | None:
        """The operand the op declares under this name; ``None`` if absent.

        Raises:
            KeyError: the op declares no such operand.
        """
        for index, spec in enumerate(self._op.operand_specs()):
            if spec.name == name and not spec.variadic:
                return self._operands[index] if index < len(self._operands) else None
        raise KeyError(f"{self._op.name} has no operand {name!r}")

    def __str__(self) -> str:
        results = ", ".join(f"%{r.name}" for r in self._results)
        return f"{results} = {self._op.name}"

    def __repr__(self) -> str:
        return f"<{self}>"


@dataclass(frozen=True)
class State:
    """A pair that may share storage: the output of one run is the input of the next."""

    input: Value
    output: Value
