"""The public way to build a graph in Python.

::

    b = GraphBuilder("net")
    x = b.input("x", "f32", ["n", 3, 32, 32])
    y = b.add(Conv(pads=(1, 1, 1, 1)), x, weights)     # arrays become constants
    y = b.add(Relu(), y, name="features")
    b.output(y)
    graph = b.build()                                  # verified
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gie_core.ir.dims import Dim
from gie_core.ir.graph import Graph, GraphError, Node, Value
from gie_core.ir.op import Op
from gie_core.ir.types import DType, TensorType, Type
from gie_core.ir.verify import Stage, verify

__all__ = ["GraphBuilder"]

Operand = Value | np.ndarray[Any, Any] | bool | int | float | None


class GraphBuilder:
    """Builds one graph, in order."""

    def __init__(self, name: str = "main") -> None:
        self._graph = Graph(name)
        self._outputs: list[tuple[str, Value]] = []

    def input(
        self, name: str, dtype: DType | str, shape: Iterable[Dim | str] | None = None
    ) -> Value:
        """Declare an input.

        Args:
            name: unique in the graph.
            dtype: a ``DType`` or its name ("f32").
            shape: ints, dimension expressions, or their text ("n", "h // 2").

        Raises:
            GraphError: the name is taken.
        """
        if self._graph.unique_name(name) != name:
            raise GraphError(f"the graph has a value called {name!r} already")
        return self._graph.add_input(name, TensorType.of(dtype, shape))

    def constant(self, data: Any, name: str = "c") -> Value:
        """Add a constant: anything NumPy takes."""
        return self._graph.add_constant(data, name)

    def add(
        self, op: Op, *operands: Operand, name: str | None = None, source: str | None = None
    ) -> Value:
        """Append a node with one result and return that; see ``add_node``."""
        node = self.add_node(op, *operands, names=() if name is None else (name,), source=source)
        return node.result

    def add_node(
        self,
        op: Op,
        *operands: Operand,
        names: Sequence[str] = (),
        types: Sequence[Type] | None = None,
        source: str | None = None,
    ) -> Node:
        """Append a node.

        Args:
            op: what it does.
            operands: values, or arrays, which become constants, or numbers, which become
                scalar constants of the first value's dtype.
            names: wishes for the results' names.
            types: of the results, where the op can't infer them.
            source: the name of the node in the model that this one stands for.

        Raises:
            OpError: the operands don't fit the op.
            GraphError: a value belongs to another graph.
        """
        types_given = (v.type for v in operands if isinstance(v, Value))
        dtype = next((t.dtype for t in types_given if isinstance(t, TensorType)), None)
        values = [self._value(operand, dtype) for operand in operands]
        sources = () if source is None else (source,)
        return self._graph.add(op, *values, names=names, types=types, sources=sources)

    def output(self, value: Value, name: str | None = None) -> None:
        """Declare the next output, under the value's name or another."""
        self._outputs.append((name or value.name, value))

    def state(self, input: Value, output: Value) -> None:
        """Declare that ``output`` is what ``input`` holds at the next run."""
        self._graph.add_state(input, output)

    def build(self) -> Graph:
        """The finished, verified graph.

        Raises:
            VerifyError: the graph is not valid; prints it.
        """
        self._graph.set_outputs(self._outputs)
        verify(self._graph, Stage.IMPORTED)
        return self._graph

    def _value(self, operand: Operand, dtype: DType | None) -> Value | None:
        if operand is None or isinstance(operand, Value):
            return operand
        if isinstance(operand, np.ndarray) or dtype is None:
            return self._graph.add_constant(operand)
        return self._graph.add_constant(_exactly(operand, dtype))


def _exactly(number: bool | int | float, dtype: DType) -> Any:
    """A number as a scalar array; rounding to a float type is fine, losing a fraction is not.

    Raises:
        GraphError: an integer type cannot hold it.
    """
    try:
        scalar = np.asarray(number, dtype.numpy)
    except OverflowError:
        scalar = None
    if scalar is None or (dtype.is_integer and scalar.item() != number):
        raise GraphError(f"{number} cannot be a constant of type {dtype}; pass an array")
    return scalar
