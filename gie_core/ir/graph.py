"""Graphs: inputs, constants and nodes, and every change to them.

Changes go through the methods of ``Graph``, which keep uses, names and order right.
Nodes form a linked list in topological order, so that inserting and removing while
walking is cheap and safe.
"""

# A graph and the nodes and values in it are one unit: this module writes their private fields.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gie_core.ir.dims import free_symbols
from gie_core.ir.inference import check_arity, infer_types
from gie_core.ir.node import GraphError, Node, State, Use, Value
from gie_core.ir.op import Op
from gie_core.ir.types import TensorType, Type, as_array, type_of

__all__ = ["Graph", "GraphError", "Node", "State", "Use", "Value"]


class Graph:
    """Inputs, constants, nodes in topological order, outputs and states.

    Attributes:
        name: for people.
        meta: scratch space of whoever works on the graph; never printed or written.
        metadata: text that is printed and written with it.
    """

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.meta: dict[Any, Any] = {}
        self.metadata: dict[str, str] = {}
        self._inputs: list[Value] = []
        self._constants: dict[Value, None] = {}
        self._outputs: list[tuple[str, Value]] = []
        self._states: list[State] = []
        self._names: dict[str, Value] = {}
        self._counters: dict[str, int] = {}
        self._first: Node | None = None
        self._last: Node | None = None
        self._length = 0

    # ── Reading ─────────────────────────────────────────────────────────────────────

    @property
    def inputs(self) -> tuple[Value, ...]:
        return tuple(self._inputs)

    @property
    def constants(self) -> tuple[Value, ...]:
        return tuple(self._constants)

    @property
    def outputs(self) -> tuple[Value, ...]:
        return tuple(value for _, value in self._outputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names under which callers get the outputs; independent of the values' names."""
        return tuple(name for name, _ in self._outputs)

    @property
    def states(self) -> tuple[State, ...]:
        return tuple(self._states)

    @property
    def nodes(self) -> Iterator[Node]:
        """Nodes in topological order.

        Nodes may be inserted and removed while iterating, but not moved.
        """
        node = self._first
        while node is not None:
            following = node._next
            yield node
            # A node removed meanwhile still remembers its successor at that time.
            node = node._next if node.is_attached else _next_attached(following)

    def __len__(self) -> int:
        """Number of nodes."""
        return self._length

    def values(self) -> Iterator[Value]:
        """Inputs, constants, then results in order."""
        yield from self._inputs
        yield from self._constants
        for node in self.nodes:
            yield from node.results

    def value(self, name: str) -> Value:
        """The value of this name.

        Raises:
            KeyError: there is none.
        """
        return self._names[name]

    def is_output(self, value: Value) -> bool:
        """Whether callers see the value: as an output or as the new content of a state."""
        return any(value is v for _, v in self._outputs) or any(
            value is state.output for state in self._states
        )

    def symbols(self) -> frozenset[str]:
        """All symbols in types of values and attributes of nodes."""
        tensor_types = (v.type for v in self.values() if isinstance(v.type, TensorType))
        found = {s for t in tensor_types for s in free_symbols(*(t.shape or ()))}
        return frozenset(found.union(*(node.op.symbols() for node in self.nodes)))

    # ── Building ────────────────────────────────────────────────────────────────────

    def add_input(self, name: str, type: Type) -> Value:
        """Append an input."""
        value = Value(self.unique_name(name), type)
        self._register(value)
        self._inputs.append(value)
        return value

    def add_constant(self, data: Any, name: str = "c", *, own: bool = False) -> Value:
        """Add a constant.

        Args:
            data: anything NumPy takes; copied, unless it is a read-only array.
            name: a wish for its name.
            own: an array that nobody else changes: becomes read-only itself instead of a copy.

        Raises:
            TypeError: GIE has no such element type.
        """
        array = as_array(data)
        if array.flags.writeable:
            array = array if own and array.base is None else array.copy()
            array.flags.writeable = False
        value = Value(self.unique_name(name), type_of(array), data=array)
        self._register(value)
        self._constants[value] = None
        return value

    def add(
        self,
        op: Op,
        *operands: Value | None,
        names: Sequence[str] = (),
        types: Sequence[Type] | None = None,
        sources: Iterable[str] = (),
        before: Node | None = None,
    ) -> Node:
        """Append a node, or insert it before another.

        Args:
            op: what it does.
            operands: what it reads; trailing ``None`` are dropped.
            names: wishes for the results' names; made unique, by default the op's name.
            types: the results' types; inferred by the op where not given.
            sources: names of the imported model's nodes that it covers.
            before: a node of this graph; by default the new node comes last.

        Raises:
            OpError: the operands do not fit, or types are needed and not given.
            GraphError: an operand, or ``before``, belongs to another graph.
        """
        if before is not None:
            self._check_node(before)
        trimmed = _trim(operands)
        self._check_operands(op, trimmed)
        result_types = tuple(types) if types is not None else infer_types(op, trimmed)
        node = Node(op, trimmed, tuple(dict.fromkeys(sources)))
        wishes = [*names, *[op.name] * (len(result_types) - len(names))]
        for wish, type in zip(wishes, result_types, strict=False):
            node._results += (self._register(Value(self.unique_name(wish), type, node=node)),)
        for index, operand in enumerate(trimmed):
            if operand is not None:
                operand._uses[Use(node, index)] = None
        self._link(node, before)
        return node

    def set_outputs(self, outputs: Iterable[Value | tuple[str, Value]]) -> None:
        """Declare the outputs: values, or (name, value) where the name differs from the value's.

        Raises:
            GraphError: a value is not of this graph, or two outputs have one name.
        """
        pairs = [(o.name, o) if isinstance(o, Value) else o for o in outputs]
        for name, value in pairs:
            if self._names.get(value.name) is not value:
                raise GraphError(
                    f"output {name!r} (%{value.name}) is not a value of graph {self.name!r}"
                )
        if len({name for name, _ in pairs}) < len(pairs):
            raise GraphError(
                f"graph {self.name!r} has two outputs of one name; names: {[n for n, _ in pairs]}"
            )
        self._outputs = pairs

    def add_state(self, input: Value, output: Value) -> None:
        """Declare that ``output`` is the content of ``input`` at the next run.

        Raises:
            GraphError: ``input`` is not a graph input or a state already, or their types differ.
        """
        if not any(input is value for value in self._inputs):
            raise GraphError(f"the state %{input.name} is not an input of graph {self.name!r}")
        if any(input is state.input for state in self._states):
            raise GraphError(f"%{input.name} is a state already")
        if input.type != output.type:
            raise GraphError(
                f"the state %{input.name} is {input.type}, its successor %{output.name} "
                f"{output.type}"
            )
        self._states.append(State(input, output))

    # ── Changing ────────────────────────────────────────────────────────────────────

    def replace_uses(self, old: Value, new: Value) -> None:
        """Let everything that reads ``old`` (outputs and states too) read ``new``."""
        if old is new:
            return
        for use in old.uses:
            self.set_operand(use.node, use.index, new)
        self._outputs = [(name, new if value is old else value) for name, value in self._outputs]
        self._states = [State(s.input, new if s.output is old else s.output) for s in self._states]

    def set_operand(self, node: Node, index: int, value: Value | None) -> None:
        """Let one operand of a node read another value.

        Raises:
            GraphError: the node or the value belongs to another graph.
        """
        self._check_node(node)
        if value is not None and self._names.get(value.name) is not value:
            raise GraphError(f"%{value.name} is not a value of graph {self.name!r}")
        old = node._operands[index]
        if old is not None:
            old._uses.pop(Use(node, index), None)
        if value is not None:
            value._uses[Use(node, index)] = None
        node._operands = (*node._operands[:index], value, *node._operands[index + 1 :])

    def remove(self, node: Node) -> None:
        """Remove a node whose results nobody reads.

        Raises:
            GraphError: a result is still read, or the node belongs to another graph.
        """
        self._check_node(node)
        for result in node.results:
            if result._uses or self.is_output(result):
                raise GraphError(
                    f"%{result.name} is still used; replace its uses before removing its node"
                )
        for index, operand in enumerate(node._operands):
            if operand is not None:
                operand._uses.pop(Use(node, index), None)
        for result in node.results:
            del self._names[result.name]
        self._unlink(node)

    def remove_constant(self, value: Value) -> None:
        """Remove a constant that nobody reads.

        Raises:
            GraphError: it is still read, or is not a constant of this graph.
        """
        if value not in self._constants or value._uses or self.is_output(value):
            raise GraphError(f"%{value.name} is not an unused constant of graph {self.name!r}")
        del self._constants[value]
        del self._names[value.name]

    def remove_input(self, value: Value) -> None:
        """Remove an input that nobody reads.

        Raises:
            GraphError: it is still read, or is a state.
        """
        is_state = any(value is state.input for state in self._states)
        if value._uses or is_state or self.is_output(value):
            raise GraphError(f"the input %{value.name} is still used")
        self._inputs.remove(value)
        del self._names[value.name]

    def rename(self, value: Value, name: str) -> None:
        """Give a value another name, made unique."""
        if value.name != name:
            del self._names[value.name]
            value._name = self.unique_name(name)
            self._names[value.name] = value

    def unique_name(self, wish: str) -> str:
        """``wish``, with a number behind it where the name is taken."""
        if wish and wish not in self._names:
            return wish
        base = re.sub(r"_\d+$", "", wish) or "v"
        while True:
            count = self._counters[base] = self._counters.get(base, 0) + 1
            if f"{base}_{count}" not in self._names:
                return f"{base}_{count}"

    def move_before(self, node: Node, anchor: Node) -> None:
        """Move a node in the order; the caller keeps the order topological.

        Raises:
            GraphError: a node belongs to another graph.
        """
        self._check_node(node)
        self._check_node(anchor)
        self._unlink(node)
        self._link(node, anchor)

    def __str__(self) -> str:
        """The text form; large constants are named by their content."""
        from gie_core.ir.text import format_graph  # text.py prints what this module defines

        return format_graph(self)

    def __repr__(self) -> str:
        inputs = ", ".join(f"%{value.name}" for value in self._inputs)
        return (
            f"<Graph {self.name}({inputs}) -> ({', '.join(self.output_names)}), {len(self)} nodes>"
        )

    # ── Bookkeeping ─────────────────────────────────────────────────────────────────

    def _register(self, value: Value) -> Value:
        self._names[value.name] = value
        return value

    def _check_operands(self, op: Op, operands: tuple[Value | None, ...]) -> None:
        check_arity(op, operands)
        for value in operands:
            if value is not None and self._names.get(value.name) is not value:
                raise GraphError(
                    f"%{value.name}, an operand of {op.name}, is not a value of graph {self.name!r}"
                )

    def _check_node(self, node: Node) -> None:
        if node._graph is not self:
            raise GraphError(f"{node} is not a node of graph {self.name!r}")

    def _link(self, node: Node, before: Node | None) -> None:
        node._graph = self
        node._next = before
        node._previous = self._last if before is None else before._previous
        if node._previous is None:
            self._first = node
        else:
            node._previous._next = node
        if before is None:
            self._last = node
        else:
            before._previous = node
        self._length += 1

    def _unlink(self, node: Node) -> None:
        if node._previous is None:
            self._first = node._next
        else:
            node._previous._next = node._next
        if node._next is None:
            self._last = node._previous
        else:
            node._next._previous = node._previous
        node._graph = None
        self._length -= 1


def _trim(operands: tuple[Value | None, ...]) -> tuple[Value | None, ...]:
    end = len(operands)
    while end and operands[end - 1] is None:
        end -= 1
    return operands[:end]


def _next_attached(node: Node | None) -> Node | None:
    while node is not None and not node.is_attached:
        node = node._next
    return node
