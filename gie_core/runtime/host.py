"""The host executor: runs a graph with NumPy arrays, each node by its chosen kernel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from gie_core.engine.plan import Kernel, Plan
from gie_core.ir.graph import Graph, Node, Value
from gie_core.ir.op import Op
from gie_core.ir.types import Array, TensorType
from gie_core.ops.run import (
    ExecutionError,
    as_tuple,
    bind_inputs,
    bind_symbols,
    failed,
    resolve,
)

__all__ = ["HostExecutor"]


@dataclass(frozen=True)
class _Step:
    """One node, ready to run.

    Args:
        symbolic: its op has dimensions that the inputs' sizes decide.
        expected: (dtype, shape) of each result that is known beforehand, else ``None``.
        dying: slots that nobody reads afterwards.
    """

    node: Node
    kernel: Kernel
    operands: tuple[int | None, ...]
    results: tuple[int, ...]
    symbolic: bool
    expected: tuple[tuple[Any, ...] | None, ...]
    dying: tuple[int, ...]


class HostExecutor:
    """Runs one graph. It has no state: several threads may run it at once.

    Args:
        plan: the graph and its kernels.
    """

    def __init__(self, plan: Plan) -> None:
        self._graph = plan.graph
        self._slots = {value: slot for slot, value in enumerate(plan.graph.values())}
        self._constants = [(self._slots[value], value.data) for value in plan.graph.constants]
        self._bodies = {body: HostExecutor(inner) for body, inner in plan.bodies.items()}
        self._steps = self._order(plan)

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Run the graph.

        Args:
            inputs: one array per graph input, in order (a list for a sequence, ``None``
                for an empty optional).

        Returns:
            One array per output. They belong to the caller: none shares memory with an
            input, a constant or another output.

        Raises:
            ExecutionError: an input does not fit its type, or a kernel failed; names the node.
        """
        outputs = self._execute(inputs)
        try:
            return _owned(outputs, inputs)
        except MemoryError as error:  # an output may be a broadcast view of far less memory
            raise ExecutionError("there is not enough memory for the outputs") from error

    def _execute(self, inputs: Sequence[Any]) -> list[Any]:
        """Run the graph; outputs may share memory with anything, as a kernel's results may."""
        sizes = bind_inputs(self._graph, inputs)
        values: list[Any] = [None] * len(self._slots)
        for slot, data in self._constants:
            values[slot] = data
        for value, array in zip(self._graph.inputs, inputs, strict=True):
            values[self._slots[value]] = array
        for step in self._steps:
            _run_step(step, values, sizes)
        return [values[self._slots[v]] for v in self._graph.outputs]

    def _order(self, plan: Plan) -> list[_Step]:
        last_use = {self._slots[o]: node for node in self._graph.nodes for o in node.operands if o}
        kept = {self._slots[v] for v in (*self._graph.outputs, *self._graph.constants)}
        steps: list[_Step] = []
        for node in self._graph.nodes:
            operands = tuple(None if o is None else self._slots[o] for o in node.operands)
            results = tuple(self._slots[r] for r in node.results)
            read_last = {s for s in operands if s is not None and last_use[s] is node}
            unread = {s for s in results if s not in last_use}
            dying = tuple(sorted((read_last | unread) - kept))
            kernel = plan.kernels.get(node, self._node_by_node)
            symbolic = bool(node.op.symbols())
            expected = tuple(_known(result) for result in node.results)
            steps.append(_Step(node, kernel, operands, results, symbolic, expected, dying))
        return steps

    def _node_by_node(self, op: Op, operands: Sequence[Any]) -> tuple[Any, ...]:
        """The kernel of a node whose inner graphs have executors of their own."""

        def run(graph: Graph, arrays: Sequence[Any]) -> list[Any]:
            return self._bodies[graph]._execute(arrays)

        return as_tuple(op.compute(*operands, run=run))


def _known(value: Value) -> tuple[Any, ...] | None:
    type_ = value.type
    if not isinstance(type_, TensorType) or not type_.is_static:
        return None
    return type_.dtype.numpy, type_.dims


def _run_step(step: _Step, values: list[Any], sizes: dict[str, int]) -> None:
    node = step.node
    operands = [None if slot is None else values[slot] for slot in step.operands]
    try:
        op = resolve(node, sizes) if step.symbolic else node.op
        with np.errstate(all="ignore"):
            results = step.kernel(op, operands)
        for slot, value, known, array in zip(
            step.results, node.results, step.expected, results, strict=True
        ):
            if known is None or (array.dtype, array.shape) != known:
                bind_symbols(value, array, sizes)
            values[slot] = array
    except ExecutionError:
        raise
    except Exception as error:  # a kernel is a third party's code; the node must be named
        raise failed(node, error) from error
    for slot in step.dying:
        values[slot] = None


def _owned(outputs: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """The outputs, each copied where it could be a view of what isn't the caller's alone."""
    taken = list(_arrays(inputs))
    owned: list[Any] = []
    for output in outputs:
        owned.append(_own(output, taken))
        taken += _arrays([owned[-1]])
    return owned


def _own(output: Any, taken: Sequence[Array]) -> Any:
    if isinstance(output, list):
        return [_own(item, taken) for item in cast("list[Any]", output)]
    if not isinstance(output, np.ndarray):
        return output
    array = cast("Array", output)
    shared = any(np.may_share_memory(array, other) for other in taken)
    return array.copy() if shared or not array.flags.writeable else array


def _arrays(values: Iterable[Any]) -> Iterator[Array]:
    """All arrays among values and, since sequences are lists, within them."""
    for value in values:
        if isinstance(value, list):
            yield from _arrays(cast("list[Any]", value))
        elif isinstance(value, np.ndarray):
            yield cast("Array", value)
